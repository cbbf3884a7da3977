"""Answers are given again where they hold, and nowhere else."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from sentinel.connections.redis import RedisAddress, RedisConnection
from sentinel.stores.answers import MOMENT_SECS, SETTLED_SECS, Answers, Lives
from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.memory_cache import MemoryCache
from sentinel.stores.queries import AnomalyFilter, Page, TelemetryFilter
from sentinel.stores.redis_cache import RedisCache
from sentinel.stores.tables import StoredEvent
from sentinel.vitals.inventory import Vitals
from servers.redis import RedisServer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
LONG_AGO = TelemetryFilter(
    service="chat", start=NOW - timedelta(hours=3), end=NOW - timedelta(hours=2)
)


class Store:
    """A store that says how often it was asked."""

    def __init__(self) -> None:
        self.commits = 10
        self.asked = 0

    def telemetry(self, chosen: Any = None, *, limit: int = 100, cursor: Any = None) -> Page[Any]:
        self.asked += 1
        return Page([event(self.asked)], None)

    def anomalies(self, chosen: Any = None, *, limit: int = 100, cursor: Any = None) -> Page[Any]:
        self.asked += 1
        return Page([], f"cursor-{self.asked}")

    def close(self) -> None:
        pass


def event(number: int) -> StoredEvent:
    """Return an event with something in every field, as far as there can be."""
    texts = dict.fromkeys(StoredEvent.__struct_fields__, "té\0xt")
    known = {
        **dict.fromkeys(("latency_ms", "ttft_ms", "cost_usd", "tokens_per_second"), 0.1 + number),
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 2**53 - 1),
        **dict.fromkeys(("prompt_length", "response_length", "index"), number),
        **dict.fromkeys(("timestamp", "received_at"), NOW),
        "error_classes": ["a", "b"],
        "flags": [],
    }
    own = {"offset": number, "error": True, "metadata": msgspec.Raw(b'{"a": 1}'), "user_id": None}
    return StoredEvent(**cast(Any, {**texts, **known, **own}))


class Held:
    """Answers over a store, with the clocks in hand."""

    def __init__(self, shared: RedisCache | None = None, identity: str = "one") -> None:
        self.store, self.vitals = Store(), Vitals()
        self.seconds = 0.0
        self.memory = MemoryCache(capacity=100, tti_secs=60, now=lambda: self.seconds)
        self.answers = Answers(
            cast(DuckDbStore, self.store),
            Lives(memory=self.memory, ttl_secs=300, shared=shared, counted=True),
            self.vitals,
            identity=identity,
            now=lambda: NOW.timestamp() + self.seconds,
        )

    def count(self, name: str, **labels: str) -> float:
        return self.vitals.registry.get_sample_value(f"sentinel_{name}", labels) or 0.0


def test_an_answer_about_a_time_that_is_over_is_given_again_as_it_was() -> None:
    held = Held()
    first = held.answers.telemetry(LONG_AGO, limit=7)
    held.store.commits += 5
    again = held.answers.telemetry(LONG_AGO, limit=7)
    assert held.store.asked == 1
    assert msgspec.json.encode(again) == msgspec.json.encode(first)
    assert again.rows[0].timestamp == NOW
    assert held.count("cache_hits_total", level="process") == 1
    assert held.count("cache_misses_total") == 1
    assert held.count("cache_size") == 1
    held.answers.telemetry(LONG_AGO, limit=8)
    held.answers.telemetry(msgspec.structs.replace(LONG_AGO, model="m"), limit=7)
    held.answers.telemetry(LONG_AGO, limit=7, cursor="further")
    assert held.store.asked == 4
    held.seconds += 61
    held.answers.telemetry(LONG_AGO, limit=7)
    assert held.store.asked == 5, "nobody read it for too long"


def test_an_answer_about_now_is_never_given_again_once_more_rows_are_there() -> None:
    held = Held()
    for seconds, commits, asked in ((0, 10, 1), (0.2, 10, 1), (0.2, 11, 2), (0.3, 11, 2)):
        held.store.commits, held.seconds = commits, seconds
        now = NOW + timedelta(seconds=seconds)
        chosen = TelemetryFilter(start=now - timedelta(hours=1), end=now)
        held.answers.telemetry(chosen)
        assert held.store.asked == asked
    held.seconds += MOMENT_SECS
    held.answers.telemetry(TelemetryFilter(start=NOW - timedelta(hours=1), end=NOW))
    assert held.store.asked == 3


def test_a_time_is_over_ten_minutes_after_its_end() -> None:
    held = Held()
    for ago, kept in ((SETTLED_SECS - 1, False), (SETTLED_SECS + 1, True)):
        chosen = AnomalyFilter(end=NOW - timedelta(seconds=ago))
        before = held.answers.anomalies(chosen)
        held.store.commits += 1
        assert (held.answers.anomalies(chosen) == before) is kept


def test_the_newest_anomalies_are_always_asked_for() -> None:
    held = Held()
    held.answers.anomalies(limit=5)
    held.answers.anomalies(limit=5)
    assert held.store.asked == 2


# Between processes


@pytest.fixture
def connection(redis_server: RedisServer) -> Any:
    connection = RedisConnection(RedisAddress.parse(redis_server.url))
    yield connection
    connection.close()


def test_another_process_on_the_same_store_is_given_the_same_answer(
    redis_server: RedisServer, connection: RedisConnection
) -> None:
    redis_server.ask("FLUSHALL")
    shared = RedisCache(connection, prefix="sentinel:", ttl_secs=300)
    one, other, stranger = Held(shared), Held(shared), Held(shared, identity="another")
    first = one.answers.telemetry(LONG_AGO)
    again = other.answers.telemetry(LONG_AGO)
    assert other.store.asked == 0
    assert msgspec.json.encode(again) == msgspec.json.encode(first)
    assert other.count("cache_hits_total", level="shared") == 1
    other.answers.telemetry(LONG_AGO)
    assert other.count("cache_hits_total", level="process") == 1
    stranger.answers.telemetry(LONG_AGO)
    assert stranger.store.asked == 1
    keys = redis_server.ask("KEYS", "*").split("\n")
    assert len(keys) == 2
    for key in keys:
        assert key.startswith("sentinel:cache:")
        assert 290 < int(redis_server.ask("TTL", key)) <= 300


def test_what_is_no_answer_of_ours_is_a_miss(
    redis_server: RedisServer, connection: RedisConnection
) -> None:
    redis_server.ask("FLUSHALL")
    shared = RedisCache(connection, prefix="sentinel:", ttl_secs=300)
    Held(shared).answers.telemetry(LONG_AGO)
    redis_server.ask("SET", redis_server.ask("KEYS", "*"), '{"rows": [{}], "next_cursor": null}')
    held = Held(shared)
    held.answers.telemetry(LONG_AGO)
    assert held.store.asked == 1


def test_a_process_does_not_fill_a_redis_that_is_others_too(
    redis_server: RedisServer, connection: RedisConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.stores.redis_cache.WINDOW_BYTES_MAX", 1000)
    redis_server.ask("FLUSHALL")
    seconds = 0.0
    shared = RedisCache(connection, prefix="p:", ttl_secs=300, now=lambda: seconds)
    for number in range(5):
        shared.put(b"%d" % number, bytes(300))
    assert redis_server.ask("DBSIZE") == "3"
    seconds = 300.0
    shared.put(b"later", bytes(300))
    shared.put(b"big", bytes(300_000))
    assert redis_server.ask("DBSIZE") == "4"
