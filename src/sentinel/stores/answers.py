"""Answers of the store that are given again, as long as they are what it would say.

An answer about a time that is still going on is never given again once more rows are there.  One
about a time that is over lives on, in this process and, where there is a Redis, for whoever has the
same store: the next process, most of the time, as each has its own.  The newest anomalies and
incidents are not kept at all.
"""

import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from sentinel.model.anomaly import Anomaly
from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.memory_cache import MemoryCache
from sentinel.stores.queries import AnomalyFilter, Filter, Page, TelemetryFilter
from sentinel.stores.redis_cache import RedisCache
from sentinel.stores.tables import StoredEvent
from sentinel.vitals.inventory import Vitals

T = TypeVar("T")

SETTLED_SECS: Final = 600
"""So long after its end a time is over: what is late by more is seen when its answer has died."""
MOMENT_SECS: Final = 1
"""Life of an answer about a time that goes on; its bounds move with the clock."""
_VERSION: Final = "1"
"""Of the form in which answers are kept."""


class _KeptEvent(StoredEvent, frozen=True, gc=False):
    """An event as it is read again: msgspec reads no `Raw | None`, and a lone `Raw` takes null."""

    metadata: msgspec.Raw


class Lives(Struct, frozen=True, kw_only=True):
    """Where answers live, and how long in memory."""

    memory: MemoryCache
    ttl_secs: float
    shared: RedisCache | None
    """None: there is no Redis, or what is kept in the store is not for it."""
    counted: bool
    """Whether hits and misses are counted."""


class Answers:
    """Asks a store, and gives its answers again where they hold.

    Parameters
    ----------
    identity
        Of the store: nobody is given the answers of another.
    """

    def __init__(
        self,
        store: DuckDbStore,
        lives: Lives,
        vitals: Vitals,
        *,
        identity: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._lives, self._vitals = store, lives, vitals
        self._identity, self._now = identity, now

    def telemetry(
        self, chosen: TelemetryFilter | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page[StoredEvent]:
        """Return events, newest first: see `DuckDbStore.telemetry`."""
        if chosen is None:
            return self._store.telemetry(limit=limit, cursor=cursor)
        return self._again(
            Page[_KeptEvent],
            ("telemetry", chosen, limit, cursor),
            lambda: self._store.telemetry(chosen, limit=limit, cursor=cursor),
        )

    def anomalies(
        self, chosen: AnomalyFilter | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Anomaly]:
        """Return anomalies, newest first: see `DuckDbStore.anomalies`."""
        if chosen is None:
            return self._store.anomalies(limit=limit, cursor=cursor)
        return self._again(
            Page[Anomaly],
            ("anomalies", chosen, limit, cursor),
            lambda: self._store.anomalies(chosen, limit=limit, cursor=cursor),
        )

    def close(self) -> None:
        """Close the store, and let go of the way to Redis."""
        if self._lives.shared is not None:
            self._lives.shared.close()
        self._store.close()

    def _again(
        self,
        kind: Any,
        asked: tuple[str, Filter, int, str | None],
        ask: Callable[[], Page[T]],
    ) -> Page[T]:
        lives = self._lives
        chosen = asked[1]
        settled = chosen.end is not None and chosen.end.timestamp() < self._now() - SETTLED_SECS
        stands: Any = None
        if not settled:
            chosen, stands = _in_whole_seconds(chosen), self._store.commits
        key = self._key(asked[0], chosen, *asked[2:], stands)
        answer: Page[T] | None = self._read(kind, lives.memory.get(key), "process")
        if answer is None and settled and lives.shared is not None:
            found = lives.shared.get(key)
            answer = self._read(kind, found, "shared")
            if answer is not None and found is not None:
                lives.memory.put(key, found, ttl_secs=lives.ttl_secs)
        if answer is None:
            answer = ask()
            kept = msgspec.json.encode(answer)
            lives.memory.put(key, kept, ttl_secs=lives.ttl_secs if settled else MOMENT_SECS)
            if settled and lives.shared is not None:
                lives.shared.put(key, kept)
            if lives.counted:
                self._vitals.cache_misses.inc()
        if lives.counted:
            self._vitals.cache_size.set(len(lives.memory))
        return answer

    def _key(self, *parts: Any) -> bytes:
        whole = (_VERSION, self._identity, *parts)
        return blake2b(msgspec.msgpack.encode(whole), digest_size=16).digest()

    def _read(self, kind: Any, kept: bytes | None, level: str) -> Any:
        """Return an answer that was kept; None where there is none, or not one of ours."""
        if kept is None:
            return None
        try:
            answer = msgspec.json.decode(kept, type=kind)
        except msgspec.MsgspecError:
            return None
        if self._lives.counted:
            self._vitals.cache_hits.labels(level).inc()
        return answer


def _in_whole_seconds(chosen: Filter) -> Filter:
    """Return a filter whose bounds are the same for all who ask in one second."""
    start, end = chosen.start, chosen.end
    return structs.replace(
        chosen,
        start=None if start is None else start.replace(microsecond=0),
        end=None if end is None else end.replace(microsecond=0),
    )
