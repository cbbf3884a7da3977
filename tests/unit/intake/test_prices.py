"""Costs that are worked out: when, from what, and when not."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from sentinel.intake import Intake, IntakeSettings, Price, PriceTable, canonical
from sentinel.model.batch import Batch
from sentinel.model.metric import METRIC_INDEX

COST = METRIC_INDEX["cost_usd"]
DAY = datetime(2026, 3, 1, tzinfo=UTC)
MILLION = 1_000_000

OWN = {
    ("plain", None): [Price(input=2 / MILLION, output=8 / MILLION)],
    ("embed", None): [Price(input=1 / MILLION)],
    ("cached", None): [
        Price(input=10 / MILLION, cache_read=-9 / MILLION, cache_write=2.5 / MILLION)
    ],
    ("tiered", None): [
        Price(input=1 / MILLION),
        Price(input=2 / MILLION, above=200_000),
    ],
    ("dated", None): [
        Price(input=1 / MILLION, since_us=DAY.timestamp() * 1e6),
        Price(input=3 / MILLION, since_us=(DAY.timestamp() + 86_400) * 1e6),
    ],
    ("nightly", None): [
        Price(input=4 / MILLION),
        Price(input=1 / MILLION, day_from_us=22 * 3600e6, day_to_us=6 * 3600e6),
    ],
    ("plain", "dear"): [Price(input=20 / MILLION, output=80 / MILLION)],
}

Make = Callable[..., bytes]


def intake_with(prices: PriceTable | None, **changes: Any) -> Intake:
    return Intake(IntakeSettings(**changes), key=b"k" * 32, log_id="replay", prices=prices)


def taken(body: bytes, aliases: dict[str, str] | None = None, **changes: Any) -> Batch:
    intake = intake_with(PriceTable(own=OWN, aliases=aliases), **changes)
    batch, _, _ = intake.take(body, offset=0, received_at=None)
    return batch


def cost_of(body: bytes, aliases: dict[str, str] | None = None) -> float | None:
    batch = taken(body, aliases)
    told = batch.events[0].cost_usd
    column = batch.values[0, COST]
    assert told == column if told is not None else np.isnan(column)
    return told


@pytest.fixture
def call(make: Make) -> Make:
    """Return a function that writes an event without a cost, of a model with a price."""

    def write(**changes: Any) -> bytes:
        return make(**({"cost_usd": None, "model": "plain"} | changes))

    return write


def test_tokens_times_prices_are_the_cost(call: Make) -> None:
    assert cost_of(call()) == pytest.approx(100 * 2e-6 + 50 * 8e-6)


def test_a_cost_that_is_said_stays_even_where_it_is_zero(call: Make) -> None:
    assert cost_of(call(cost_usd=0.25)) == 0.25
    assert cost_of(call(cost_usd=0)) == 0


def test_a_model_that_nobody_knows_costs_nothing_that_is_known_and_is_counted(call: Make) -> None:
    body = b"\n".join([call(model="odd", event_id=None)] * 3 + [call(event_id=None)])
    batch = taken(body)
    assert [event.cost_usd for event in batch.events][:3] == [None, None, None]
    assert batch.unpriced == {"odd": 3}


def test_what_the_price_needs_and_the_event_does_not_say_leaves_the_cost_absent(
    call: Make,
) -> None:
    assert cost_of(call(response={"tokens": None})) is None
    assert cost_of(call(prompt={"tokens": None})) is None
    assert taken(call(prompt=None, response=None, model="odd")).unpriced == {}


def test_an_embedding_needs_no_tokens_of_an_answer(call: Make) -> None:
    assert cost_of(call(model="embed", response=None)) == pytest.approx(100e-6)


def test_cached_tokens_have_prices_of_their_own(call: Make) -> None:
    told = {"cache_read_tokens": 60, "cache_write_tokens": 10}
    assert cost_of(call(model="cached", metadata=told)) == pytest.approx(
        (30 * 10 + 60 * 1 + 10 * 12.5) / MILLION
    )


def test_cached_tokens_that_are_more_than_the_prompt_were_counted_apart(call: Make) -> None:
    assert cost_of(call(model="cached", metadata={"cache_read_tokens": 900})) == pytest.approx(
        (100 * 10 + 900 * 1) / MILLION
    )


@pytest.mark.parametrize("count", ["60", -1, True, 1.5, None, 2**60])
def test_a_cached_count_that_is_none_counts_as_nothing(call: Make, count: object) -> None:
    told = {"cache_read_tokens": count, "more": 1}
    assert cost_of(call(model="cached", metadata=told)) == pytest.approx(100 * 10 / MILLION)


@pytest.mark.parametrize(("tokens", "dollars"), [(200_000, 0.2), (200_001, 0.400002)])
def test_a_long_prompt_has_another_price_for_all_of_it(
    call: Make, tokens: int, dollars: float
) -> None:
    body = call(model="tiered", prompt={"tokens": tokens})
    assert cost_of(body) == pytest.approx(dollars, rel=1e-12)


@pytest.mark.parametrize(
    ("when", "dollars"),
    [
        ("2026-02-28T23:59:59.999Z", None),
        ("2026-03-01T00:00:00Z", 100e-6),
        ("2026-03-02T00:00:00Z", 300e-6),
        ("2026-03-02T01:00:00+02:00", 100e-6),
    ],
)
def test_the_price_is_that_of_the_day_of_the_call(
    call: Make, when: str, dollars: float | None
) -> None:
    assert cost_of(call(model="dated", timestamp=when)) == (dollars and pytest.approx(dollars))


@pytest.mark.parametrize(("hour", "dollars"), [(12, 4e-4), (22, 1e-4), (5, 1e-4), (6, 4e-4)])
def test_a_price_may_hold_over_midnight(call: Make, hour: int, dollars: float) -> None:
    body = call(model="nightly", timestamp=f"2026-03-02T{hour:02}:00:00Z")
    assert cost_of(body) == pytest.approx(dollars)


def test_an_alias_says_what_a_deployment_is(call: Make) -> None:
    body = call(model="Chat-Prod")
    assert cost_of(body) is None
    assert cost_of(body, {"chat-prod": "plain"}) == pytest.approx(6e-4)
    assert cost_of(body, {"chat-prod": "dear/plain"}) == pytest.approx(6e-3)
    assert cost_of(call(model="chat-prod", provider="dear"), {"chat-prod": "plain"}) == (
        pytest.approx(6e-3)
    )


def test_who_answered_counts_before_who_was_asked(call: Make) -> None:
    answer = {"tokens": 0, "model": "embed"}
    assert cost_of(call(response=answer)) == pytest.approx(100e-6)
    assert cost_of(call(response=answer | {"model": "odd"})) == pytest.approx(200e-6)


def test_a_cost_beyond_the_limit_is_flagged_like_one_that_was_said(call: Make) -> None:
    body = call(prompt={"tokens": 5_000_000})
    assert taken(body, max_cost_usd=1.0).over_limit.tolist() == [1]
    assert len(taken(body, max_cost_usd=1.0, on_limit="refuse")) == 0


def test_what_was_priced_once_goes_in_again_unchanged(call: Make) -> None:
    body = b"\n".join([call(), call(model="odd"), call(cost_usd=0.5)])
    first = canonical(taken(body).events)
    assert canonical(taken(first).events) == first


def test_without_prices_nothing_is_worked_out(call: Make) -> None:
    batch, _, _ = intake_with(None).take(call(), offset=0, received_at=None)
    assert batch.events[0].cost_usd is None
    assert batch.unpriced == {}
