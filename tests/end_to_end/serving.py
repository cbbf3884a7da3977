"""A service as a process of its own, on a free port of this machine and in a folder of its own."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

SECONDS = 20.0
"""Longest that anything may take here: a busy machine is slow, a broken service is slower."""

Config = dict[str, Any]
T = TypeVar("T")


class Answer(NamedTuple):
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def until(ask: Callable[[], T], seconds: float = SECONDS) -> T:
    """Ask again and again until the answer is yes, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.05)
    return answer


class Serving:
    """One service that can be started, asked, told to stop, and started again on its folder."""

    def __init__(
        self, folder: Path, config: Config | None = None, *, program: Path = Path(sys.executable)
    ) -> None:
        self.folder, self._program = folder, program
        self.port = free_port()
        self.data_dir = folder / "data"
        self.config_file = folder / "sentinel.yaml"
        self.log_file = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(config or {})

    def configure(self, config: Config) -> None:
        """Write the configuration: JSON, which is YAML too."""
        api = {"bind_addr": f"127.0.0.1:{self.port}"} | config.get("api", {})
        # The port of OpenTelemetry is everybody's on this machine: only its own tests open one.
        ingestion = {"otlp": {"enabled": False}} | config.get("ingestion", {})
        whole = {"data_dir": str(self.data_dir)} | config | {"api": api, "ingestion": ingestion}
        self.config_file.write_text(json.dumps(whole))

    # The process

    def launch(self) -> None:
        """Start the process, ready or not."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-m", "sentinel", "serve", "-c", str(self.config_file)],
                cwd=self.folder,
                env={**os.environ, "SENTINEL_LOG_JSON": "true", "SENTINEL_LOG_LEVEL": "info"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.launch()
        until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.is_alive, f"ended at its start:\n{self.log()}"
        try:
            return self.get("/health/ready").status == 200
        except OSError:
            return False

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end of the process; returns its exit code."""
        assert self._process is not None
        return self._process.wait(SECONDS)

    def stop(self) -> int:
        """End the process in order; returns its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """End the process, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(SECONDS)

    @property
    def process_id(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return everything that the process has written."""
        return self.log_file.read_text()

    def logged(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of the log of this name."""
        lines = [line for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == name]

    # Requests

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def read(self, path: str, **query: Any) -> Any:
        """Return what a question is answered with."""
        answer = self.get(path, **query)
        assert answer.status == 200, answer
        return answer.json()

    def post(self, path: str, value: Any = None) -> Answer:
        """Send a value as JSON; None is no body."""
        body = None if value is None else json.dumps(value).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json"})

    def send(self, *events: dict[str, Any]) -> None:
        """Send events that are all accepted."""
        body = "\n".join(map(json.dumps, events)).encode()
        answer = self.request("POST", "/api/v1/events", body)
        assert answer.status == 200, answer
        assert answer.json() == {"accepted": len(events), "rejected": []}

    def send_and_wait(self, *events: dict[str, Any]) -> None:
        """Send events of one service and wait until they are judged and stored."""
        service = events[0]["service_name"]
        stored = self.count(service)
        self.send(*events)
        until(lambda: self.count(service) >= stored + len(events))

    def count(self, service: str) -> int:
        """Return how many events of a service are stored."""
        return sum(1 for _ in self.pages("telemetry", "data", service=service))

    def pages(self, resource: str, rows: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield every row of every page."""
        cursor: str | None = None
        while True:
            asked = {"limit": 1000, **query, **({"cursor": cursor} if cursor else {})}
            page = self.read(f"/api/v1/{resource}", **asked)
            assert page["count"] == len(page[rows])
            yield from page[rows]
            cursor = page["next_cursor"]
            if cursor is None:
                return


@contextlib.contextmanager
def serving(folder: Path, config: Config | None = None) -> Iterator[Serving]:
    """Run a service; it is gone afterwards, whatever happens."""
    service = Serving(folder, config)
    try:
        service.start()
        yield service
    finally:
        service.close()


def call(service: str, number: int = 0, **fields: Any) -> dict[str, Any]:
    """Return an ordinary call that ends when it is received; some fields changed."""
    step = number * 37 % 11
    return {
        "service_name": service,
        "model": "m",
        "latency_ms": 100.0 + step,
        "prompt": {"tokens": 1000 + step},
        "response": {"tokens": 200 + step},
    } | fields


def calls(service: str, count: int, **fields: Any) -> list[dict[str, Any]]:
    return [call(service, number, **fields) for number in range(count)]


def families(service: Serving) -> dict[str, Metric]:
    """Return what the service says of itself."""
    answer = service.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = list(text_string_to_metric_families(answer.body.decode()))
    assert len({family.name for family in found}) == len(found)
    return {family.name: family for family in found}
