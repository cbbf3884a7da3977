"""Where the state of a service lies, as its settings say."""

from pathlib import Path

from sentinel.checkpoints.contract import Checkpoints
from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.checkpoints.redis_place import RedisCheckpoints
from sentinel.connections.redis import RedisAddress, RedisConnection
from sentinel.settings import Settings
from sentinel.settings.shared import Redis


def connection_to(redis: Redis) -> RedisConnection:
    """Return the way to a Redis; nothing is opened yet."""
    assert redis.url is not None, "checked with the settings"
    password = None if redis.password is None else redis.password.reveal()
    return RedisConnection(RedisAddress.parse(redis.url), password=password, ca_file=redis.ca_file)


def state_place(settings: Settings, log_id: str) -> tuple[Checkpoints, str]:
    """Return where the state of a journal is kept, and under which name.

    In Redis its name is that of the journal: services that share one have nothing to agree on.
    """
    if settings.checkpoint.type == "disk":
        return FolderCheckpoints(Path(settings.data_dir)), "checkpoint"
    return _in_redis(settings), f"journal-{log_id}"


def partitions_place(settings: Settings) -> Checkpoints:
    """Return where the states of the partitions of topics are kept.

    On disk they are ours alone; what several processes share lies in Redis.
    """
    if settings.checkpoint.type == "disk":
        return FolderCheckpoints(Path(settings.data_dir) / "partitions")
    return _in_redis(settings)


def _in_redis(settings: Settings) -> Checkpoints:
    redis = settings.storage.redis
    assert redis is not None, "checked with the settings"
    return RedisCheckpoints(connection_to(redis), prefix=redis.key_prefix)
