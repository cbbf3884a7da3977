"""Our reading of the price list against the list's own arithmetic, for every model in it."""

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import numpy as np
import pytest
from genai_prices.data import providers
from genai_prices.types import ClauseEquals, ClauseOr, ClauseStartsWith, ModelInfo, Usage

from sentinel._core.prices import Costs
from sentinel.intake.prices import PriceTable
from sentinel.model.event import Event, Prompt, Response
from sentinel.sources.price_list import sellers

TABLE = PriceTable(sellers)


def names_of(model: ModelInfo) -> list[str]:
    """Return names that mean a model, or at least look as if they did."""

    def named(clause: Any) -> list[str]:
        match clause:
            case ClauseEquals(equals=text):
                return [text, text.upper()]
            case ClauseStartsWith(starts_with=text):
                return [text, f"{text}-x", f"{text}-20250414"]
            case ClauseOr(or_=clauses):
                return [name for one in clauses for name in named(one)]
        return []

    return [model.id, *named(model.match)]


def cost_of(event: Event) -> float | None:
    """Return what our way makes of one event."""
    assert event.timestamp is not None
    assert isinstance(event.timestamp, datetime)
    values = np.full((1, 8), np.nan)
    values[0, 2] = (
        event.prompt.tokens if event.prompt and event.prompt.tokens is not None else np.nan
    )
    answer = event.response
    values[0, 3] = answer.tokens if answer and answer.tokens is not None else np.nan
    time = np.array([round(event.timestamp.timestamp() * 1e6)], np.int64)
    Costs(Event, Response, TABLE.tariff).fill([event], np.zeros(1, np.uint16), time, values)
    return event.cost_usd


def test_every_model_costs_what_the_list_itself_works_out() -> None:
    chance = random.Random(1)
    compared = dated = 0
    for provider in providers:
        for model in provider.models:
            for name in names_of(model):
                try:
                    _, theirs = genai_prices.data_snapshot.get_snapshot().find_provider_model(
                        name, None, provider.id, None
                    )
                except LookupError:
                    assert TABLE.prices(name, None, provider.id) is None, (provider.id, name)
                    continue
                when = datetime.fromtimestamp(chance.uniform(1.67e9, 1.80e9), UTC)
                asked = int(10 ** chance.uniform(0, 6.3))
                cached = sorted(chance.randint(0, asked) for _ in range(2))
                usage = {
                    "input_tokens": asked,
                    "output_tokens": chance.randint(0, 100_000),
                    "cache_read_tokens": cached[0],
                    "cache_write_tokens": cached[1] - cached[0],
                }
                usage["output_reasoning_tokens"] = chance.randint(0, usage["output_tokens"])
                told = genai_prices.calc_price(
                    Usage(**usage), name, provider_id=provider.id, genai_request_timestamp=when
                )
                assert told.model is theirs
                ours = cost_of(
                    Event(
                        service_name="s",
                        timestamp=when,
                        model=name,
                        provider=provider.id,
                        prompt=Prompt(tokens=asked),
                        response=Response(tokens=usage["output_tokens"]),
                        metadata={
                            "cache_read_tokens": usage["cache_read_tokens"],
                            "cache_write_tokens": usage["cache_write_tokens"],
                            "reasoning_tokens": usage["output_reasoning_tokens"],
                        },
                    )
                )
                assert ours is not None, (provider.id, name)
                expected = told.total_price
                assert abs(Decimal(ours) - expected) <= Decimal("1e-12") + expected / 10**12, (
                    provider.id,
                    name,
                    usage,
                    when,
                )
                compared += 1
                dated += isinstance(theirs.prices, list)
    assert compared > 5000
    assert dated > 500


@pytest.mark.parametrize(
    "name", ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "o3", "nobody-1"]
)
def test_without_a_provider_the_name_of_the_model_tells_whose_it_is(name: str) -> None:
    when = datetime(2026, 3, 1, tzinfo=UTC)
    ours = cost_of(
        Event(
            service_name="s",
            timestamp=when,
            model=name,
            prompt=Prompt(tokens=1000),
            response=Response(tokens=100),
        )
    )
    usage = Usage(input_tokens=1000, output_tokens=100)
    try:
        theirs = genai_prices.calc_price(usage, name, genai_request_timestamp=when)
    except LookupError:
        assert ours is None
    else:
        assert ours == pytest.approx(float(theirs.total_price), rel=1e-12)
