"""The relay: drains the outbox to the channels, each alert with its stable id, at least once."""

import asyncio
from collections.abc import Callable
from typing import Final

from sentinel.channels.log import LogChannel
from sentinel.checkpoints.contract import Checkpoint
from sentinel.errors import StateError
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

CRASH_POINTS: Final = ("tell",)
"""Before each alert is told."""
ROWS = 100
RETRY_SECONDS = 1.0
"""Between attempts while the disk is full."""


class Relay:
    """One task for one destination, so that a dead one delays no other."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        channel: LogChannel,
        vitals: Vitals,
        *,
        crash_point: Callable[[str], None],
    ) -> None:
        self._checkpoint, self._channel, self._vitals = checkpoint, channel, vitals
        self._crash_point = crash_point
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._news.set()
        self._told: set[str] = set()
        """Told, and still in the outbox."""

    def wake(self) -> None:
        """Say that there are rows; from any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> None:
        """Tell what is in the outbox, and wait for more, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while await asyncio.to_thread(self.drain):
                    pass
            except StateError as error:
                if type(error) is not StateError:
                    raise
                log.error("outbox.not_drained", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                self._news.set()

    def drain(self) -> bool:
        """Tell some rows and delete them; says whether there were any."""
        rows = self._checkpoint.outbox(self._channel.name, ROWS)
        for row in rows:
            if row.id not in self._told:
                self._crash_point("tell")
                self._channel.tell(row.body)
                self._told.add(row.id)
                self._vitals.alerts_sent.labels(self._channel.name).inc()
        self._checkpoint.delivered([row.id for row in rows], self._channel.name)
        self._told.clear()
        return bool(rows)
