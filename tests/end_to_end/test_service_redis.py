"""A service whose state lies in Redis: it comes back as from a disk, and says what it lost."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.samples import Sample

from end_to_end.serving import Serving, call, calls, families, serving, until
from end_to_end.test_service_life import open_incident, refusal_of, samples, state_of
from servers.redis import RedisServer, redis_server, say


def in_redis(server: RedisServer, **redis: Any) -> dict[str, Any]:
    return {
        "checkpoint": {"type": "redis"},
        "storage": {"redis": {"url": server.url, **redis}},
        "detection": {"baseline": {"update_interval_secs": 1}},
    }


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis", "--requirepass", "word", "--appendonly", "yes") as server:
        yield server


def ask(redis: RedisServer, *words: str) -> str:
    return say(redis.port, ["AUTH", "word"], list(words))


def is_stored(service: Serving, count: int) -> bool:
    return service.count("chat") == count


def test_after_kills_everything_is_as_it_was_with_the_state_in_redis(
    tmp_path: Path, redis: RedisServer
) -> None:
    with serving(tmp_path, in_redis(redis, password="word")) as service:
        assert not (service.data_dir / "checkpoint.sqlite").exists()
        open_incident(service)
        before = state_of(service)
        for sent in (200, 250):
            service.send(*calls("chat", 50))
            service.signal(signal.SIGKILL)
            service.wait()
            service.start()
            assert samples(service) == sent
            until(partial(is_stored, service, sent))
        assert [row["id"] for row in state_of(service)[1]] == [row["id"] for row in before[1]]
        assert len(service.logged("alert.open")) == 1
        assert not service.logged("state.cold_start")
        keys = ask(redis, "KEYS", "*").split("\n")
        assert keys
        assert all(key.startswith("sentinel:{journal-") for key in keys)
        assert "word" not in service.log()


def test_while_redis_is_away_nothing_is_told_and_then_all_of_it(
    tmp_path: Path, redis: RedisServer
) -> None:
    with serving(tmp_path, in_redis(redis, password="word")) as service:
        service.send_and_wait(*calls("chat", 120))
        redis.kill()
        service.send(*calls("chat", 30, errors=["timeout"]))
        until(lambda: service.get("/health/ready").status == 503)
        until(lambda: service.logged("state.not_kept"))
        refused = service.post("/api/v1/events", call("chat"))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert not service.logged("alert.open")
        redis.start()
        until(lambda: service.get("/health/ready").status == 200)
        until(lambda: service.logged("alert.open"))
        assert service.is_alive
        assert service.stop() == 0
        assert len(service.logged("alert.open")) == 1


def test_a_redis_that_was_emptied_is_a_cold_start_that_says_so(
    tmp_path: Path, redis: RedisServer
) -> None:
    with serving(tmp_path, in_redis(redis, password="word")) as service:
        open_incident(service)
        before = state_of(service)
        ask(redis, "FLUSHALL")
        service.send(*calls("chat", 1))
        assert service.wait() == 1
        assert "the state is gone" in service.log()
        service.start()
        assert service.logged("state.cold_start")
        assert families(service)["sentinel_state_cold_starts"].samples[0].value == 1
        # The journal has all of it, so what is learned again is what was known.
        assert samples(service) == 151
        assert [row["id"] for row in state_of(service)[1]] == [row["id"] for row in before[1]]
        assert service.stop() == 0
        service.start()
        assert families(service)["sentinel_state_cold_starts"].samples[0].value == 0


def test_answers_are_kept_and_nothing_new_is_hidden_by_them(
    tmp_path: Path, redis: RedisServer
) -> None:
    storage = {"redis": {"url": redis.url, "password": "word"}, "cache": {}}
    over = {"service": "chat", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00Z"}
    with serving(tmp_path, {"storage": storage}) as service:
        service.send_and_wait(*calls("chat", 20))
        answer = service.read("/api/v1/telemetry", **over)
        assert service.read("/api/v1/telemetry", **over) == answer
        open_incident(service)
        (incident,) = service.read("/api/v1/incidents")["incidents"]
        service.post(f"/api/v1/incidents/{incident['id']}/acknowledge", {"by": "ann"})
        (seen,) = service.read("/api/v1/incidents")["incidents"]
        assert seen["state"] == "acknowledged"
        assert service.count("chat") == 170
        assert service.stop() == 0
        service.start()
        assert service.read("/api/v1/telemetry", **over) == answer
        found = families(service)
        hits = {sample.labels["level"]: sample.value for sample in hits_of(found)}
        assert hits == {"shared": 1}
        assert found["sentinel_cache_size"].samples[0].value == 1
        redis.kill()
        assert service.read("/api/v1/telemetry", **over) == answer
        assert service.read("/api/v1/telemetry", **over | {"service": "x"})["count"] == 0
        assert service.get("/health/ready").status == 200


def hits_of(found: dict[str, Metric]) -> list[Sample]:
    samples = found["sentinel_cache_hits"].samples
    return [sample for sample in samples if sample.name.endswith("_total")]


def test_a_redis_that_would_throw_state_away_stops_the_start(
    tmp_path: Path, redis: RedisServer
) -> None:
    ask(redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    said = refusal_of(Serving(tmp_path, in_redis(redis, password="word")))
    assert "maxmemory-policy is allkeys-lru" in said
    assert "Traceback" not in said
