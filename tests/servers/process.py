"""A server as an ordinary process: in a folder of its own, found and ended by its process id."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

REQUIRE = "SENTINEL_REQUIRE_SERVICES"
"""Set where a server that is not there is a fault of the machine, and no reason to skip."""


def require(present: object, what: str) -> None:
    """Skip the test where a server is not there, or fail where it must be."""
    if present:
        return
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{what} is not there, and {REQUIRE} is set: tests/servers/install.sh")
    pytest.skip(f"{what} is not there: tests/servers/install.sh")


def require_command(name: str) -> str:
    """Return where a command lies; where it is not there, skip or fail."""
    found = shutil.which(name)
    require(found, name)
    assert found is not None
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has, below those that the system gives to callers.

    A server that is killed must find its port free when it comes back.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def listens(port: int) -> bool:
    """Say whether somebody takes connections at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Server:
    """One process of a server.

    Parameters
    ----------
    is_ready
        Asked again and again after the start, until it says so.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        is_ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        seconds: float = 20.0,
    ) -> None:
        self.command, self.folder = list(command), folder
        self.log_file = folder / "server.log"
        self._is_ready, self._env, self._seconds = is_ready, env, seconds
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def launch(self) -> None:
        """Start the process, ready or not."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **(self._env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until it is ready, or fail with what it has written."""
        deadline = time.monotonic() + self._seconds
        while not self._is_ready():
            assert self.is_alive, f"{self.command[0]} ended:\n{self.log()[-3000:]}"
            assert time.monotonic() < deadline, f"not ready:\n{self.log()[-3000:]}"
            time.sleep(0.02)

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def wait(self, seconds: float) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        assert self._process is not None, "never started"
        return self._process.wait(seconds)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "never started"
        return self._process.pid

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self, seconds: float = 15.0) -> None:
        """End it in order, or at once where it does not."""
        self._end(signal.SIGTERM, seconds)

    def _end(self, number: int, seconds: float = 15.0) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def log(self) -> str:
        """Return everything that it has written."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
