"""Services on Kafka: what any of them takes is judged by the one that owns the partition."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from end_to_end.serving import Serving, calls, serving, until
from servers.mock_kafka import MockKafka, mock_kafka
from servers.redis import RedisServer, redis_server

TOPIC = "llm.telemetry"


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[MockKafka]:
    with mock_kafka(tmp_path / "kafka", {TOPIC: 2, f"{TOPIC}.dlq": 1}) as cluster:
        yield cluster


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


def on(kafka: MockKafka, redis: RedisServer | None = None, **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "brokers": [kafka.bootstrap],
        "auto_offset_reset": "earliest",
        "session_timeout_ms": 2000,
    }
    shared: dict[str, Any] = {}
    if redis is not None:
        shared = {"checkpoint": {"type": "redis"}, "storage": {"redis": {"url": redis.url}}}
    return shared | {
        "ingestion": {"kafka": settings | more},
        "detection": {"baseline": {"update_interval_secs": 1}},
        "privacy": {"key": "a key that all of them have"},
    }


def send(kafka: MockKafka, *messages: tuple[str, bytes]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for key, value in messages:
        producer.produce(TOPIC, value, key)
    assert producer.flush(10) == 0


def letters(kafka: MockKafka, count: int) -> list[tuple[bytes | None, Any]]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "letters"})
    consumer.assign([TopicPartition(f"{TOPIC}.dlq", 0, 0)])
    found: list[tuple[bytes | None, Any]] = []
    deadline = time.monotonic() + 15
    while len(found) < count:
        assert time.monotonic() < deadline
        found += [(m.key(), json.loads(m.value() or b"")) for m in consumer.consume(count, 0.5)]
    consumer.close()
    return found


def test_messages_and_requests_are_judged_and_outlive_a_kill(
    tmp_path: Path, kafka: MockKafka
) -> None:
    events = calls("chat", 60)
    send(kafka, *(("chat", json.dumps(event).encode()) for event in events[:40]))
    with serving(tmp_path, on(kafka)) as service:
        until(lambda: service.count("chat") == 40)
        service.send(*events[40:], *calls("search", 5))
        until(lambda: (service.count("chat"), service.count("search")) == (60, 5))
        ids = {row["event_id"] for row in service.pages("telemetry", "data", service="chat")}
        service.signal(9)
        service.wait()
        service.start()
        until(lambda: len(service.read("/api/v1/baselines", service="chat")["baselines"]) > 0)
        until(lambda: service.read("/api/v1/baselines")["baselines"][0]["samples"] == 60)
        service.send(*calls("chat", 1))
        until(lambda: service.count("chat") == 61)
        after = {row["event_id"] for row in service.pages("telemetry", "data", service="chat")}
        assert ids < after
        assert service.stop() == 0
        assert service.logged("partition.revoked")


def test_what_cannot_be_read_goes_to_the_dead_letters_without_its_text(
    tmp_path: Path, kafka: MockKafka
) -> None:
    bad = b'{"service_name": "chat", "secret of a user": 1'
    negative = b'{"service_name": "chat", "model": "m", "latency_ms": -1}'
    send(kafka, ("chat", bad), ("chat", negative), ("chat", b""))
    with serving(tmp_path, on(kafka)) as service:
        found = letters(kafka, 2)
        assert {key for key, _ in found} == {b"chat"}
        assert {letter["code"] for _, letter in found} >= {"not_json", "negative"}
        [letter] = [letter for _, letter in found if letter["code"] == "not_json"]
        assert (letter["topic"], letter["size"]) == (TOPIC, len(bad))
        assert "secret of a user" not in str(found) + service.log()


def test_any_of_two_takes_events_and_says_what_the_other_knows(
    tmp_path: Path, kafka: MockKafka, redis: RedisServer
) -> None:
    names = [f"svc-{number}" for number in range(6)]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with (
        serving(tmp_path / "one", on(kafka, redis)) as one,
        serving(tmp_path / "two", on(kafka, redis)) as two,
    ):
        until(lambda: all(service.logged("partition.assigned") for service in (one, two)))
        for number in range(12):
            for name in names:
                (one, two)[number % 2].send(*calls(name, 5))
        until(lambda: sum(s.count(name) for name in names for s in (one, two)) == 360)

        def known(service: Serving) -> dict[str, Any]:
            rows = service.read("/api/v1/baselines", metric="latency_ms")["baselines"]
            return {row["service"]: row for row in rows if row["samples"] == 60}

        until(lambda: known(one).keys() == known(two).keys() == set(names), 40)
        assert {row["as_of"] is None for row in known(one).values()} == {True, False}
        # Who is left takes all over.
        two.signal(9)
        until(lambda: len(one.logged("partition.assigned")) >= 3, 30)
        one.send(*calls("svc-0", 1), *calls("svc-1", 1), *calls("svc-2", 1), *calls("svc-3", 1))
        until(
            lambda: (
                {row["samples"] for row in one.read("/api/v1/baselines")["baselines"]} >= {60, 61}
            )
        )
        assert all(row["as_of"] is None for row in one.read("/api/v1/baselines")["baselines"])


def test_brokers_that_do_not_answer_are_named(tmp_path: Path) -> None:
    config = {"ingestion": {"kafka": {"brokers": ["127.0.0.1:1"]}}}
    service = Serving(tmp_path, config)
    service.launch()
    try:
        assert service.wait() != 0
        assert "are the brokers up?" in service.log()
    finally:
        service.close()
