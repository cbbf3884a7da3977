"""A fake service that answers what it is told to: it tests how the producer takes answers."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec


class Request(NamedTuple):
    """What came."""

    path: str
    headers: dict[str, str]
    events: list[dict[str, Any]]


class Reply(NamedTuple):
    """What is answered; status 0: the connection is cut."""

    status: int
    value: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012, nobody changes it


class Answering:
    """The requests so far, and the answers to the next; afterwards everything is accepted."""

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[Request] = []
        self.replies = list(replies)
        self.url = ""
        self.hold = threading.Event()
        """Until it is set, nothing is answered."""
        self.hold.set()

    def reply_to(self, request: Request) -> Reply:
        self.requests.append(request)
        self.hold.wait(20)
        if self.replies:
            return self.replies.pop(0)
        return Reply(200, {"accepted": len(request.events), "rejected": []})

    @property
    def events(self) -> list[dict[str, Any]]:
        """What came in all requests."""
        return [event for request in self.requests for event in request.events]


@contextlib.contextmanager
def answering(*replies: Reply) -> Iterator[Answering]:
    """Listen on a free port."""
    service = Answering(*replies)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            events = msgspec.json.Decoder().decode_lines(body)
            reply = service.reply_to(Request(self.path, dict(self.headers), events))
            if reply.status == 0:
                self.close_connection = True
                return
            payload = msgspec.json.encode(reply.value)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None: ...

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None: ...

    with Quiet(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield service
        finally:
            service.hold.set()
            server.shutdown()
            thread.join()
