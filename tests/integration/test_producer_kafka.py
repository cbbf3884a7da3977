"""The producer against librdkafka's own cluster."""

import json
import subprocess
import sys
import time
from collections import defaultdict

import pytest

from integration.mock_cluster import consumed, mock_cluster, partition_of
from llm_sentinel import TelemetryProducer

EVENTS = 2_000


def test_every_event_is_one_message_and_a_service_keeps_to_one_partition() -> None:
    with mock_cluster() as servers:
        with TelemetryProducer(brokers=servers.split(","), topic="llm.telemetry") as producer:
            for number in range(EVENTS):
                event = producer.create_telemetry_event(f"service-{number % 5}", "m", number)
                assert producer.send_event(event)
            assert producer.flush(20)
            assert producer.counts() == (0, EVENTS, {})
        messages = consumed(servers, "llm.telemetry", EVENTS)
    partitions = defaultdict(set)
    numbers = defaultdict(list)
    for message in messages:
        key, value = message.key(), message.value()
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        sent = json.loads(value)
        assert key.decode() == sent["service_name"]
        partitions[key].add(message.partition())
        numbers[key].append(sent["latency_ms"])
    assert len(messages) == EVENTS
    # As the clients of Java and Go have it: two kinds of senders agree.
    assert partitions == {key: {partition_of(key)} for key in numbers}
    assert all(found == sorted(found) for found in numbers.values())


def test_brokers_that_are_not_there_are_told_and_closing_ends_in_time() -> None:
    began = time.monotonic()
    with TelemetryProducer(brokers="127.0.0.1:9", close_seconds=0.5) as producer:
        producer.send_event(producer.create_telemetry_event("s", "m", 1.0))
    assert time.monotonic() - began < 3.0
    assert producer.counts() == (0, 0, {"closed": 1})


def test_a_message_that_brokers_would_refuse_is_dropped_and_the_next_is_sent() -> None:
    with mock_cluster() as servers:
        settings = {"message.max.bytes": 2_000}
        with TelemetryProducer(brokers=servers, kafka=settings) as producer:
            for text in ("x" * 3_000, "y"):
                event = producer.create_telemetry_event("s", "m", 1.0, prompt_text=text)
                assert producer.send_event(event)
            assert producer.flush(20)
            assert producer.counts() == (0, 1, {"kafka_msg_size_too_large": 1})


def test_produce_sends_the_traffic_of_the_demo_to_kafka() -> None:
    with mock_cluster() as servers:
        command = [sys.executable, "-m", "sentinel", "produce", "--brokers", servers]
        done = subprocess.run(
            [*command, "--topic", "calls", "--no-history", "--seconds", "1"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        sent = int(done.stderr.split()[0].replace(",", ""))
        assert len(consumed(servers, "calls", sent)) == sent > 8_000


def test_kafka_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"llm-sentinel\[kafka\]"):
        TelemetryProducer(brokers="127.0.0.1:9092")
