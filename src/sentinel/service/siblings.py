"""The other processes of one `sentinel serve`: members of the group like the first, on its machine.

Each is the same command with a number.  It listens on a port of its own and has a store of its own;
what it judges it gets from the group, so nothing is divided here.  The first one holds the other
end of their standard input: it closes when the first one ends, however it does, and they leave the
group in order.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from sentinel.settings import Settings
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

LOOK_SECONDS: Final = 0.2
AGAIN_SECONDS: Final = 1.0
"""Until one that ended is started again; twice as long each time it ends soon."""
AGAIN_SECONDS_MAX: Final = 30.0
LONG_SECONDS: Final = 60.0
"""Who lived so long did not end because of how it was started."""
STOP_SECONDS: Final = 60.0
"""How long leaving may take: more than a process gives itself."""


def of_process(settings: Settings, number: int) -> Settings:
    """Return the settings of one process of several: the first has those that were written.

    The others listen on the ports that follow the API's, where that has a number, and on no port of
    OpenTelemetry.
    """
    if number == 0:
        return settings
    host, _, port = settings.api.bind_addr.rpartition(":")
    if port.isdigit() and int(port) > 0:
        port = str(int(port) + number)
    otlp = msgspec.structs.replace(settings.ingestion.otlp, enabled=False)
    return msgspec.structs.replace(
        settings,
        api=msgspec.structs.replace(settings.api, bind_addr=f"{host}:{port}"),
        ingestion=msgspec.structs.replace(settings.ingestion, otlp=otlp),
    )


class _Sibling(Struct):
    """One of the others."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    start_at: float = 0.0
    pause: float = AGAIN_SECONDS


class Siblings:
    """Starts the others, and starts again who ended; for the event loop's thread.

    Parameters
    ----------
    command
        Returns how one is started, by its number.
    """

    def __init__(
        self, command: Callable[[int], Sequence[str]], numbers: range, vitals: Vitals
    ) -> None:
        self._command, self._vitals = command, vitals
        self._all = [_Sibling(number) for number in numbers]
        for number in numbers:
            vitals.process_restarts.labels(str(number))

    async def watch(self) -> None:
        """Start them, and start again who ended, until cancelled."""
        while True:
            now = time.monotonic()
            for one in self._all:
                if one.process is not None and one.process.poll() is not None:
                    self._ended(one, now)
                if one.process is None and now >= one.start_at:
                    self._start(one, now)
            await asyncio.sleep(LOOK_SECONDS)

    def _start(self, one: _Sibling, now: float) -> None:
        # A session of its own: what is typed at the terminal reaches the first process alone.
        one.process = subprocess.Popen(  # noqa: S603  # our own command
            self._command(one.number), stdin=subprocess.PIPE, start_new_session=True
        )
        one.since = now
        log.info("process.started", number=one.number, pid=one.process.pid)

    def _ended(self, one: _Sibling, now: float) -> None:
        assert one.process is not None, "it has ended"
        one.pause = AGAIN_SECONDS if now - one.since >= LONG_SECONDS else one.pause
        one.start_at = now + one.pause
        self._vitals.process_restarts.labels(str(one.number)).inc()
        log.error(
            "process.ended",
            number=one.number,
            code=one.process.returncode,
            again_in_seconds=one.pause,
        )
        one.pause = min(2 * one.pause, AGAIN_SECONDS_MAX)
        _close_input(one.process)
        one.process = None

    def signal(self, number: int) -> None:
        """Pass a signal on."""
        for one in self._all:
            if one.process is not None:
                one.process.send_signal(number)

    def ask_to_stop(self) -> None:
        """Ask all to leave in order; they are not started again."""
        for one in self._all:
            if one.process is not None:
                _close_input(one.process)

    def wait(self) -> None:
        """Wait until all have ended, and end who takes too long: the group goes on without it."""
        deadline = time.monotonic() + STOP_SECONDS
        for one in self._all:
            if one.process is None:
                continue
            try:
                one.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("process.killed", number=one.number, after_seconds=STOP_SECONDS)
                one.process.kill()
                one.process.wait()


def _close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None, "it is a pipe"
    process.stdin.close()


def stop_when_left_alone(stopping: asyncio.Event) -> None:
    """In one of the others: stop when the first process closes our standard input, or is gone."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            stopping.set()

    loop.add_reader(0, look)
