"""How the producer takes the answers of the service, and what it does without one."""

import logging
import os
import time
from decimal import Decimal
from typing import Any

import pytest

from llm_sentinel import Event, TelemetryProducer
from unit.producer.answering import Answering, Reply, answering


def producer_for(service: Answering, **settings: Any) -> TelemetryProducer:
    return TelemetryProducer(url=service.url, **{"linger_seconds": 0.02, **settings})


def event_of(producer: TelemetryProducer, number: int = 0, **fields: Any) -> Event:
    return producer.create_telemetry_event("chat-api", "gpt-4o", 100.0 + number, **fields)


def test_events_are_sent_together_in_the_nested_form_with_the_key() -> None:
    with answering() as service, producer_for(service, api_key="sk-test") as producer:
        for number in range(3):
            event = event_of(producer, number, prompt_tokens=9, cost_usd=Decimal("0.25"))
            assert producer.send_event(event)
        assert producer.flush()
        (request,) = service.requests
    assert request.path == "/api/v1/events"
    assert request.headers["X-API-Key"] == "sk-test"
    assert [one["latency_ms"] for one in request.events] == [100.0, 101.0, 102.0]
    assert request.events[0]["prompt"] == {"tokens": 9}
    assert request.events[0]["cost_usd"] == 0.25
    assert len({one["event_id"] for one in request.events}) == 3
    assert producer.counts() == (0, 3, {})


@pytest.mark.parametrize("status", [0, 408, 429, 502, 503, 504])
def test_what_is_not_answered_for_is_sent_again_under_the_same_ids(status: int) -> None:
    with answering(Reply(status), Reply(status)) as service:
        with producer_for(service) as producer:
            producer.send_event(event_of(producer))
            assert producer.flush()
        first, second, third = service.requests
    assert first.events == second.events == third.events
    assert producer.counts() == (0, 1, {})


def test_retry_after_is_waited_for() -> None:
    later = Reply(503, headers={"Retry-After": "1"})
    with answering(later) as service, producer_for(service) as producer:
        began = time.monotonic()
        producer.send_event(event_of(producer))
        assert producer.flush()
        assert time.monotonic() - began >= 1.0
    assert producer.counts().sent == 1


def test_what_is_refused_is_counted_by_its_reason_and_the_rest_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = [{"index": 1, "code": "negative", "path": "$.latency_ms"}]
    receipt = Reply(200, {"accepted": 1, "rejected": refused})
    with answering(receipt) as service, producer_for(service) as producer:
        producer.send_event(event_of(producer))
        producer.send_event(event_of(producer, -200))
        assert producer.flush()
    assert producer.counts() == (0, 1, {"negative": 1})
    assert "dropped 1 events: 1 negative (at $.latency_ms)" in caplog.text


def test_where_all_are_refused_each_has_its_reason() -> None:
    errors = [{"index": 0, "code": "bad_name", "path": "$.service_name"}]
    with answering(Reply(400, {"detail": "none", "errors": errors})) as service:
        with producer_for(service) as producer:
            producer.send_event(event_of(producer))
            assert producer.flush()
        assert len(service.requests) == 1
    assert producer.counts() == (0, 0, {"bad_name": 1})


def test_a_wrong_key_is_not_tried_again() -> None:
    with answering(Reply(401, {"detail": "unknown key"})) as service:
        with producer_for(service) as producer:
            producer.send_event(event_of(producer))
            assert producer.flush()
        assert len(service.requests) == 1
    assert producer.counts().dropped == {"http_401": 1}


def test_a_body_that_is_too_large_is_sent_in_halves() -> None:
    with answering(Reply(413), Reply(413)) as service, producer_for(service) as producer:
        for number in range(4):
            producer.send_event(event_of(producer, number))
        assert producer.flush()
        sizes = [len(request.events) for request in service.requests]
    assert sizes == [4, 2, 1, 1, 2]
    assert producer.counts() == (0, 4, {})


def test_a_full_queue_drops_counts_and_tells_and_never_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with answering() as service:
        service.hold.clear()
        with producer_for(service, queue_bytes_max=4_000) as producer:
            began = time.monotonic()
            taken = [producer.send_event(event_of(producer)) for _ in range(500)]
            assert time.monotonic() - began < 1.0
            service.hold.set()
            assert producer.flush()
        assert len(service.events) == sum(taken) < 100
    counts = producer.counts()
    assert counts.sent == sum(taken)
    assert counts.dropped == {"queue_full": 500 - sum(taken)}
    # The first at once, the rest at the end: an outage does not fill the log.
    assert caplog.text.count("queue_full") == 2


def test_who_wants_to_wait_for_room_loses_nothing() -> None:
    patient = {"queue_bytes_max": 4_000, "wait_seconds": 10}
    with answering() as service, producer_for(service, **patient) as producer:
        assert all(producer.send_event(event_of(producer)) for _ in range(500))
    assert producer.counts() == (0, 500, {})


def test_closing_sends_what_waits() -> None:
    with answering() as service:
        with producer_for(service, linger_seconds=60) as producer:
            producer.send_event(event_of(producer))
        assert len(service.events) == 1
        assert not producer.send_event(event_of(producer))
    assert producer.counts() == (0, 1, {"closed": 1})


def test_closing_gives_up_in_time_where_nobody_answers(caplog: pytest.LogCaptureFixture) -> None:
    with answering() as service:
        url = service.url
    began = time.monotonic()
    with TelemetryProducer(url=url, linger_seconds=0, close_seconds=0.5) as producer:
        producer.send_event(event_of(producer))
    assert time.monotonic() - began < 2.0
    assert producer.counts() == (0, 0, {"closed": 1})
    assert f"events wait: {url}" in caplog.text
    assert "dropped 1 events: 1 closed" in caplog.text


def test_an_event_that_cannot_be_sent_never_fails_the_application() -> None:
    with answering() as service, producer_for(service) as producer:
        event = event_of(producer, metadata={"model": object()})
        assert not producer.send_event(event)
        assert producer.counts().dropped == {"not_encodable": 1}
    assert service.requests == []


def test_a_failure_of_our_own_is_counted_and_the_next_events_are_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with answering(Reply(200, {"rejected": 7})) as service, producer_for(service) as producer:
        producer.send_event(event_of(producer))
        assert producer.flush()
        producer.send_event(event_of(producer))
        assert producer.flush()
    assert producer.counts() == (0, 1, {"failed": 1})
    assert caplog.records[0].levelno == logging.ERROR


def test_a_forked_worker_sends_its_own_events_and_none_of_its_parent() -> None:
    with answering() as service, producer_for(service, linger_seconds=60) as producer:
        producer.send_event(event_of(producer, 1))
        child = os.fork()
        if child == 0:
            producer.send_event(event_of(producer, 2))
            sent = producer.flush()
            os._exit(0 if sent and producer.counts() == (0, 1, {}) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [event["latency_ms"] for event in service.events] == [102.0]
        assert producer.flush()
    assert sorted(event["latency_ms"] for event in service.events) == [101.0, 102.0]


@pytest.mark.parametrize(
    "arguments", [{"url": "localhost:8080"}, {"url": ""}, {"url": "http://h", "brokers": "h:9092"}]
)
def test_an_address_that_cannot_be_used_is_refused_at_once(arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        TelemetryProducer(**arguments)  # type: ignore[arg-type]
