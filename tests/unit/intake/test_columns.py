"""The columns of a batch, and the one form into which every event is brought."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from sentinel._core.columns import Reader
from sentinel.intake import Intake
from sentinel.model.batch import Key
from sentinel.model.event import Event, Prompt, Response
from sentinel.model.metric import METRIC_INDEX, METRICS

Make = Callable[..., bytes]

SECOND = 1_000_000_000
T0 = 1_740_992_400 * SECOND  # 2025-03-03T09:00:00Z


def values_of(intake: Intake, body: bytes) -> dict[str, float]:
    batch, rejections, _ = intake.take(body, offset=0, received_at=T0)
    assert rejections == []
    return dict(zip(METRICS, batch.values[0].tolist(), strict=True))


def test_columns_stand_in_the_order_of_the_metrics(intake: Intake, make: Make) -> None:
    body = make(latency_ms=2000, ttft_ms=300, total_tokens=170, errors=["timeout"])
    expected = {
        "latency_ms": 2000.0,
        "ttft_ms": 300.0,
        "prompt_tokens": 100.0,
        "completion_tokens": 50.0,
        "total_tokens": 170.0,
        "cost_usd": 0.5,
        "tokens_per_second": 25.0,
        "error": 1.0,
    }
    assert values_of(intake, body) == expected
    assert list(expected) == list(METRIC_INDEX)


def test_what_is_absent_is_nan_and_what_is_zero_is_zero(intake: Intake, make: Make) -> None:
    absent = values_of(intake, make(prompt=None, response=None, latency_ms=None, cost_usd=None))
    assert all(np.isnan(value) for metric, value in absent.items() if metric != "error")
    zero = values_of(intake, make(prompt={"tokens": 0}, response={"tokens": 0}, cost_usd=0))
    assert zero["prompt_tokens"] == zero["total_tokens"] == zero["cost_usd"] == 0.0


def test_the_total_is_the_sum_only_where_both_are_known(intake: Intake, make: Make) -> None:
    assert values_of(intake, make())["total_tokens"] == 150.0
    assert np.isnan(values_of(intake, make(response=None))["total_tokens"])


def test_no_rate_is_made_of_a_latency_of_zero(intake: Intake, make: Make) -> None:
    assert np.isnan(values_of(intake, make(latency_ms=0))["tokens_per_second"])


def test_the_flat_form_gives_the_same_columns_and_the_same_canonical_event(
    intake: Intake, make: Make
) -> None:
    nested = make(prompt={"text": "hello", "tokens": 100}, response={"text": "yo", "tokens": 50})
    flat = make(
        **dict.fromkeys(("event_id", "model", "prompt", "response")),
        request_id="00000001-0000-4000-8000-00000000000a",
        model_name="gpt-4",
        prompt_tokens=100,
        completion_tokens=50,
        prompt_text="hello",
        response_text="yo",
    )
    one, two = (intake.take(body, offset=0, received_at=T0)[0] for body in (nested, flat))
    np.testing.assert_array_equal(one.values, two.values)
    assert one.events == two.events
    assert one.id_low[0] == two.id_low[0]


def test_the_nested_form_wins_over_the_flat_one(intake: Intake, make: Make) -> None:
    batch, _, _ = intake.take(
        make(model_name="other", prompt_tokens=7, request_id=9), offset=0, received_at=T0
    )
    event = batch.events[0]
    assert event.prompt is not None
    assert (event.model, event.prompt.tokens) == ("gpt-4", 100)
    assert (event.model_name, event.prompt_tokens, event.request_id) == (None, None, None)


@pytest.mark.parametrize(
    "timestamp",
    [
        "2025-03-03T09:00:00.123456Z",
        "2025-03-03T11:00:00.123456+02:00",
        "2025-03-03T02:30:00.123456-06:30",
        1740992400.123456,
        1740992400123.456,
        1740992400123456,
        1740992400123456789,
    ],
)
def test_every_way_to_write_an_instant_is_the_same_microsecond(
    intake: Intake, make: Make, timestamp: str | float
) -> None:
    batch, rejections, _ = intake.take(make(timestamp=timestamp), offset=0, received_at=None)
    assert rejections == []
    assert batch.time[0] == T0 + 123_456_000
    assert batch.events[0].timestamp == datetime(2025, 3, 3, 9, 0, 0, 123456, UTC)
    assert repr(batch.events[0].timestamp).endswith("tzinfo=datetime.timezone.utc)")


def test_instants_agree_with_the_calendar_of_the_standard_library() -> None:
    reader = Reader(Event, Prompt, Response)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    steps = [timedelta(days=day, seconds=day * 7919 % 86400) for day in range(0, 84006, 13)]
    zones = [UTC, timezone(timedelta(0)), timezone(timedelta(hours=-9, minutes=-30))]
    events = [
        Event(service_name="a", model="b", timestamp=(epoch + step).astimezone(zones[i % 3]))
        for i, step in enumerate(steps)
    ]
    columns = reader.read(events, -1)
    assert columns.time.tolist() == [step // timedelta(microseconds=1) for step in steps]
    assert [event.timestamp for event in events] == [epoch + step for step in steps]
    assert all(str(event.timestamp).endswith("+00:00") for event in events)
    numbers = [Event(service_name="a", model="b", timestamp=t) for t in columns.time.tolist()[999:]]
    reader.read(numbers, -1)
    assert [event.timestamp for event in numbers] == [epoch + step for step in steps[999:]]


def test_live_an_absent_timestamp_is_the_time_of_receipt(intake: Intake, make: Make) -> None:
    batch, _, _ = intake.take(make(timestamp=None), offset=0, received_at=T0 + 123_456_789)
    assert batch.time[0] == batch.received[0] == T0 + 123_456_000
    assert batch.events[0].timestamp == datetime(2025, 3, 3, 9, 0, 0, 123456, UTC)


def test_in_a_replay_an_event_is_received_at_its_timestamp(intake: Intake, make: Make) -> None:
    batch, _, _ = intake.take(make(), offset=0, received_at=None)
    assert batch.received[0] == batch.time[0] == T0 + 21_928_000


def test_keys_are_numbered_as_they_appear(intake: Intake, make: Make) -> None:
    body = b"\n".join(
        (
            make(service_name="b", model="m"),
            make(service_name="a", model="m"),
            make(service_name="b", model="m"),
            make(service_name="m", model="b", environment="prod"),
            make(service_name="m", model="b", metadata={"environment": "prod"}),
            make(service_name="default", model="default"),
        )
    )
    batch, rejections, _ = intake.take(body, offset=0, received_at=T0, tenant="acme")
    assert rejections == []
    assert batch.key.tolist() == [0, 1, 0, 2, 2, 3]
    assert batch.keys == [
        Key("acme", "default", "b", "m"),
        Key("acme", "default", "a", "m"),
        Key("acme", "prod", "m", "b"),
        Key("acme", "default", "default", "default"),
    ]


def test_many_keys_in_one_batch_stay_apart(intake: Intake, make: Make) -> None:
    names = [(f"s{i % 57}", f"m{i % 31}", f"e{i % 7}") for i in range(6000)]
    body = b"\n".join(make(service_name=s, model=m, environment=e) for s, m, e in names)
    batch, _, _ = intake.take(body, offset=0, received_at=T0)
    assert [batch.keys[key][1:] for key in batch.key] == [(e, s, m) for s, m, e in names]
    assert len(set(batch.keys)) == len(batch.keys)


def test_keys_of_refused_events_are_not_in_the_batch(intake: Intake, make: Make) -> None:
    body = b"\n".join(
        (
            make(service_name="gone", timestamp="2030-01-01T00:00:00Z"),
            make(service_name="b"),
            make(service_name="late", model=None),
            make(service_name="a"),
            make(service_name="b"),
        )
    )
    batch, rejections, _ = intake.take(body, offset=0, received_at=T0)
    assert [rejection.code for rejection in rejections] == ["future_time", "missing_field"]
    assert [key.service for key in batch.keys] == ["b", "a"]
    assert batch.key.tolist() == [0, 1, 0]


def test_the_bits_of_a_uuid_are_the_uuid_in_either_case(intake: Intake, make: Make) -> None:
    text = "0190A1B2-c3d4-7E5f-8a9b-0123456789AB"
    batch, _, _ = intake.take(make(event_id=text), offset=0, received_at=T0)
    assert int(batch.id_high[0]) << 64 | int(batch.id_low[0]) == UUID(text).int
    assert batch.events[0].event_id == text


@pytest.mark.parametrize("text", ["x", "00000001-0000-4000-8000-00000000000g", "0" * 36, "é" * 36])
def test_any_other_id_is_hashed(intake: Intake, make: Make, text: str) -> None:
    batch, _, _ = intake.take(make(event_id=text), offset=0, received_at=T0)
    again, _, _ = intake.take(make(event_id=text), offset=9, received_at=T0)
    assert batch.id_high[0] == again.id_high[0]
    assert int(batch.id_high[0]) > 2**32  # not a few digits of the text


def test_a_class_without_plain_slots_is_refused_at_once() -> None:
    class Loose:
        service_name = "a"

    with pytest.raises(TypeError, match="service_name"):
        Reader(Loose, Prompt, Response)
    with pytest.raises(TypeError, match="no member descriptor"):
        Reader(Prompt, Prompt, Response)


def test_events_of_another_class_are_refused() -> None:
    reader = Reader(Event, Prompt, Response)
    with pytest.raises(TypeError):
        reader.read([Prompt()], -1)
    with pytest.raises(TypeError):
        reader.redact([None], {}, {}, True)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("latency_ms", float("nan"), "bad_number"),
        ("cost_usd", float("inf"), "bad_number"),
        ("latency_ms", True, "wrong_type"),
        ("latency_ms", "5", "wrong_type"),
        ("total_tokens", -1, "negative"),
        ("total_tokens", 2**53 + 2, "too_large"),
        ("total_tokens", 10**400, "too_large"),
        ("timestamp", float("nan"), "bad_time"),
        ("timestamp", datetime(2025, 1, 1), "bad_time"),
        ("prompt", Response(), "wrong_type"),
        ("errors", "timeout", "wrong_type"),
        ("errors", [1], "wrong_type"),
        ("metadata", {"a": []}, "wrong_type"),
        ("metadata", {"a": float("nan")}, "bad_number"),
        ("metadata", {"a": 2**63}, "too_large"),
        ("service_name", "\ud800", "bad_name"),
        ("event_id", 7, "wrong_type"),
        ("model", None, "missing_field"),
    ],
)
def test_events_that_another_reader_made_are_held_to_the_same_rules(
    intake: Intake, field: str, value: Any, code: str
) -> None:
    event = Event(service_name="a", model="b", timestamp=datetime(2025, 1, 1, tzinfo=UTC))
    setattr(event, field, value)
    batch, rejections = intake.admit([event], offset=5, received_at=T0)
    assert len(batch) == 0
    assert [(rejection.code, rejection.position) for rejection in rejections] == [(code, 5)]


def test_minus_zero_becomes_zero(intake: Intake, make: Make) -> None:
    body = make(latency_ms=-0.0)
    batch, _, _ = intake.take(body, offset=0, received_at=T0)
    assert not np.signbit(batch.values[0, 0])
    assert str(batch.events[0].latency_ms) == "0.0"
