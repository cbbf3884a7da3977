"""A way to a server that can be cut where it hurts: after the request, before the answer."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Proxy:
    """Passes bytes between callers and a server.

    Attributes
    ----------
    cuts : int
        So many answers more are thrown away, and their connections cut.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A thread that waits in accept would keep the port.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _cut(connection)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                caller.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {caller, server}
            for pump in (
                threading.Thread(target=self._pass, args=(caller, server, False), daemon=True),
                threading.Thread(target=self._pass, args=(server, caller, True), daemon=True),
            ):
                pump.start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if answers and self._takes():
                    break
                sink.sendall(data)
        except OSError:
            pass
        _cut(source)
        _cut(sink)
        with self._lock:
            self._open.discard(source)
        source.close()

    def _takes(self) -> bool:
        """Say whether this answer is one of those that are thrown away."""
        with self._lock:
            takes = self.cuts > 0
            self.cuts -= takes
            return takes


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy before a port of this machine."""
    way = Proxy(target)
    try:
        yield way
    finally:
        way.close()
