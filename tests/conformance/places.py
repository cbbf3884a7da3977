"""The places where state may lie, each by a word and an address, for tests and their children."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentinel.checkpoints.contract import Checkpoints
from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.checkpoints.redis import CRASH_POINTS as REDIS_POINTS
from sentinel.checkpoints.redis_place import RedisCheckpoints
from sentinel.checkpoints.sqlite import CRASH_POINTS as DISK_POINTS
from sentinel.connections.redis import RedisAddress, RedisConnection

POINTS = [("disk", point) for point in DISK_POINTS] + [("redis", point) for point in REDIS_POINTS]


@contextmanager
def place_at(where: str, prefix: str = "sentinel:") -> Iterator[Checkpoints]:
    """Open a place: a folder, or the URL of a Redis."""
    place: Checkpoints
    if "://" in where:
        connection = RedisConnection(RedisAddress.parse(where))
        place = RedisCheckpoints(connection, prefix=prefix)
    else:
        place = FolderCheckpoints(Path(where))
    try:
        yield place
    finally:
        place.close()
