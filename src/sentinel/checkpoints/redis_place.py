"""The states of partitions in one Redis, each with keys of its own."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from sentinel.checkpoints import redis_scripts as scripts
from sentinel.checkpoints.contract import go_on
from sentinel.checkpoints.redis import OPEN_SECONDS, PAGE_ROWS, Place, RedisCheckpoint, record_of
from sentinel.checkpoints.rows import OutboxRow, Seen
from sentinel.connections.redis import RedisConnection
from sentinel.errors import StateError
from sentinel.vitals.logs import log

LOOKS: Final = 5
"""Attempts to see a state between two sweeps: one takes a second, sweeps come every 60."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
_POLICY: Final = re.compile(r"maxmemory_policy:(\S+)")
_KEPT: Final = re.compile(r"aof_enabled:1")


class RedisCheckpoints:
    """A place for state: see `contract.Checkpoints`."""

    def __init__(self, connection: RedisConnection, *, prefix: str) -> None:
        self._connection, self._prefix = connection, prefix

    def open(
        self, partition: str, *, log_id: str, crash_point: Callable[[str], None] = go_on
    ) -> RedisCheckpoint:
        """Take hold of the state of a partition and raise its fence.

        Raises
        ------
        StateError
            Redis is away, or would throw state away when its memory is full.
        """
        place = self._place(partition)
        memory, persistence = place.ask(scripts.SERVER, place.keys("stand"), seconds=OPEN_SECONDS)
        policy = _POLICY.search(memory.decode())
        if policy is not None and policy[1] != "noeviction":
            raise StateError(
                f"{self._connection.address}: maxmemory-policy is {policy[1]}, "
                "and state would be thrown away without a word",
                "CONFIG SET maxmemory-policy noeviction, or use a Redis of its own",
            )
        if not _KEPT.search(persistence.decode()):
            log.warning("redis.not_durable", appendonly="no", at=str(self._connection.address))
        return RedisCheckpoint(place, log_id, crash_point).raise_fence()

    def look(self, partition: str, *, series: bool = True) -> Seen | None:
        """Return a state as its owner has left it, between two sweeps."""
        place = self._place(partition)
        for _ in range(LOOKS):
            before = place.ask(scripts.STAND, place.keys("stand"))
            if before[0] is None:
                return None
            # In this order: what moves from the one to the other meanwhile is seen in one of them.
            # While `pending` stays as it is, so does whose slices are staged.
            found = _staged(place) if series and before[3] is not None else {}
            shared = place.shared()
            moved = dict(row for page in (place.pages() if series else ()) for row in page)
            after = place.ask(scripts.STAND, place.keys("stand"))
            if after[2:] == before[2:]:
                rows = sorted((moved | found).items())
                records = [record_of(name, blob) for name, blob in rows if blob]
                return Seen(
                    next_offset=int(after[0]),
                    shared=shared,
                    series=[record for record in records if record is not None],
                    epoch=int(after[1]),
                )
        raise StateError(f"{place.title}: is written again and again while it is read")

    def waiting(self, partition: str, destination: str, limit: int) -> list[OutboxRow]:
        """Return the rows of a destination that wait longest, whoever owns the state."""
        return self._place(partition).outbox(destination, limit)

    def taken(self, partition: str, ids: Sequence[str], destination: str) -> None:
        """Delete rows that are safe elsewhere, whoever owns the state."""
        place = self._place(partition)
        keys = [*place.keys("stand"), *place.outbox_keys(destination)]
        place.ask(scripts.TAKEN, keys, ids)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _place(self, partition: str) -> Place:
        if not _NAME.fullmatch(partition):
            raise StateError(f"{partition!r}: no name for a state")
        return Place(self._connection, self._prefix, partition)


def _staged(place: Place) -> dict[bytes, bytes]:
    """Return what was switched and has not moved yet; empty: the series is gone."""
    found: dict[bytes, bytes] = {}
    cursor = b"0"
    while True:
        cursor, flat = place.ask(scripts.STAGED, place.keys("staged"), (cursor, PAGE_ROWS))
        found.update(zip(flat[::2], flat[1::2], strict=True))
        if cursor == b"0":
            found.pop(b"", None)
            return found
