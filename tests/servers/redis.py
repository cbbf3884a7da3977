"""Private Redis servers: one alone, one with a replica under Sentinel, a cluster of three."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from servers.process import Server, free_ports, require_command

Word = str | bytes | int


def ask(port: int, *words: Word) -> str:
    """Return a server's answer to one command as text: lines of its protocol, without the sizes."""
    return say(port, words)


def say(port: int, *commands: Sequence[Word]) -> str:
    """Return the answer to the last of some commands."""
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as connection:
        said = ""
        with connection.makefile("rb") as stream:
            for words in commands:
                parts = [b"*%d\r\n" % len(words)]
                for word in words:
                    data = word if isinstance(word, bytes) else str(word).encode()
                    parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
                connection.sendall(b"".join(parts))
                said = "\n".join(_read(stream.readline, stream.read))
        return said


def _read(line: Callable[[], bytes], read: Callable[[int], bytes]) -> Iterator[str]:
    head = line().rstrip(b"\r\n")
    kind, rest = head[:1], head[1:].decode()
    if kind == b"$":
        yield "" if rest == "-1" else read(int(rest) + 2)[:-2].decode(errors="replace")
    elif kind == b"*":
        for _ in range(int(rest)):
            yield from _read(line, read)
    else:
        yield ("" if kind in (b"+", b":") else kind.decode()) + rest


class RedisServer(Server):
    """One Redis; what it keeps survives it only where `options` say so."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = free_ports(1)[0] if port is None else port
        command = [require_command("redis-server"), "--port", str(self.port)]
        command += ["--bind", "127.0.0.1", "--dir", str(folder.absolute()), "--save", ""]
        super().__init__([*command, *options], folder, is_ready=self._answers)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def ask(self, *words: str | bytes | int) -> str:
        """Return the answer to a command."""
        return ask(self.port, *words)

    def _answers(self) -> bool:
        try:
            return self.ask("PING") in ("PONG", "-NOAUTH Authentication required.")
        except OSError:
            return False


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run one Redis; it is gone afterwards."""
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


DOWN_MS = 500
"""Silence after which Sentinel gives a primary up."""


class RedisPair:
    """A primary, a replica, and three Sentinels that watch them, of which two must agree."""

    NAME = "state"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.nodes = [RedisServer(folder / f"node-{number}") for number in range(2)]
        self._sentinel_ports = free_ports(3)
        self._sentinels: list[Server] = []

    @property
    def url(self) -> str:
        places = ",".join(f"127.0.0.1:{port}" for port in self._sentinel_ports)
        return f"sentinel://{places}/{self.NAME}"

    def start(self) -> None:
        primary, replica = self.nodes
        primary.start()
        replica.start()
        replica.ask("REPLICAOF", "127.0.0.1", primary.port)
        _wait(lambda: "master_link_status:up" in replica.ask("INFO", "replication"))
        for number, port in enumerate(self._sentinel_ports):
            folder = self._folder / f"sentinel-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "sentinel.conf").write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder.absolute()}\n"
                f"sentinel monitor {self.NAME} 127.0.0.1 {primary.port} 2\n"
                f"sentinel down-after-milliseconds {self.NAME} {DOWN_MS}\n"
                f"sentinel failover-timeout {self.NAME} 5000\n"
            )
            command = [require_command("redis-server"), "sentinel.conf", "--sentinel"]
            sentinel = Server(command, folder, is_ready=partial(_pings, port))
            sentinel.start()
            self._sentinels.append(sentinel)
        _wait(lambda: all(self._sees_all(port) for port in self._sentinel_ports))

    def _sees_all(self, port: int) -> bool:
        said = ask(port, "SENTINEL", "MASTER", self.NAME).split("\n")
        told = dict(zip(said[::2], said[1::2], strict=True))
        return told["num-slaves"] == "1" and told["num-other-sentinels"] == "2"

    @property
    def primary(self) -> RedisServer:
        """The one that Sentinel names."""
        told = ask(self._sentinel_ports[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
        return next(node for node in self.nodes if node.port == int(told.split("\n")[1]))

    def wait_for_other(self, before: RedisServer) -> RedisServer:
        """Wait until another node is the primary, and return it."""
        _wait(lambda: self.primary is not before)
        primary = self.primary
        _wait(lambda: "role:master" in primary.ask("INFO", "replication"))
        return primary

    def kill(self) -> None:
        for server in (*self._sentinels, *self.nodes):
            server.kill()


class RedisCluster:
    """Three primaries, each with a third of the slots."""

    def __init__(self, folder: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.nodes = [RedisServer(folder / f"node-{number}", *options) for number in range(3)]

    @property
    def url(self) -> str:
        return "cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        bounds = (0, 5461, 10923, 16384)
        for number, node in enumerate(self.nodes):
            node.start()
            node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        for node in self.nodes:
            _wait(partial(_is_whole, node))

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


@contextmanager
def redis_pair(folder: Path) -> Iterator[RedisPair]:
    """Run two nodes under Sentinel; they are gone afterwards."""
    pair = RedisPair(folder)
    try:
        pair.start()
        yield pair
    finally:
        pair.kill()


@contextmanager
def redis_cluster(folder: Path) -> Iterator[RedisCluster]:
    """Run a cluster; it is gone afterwards."""
    cluster = RedisCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


def _is_whole(node: RedisServer) -> bool:
    return "cluster_state:ok" in node.ask("CLUSTER", "INFO")


def _pings(port: int) -> bool:
    try:
        return ask(port, "PING") == "PONG"
    except OSError:
        return False


def _wait(ask_: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not ask_():
        assert time.monotonic() < deadline, "a server did not get so far"
        time.sleep(0.05)
