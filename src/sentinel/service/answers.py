"""Who answers questions about the past: the store, or what is kept of its answers."""

import secrets
from pathlib import Path
from typing import Final

from sentinel.service.state_place import connection_to
from sentinel.settings import Settings
from sentinel.stores.answers import Answers, Lives
from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.memory_cache import MemoryCache
from sentinel.stores.redis_cache import RedisCache
from sentinel.vitals.inventory import Vitals

STORE_FILE: Final = "sentinel.duckdb"


def store_identity(folder: Path) -> str:
    """Return what tells the store in a folder from any other; called before it is opened.

    A store that is not there yet gets a new one: it knows nothing of what another answered.
    """
    path = folder / "store.id"
    if path.exists() and (folder / STORE_FILE).exists():
        return path.read_text()
    identity = secrets.token_hex(16)
    path.write_text(identity)
    return identity


def answers_of(
    settings: Settings, store: DuckDbStore, vitals: Vitals, identity: str
) -> Answers | DuckDbStore:
    """Return the store itself where nothing is to be kept."""
    cache, redis = settings.storage.cache, settings.storage.redis
    if cache is None:
        return store
    shared = None
    # Texts as they were written stay on the disk that they were meant for.
    if redis is not None and redis.enabled and redis.url and settings.privacy.content != "full":
        shared = RedisCache(connection_to(redis), prefix=redis.key_prefix, ttl_secs=redis.ttl_secs)
    memory = MemoryCache(capacity=cache.max_capacity, tti_secs=cache.tti_secs)
    lives = Lives(
        memory=memory, ttl_secs=cache.ttl_secs, shared=shared, counted=cache.enable_metrics
    )
    return Answers(store, lives, vitals, identity=identity)
