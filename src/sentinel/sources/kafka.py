"""Telemetry from Kafka topics: the thread that polls.

It fetches, hands over and never waits for what is done with it: when too much waits, fetching
pauses and polling goes on, so that the group keeps us.  Who holds which partition, and where it
starts, is decided by whom it serves.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sentinel.connections.kafka import Chunk, Client, Group, Place, Trouble

CRASH_POINTS: Final = ("consumed", "assign", "assigned", "revoke", "revoked", "lost")
"""With messages in hand; before and after partitions are taken; the same of letting them go."""
POLL_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 1.0


class Served(Protocol):
    """Whom the source serves, on its thread."""

    def assigned(self, group: Group, places: list[Place]) -> dict[Place, int]:
        """Take partitions; return where each starts."""

    def revoked(self, places: list[Place]) -> None:
        """Let partitions go, what was judged first kept."""

    def lost(self, places: list[Place]) -> None:
        """Drop partitions that somebody else has by now."""

    def take(self, chunks: list[Chunk]) -> None:
        """Take messages, some of which may be of partitions that are not held any more."""

    def resting(self) -> set[Place]:
        """Return the partitions that nothing should be fetched of for now."""

    def meet(self, trouble: Trouble) -> None:
        """Hear of what went wrong."""

    def look(self, group: Group) -> None:
        """Look around, about once a second."""


class KafkaSource:
    """A member of the group, for as long as it is not stopped.

    Parameters
    ----------
    most
        Messages taken at once.
    failed
        Told of what cannot go on.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str],
        served: Served,
        *,
        most: int,
        failed: Callable[[BaseException], None],
        crash_point: Callable[[str], None],
    ) -> None:
        self._client, self._topics, self._served, self._most = client, topics, served, most
        self._failed, self._crash_point = failed, crash_point
        self._stopping = self._leaving = False
        self._group: Group | None = None
        self._held: set[Place] = set()
        self._paused: set[Place] = set()
        self._thread = threading.Thread(target=self._run, name="kafka-source", daemon=True)

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    def rejoin(self) -> None:
        """Leave the group and join it again; from any thread."""
        self._leaving = True

    def stop(self, timeout: float) -> bool:
        """Leave the group, what is held let go in order; says whether there was time for it."""
        self._stopping = self._leaving = True
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # The group's calls

    def assigned(self, places: list[Place]) -> dict[Place, int]:
        """Take partitions: only the new ones are named."""
        assert self._group is not None, "it calls us"
        self._crash_point("assign")
        start = self._served.assigned(self._group, places)
        self._crash_point("assigned")
        self._held |= start.keys()
        self._paused -= start.keys()
        return start

    def revoked(self, places: list[Place]) -> None:
        """Let partitions go."""
        self._crash_point("revoke")
        self._served.revoked(places)
        self._crash_point("revoked")
        self._forget(places)

    def lost(self, places: list[Place]) -> None:
        """Drop partitions."""
        self._served.lost(places)
        self._crash_point("lost")
        self._forget(places)

    def _forget(self, places: list[Place]) -> None:
        self._held -= set(places)
        self._paused -= set(places)

    # The thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._leaving = self._stopping
                self._held, self._paused = set(), set()
                group = self._group = Group(self._client, self._topics, self)
                try:
                    self._poll(group)
                finally:
                    group.close()
        except BaseException as error:
            self._failed(error)
            raise

    def _poll(self, group: Group) -> None:
        look_at = 0.0
        while not self._leaving:
            self._pause_or_resume(group)
            chunks, troubles = group.consume(self._most, POLL_SECONDS)
            if chunks:
                self._crash_point("consumed")
                self._served.take(chunks)
            for trouble in troubles:
                self._served.meet(trouble)
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                self._served.look(group)

    def _pause_or_resume(self, group: Group) -> None:
        resting = self._served.resting() & self._held
        if resting - self._paused:
            group.pause(resting - self._paused)
        if self._paused - resting:
            group.resume(self._paused - resting)
        self._paused = resting
