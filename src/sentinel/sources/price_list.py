"""The price list that comes with the service (genai-prices), in the form that intake asks.

Of its units only those are taken that calls tell of: calls, tokens, cached tokens, reasoning.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from functools import cache
from typing import Any, Final

from genai_prices import types as lists
from genai_prices.data import providers

from sentinel.intake.prices import DAY_US, Price, Prices, Seller

_MILLION: Final = 1_000_000
_THOUSAND: Final = 1_000

_UNITS: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
}
"""What a token is used for -> what the list calls the price of a million."""

Test = Callable[[str], bool]


@cache
def sellers() -> tuple[Seller, ...]:
    """Return all providers of the list, in its order."""
    return tuple(_seller_of(provider) for provider in providers)


def _seller_of(provider: lists.Provider) -> Seller:
    exact: dict[str, int] = {}
    rules: list[tuple[int, Test]] = []
    for number, model in enumerate(provider.models):
        names, others = _split(model.match)
        for name in names:
            exact.setdefault(name, number)
        if others:
            rules.append((number, _any_of(others)))
    return Seller(
        name=provider.id,
        exact=exact,
        rules=tuple(rules),
        prices=cache(lambda number: _prices_of(provider.models[number])),
        is_meant=_test_of(provider.provider_match),
        is_known_for=_test_of(provider.model_match),
        stands_for=tuple(provider.fallback_model_providers or ()),
    )


def _split(clause: Any) -> tuple[list[str], list[Test]]:
    """Return the names that a clause lists, and what it says beside them."""
    if isinstance(clause, lists.ClauseEquals):
        return [clause.equals.lower()], []
    if not isinstance(clause, lists.ClauseOr):
        return [], [_test_of(clause)]
    parts = [_split(one) for one in clause.or_]
    return [n for names, _ in parts for n in names], [t for _, tests in parts for t in tests]


def _any_of(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda name: any(test(name) for test in tests)


def _test_of(clause: Any) -> Test:
    """Return what a clause asks of a name in lower case."""
    match clause:
        case None:
            return lambda _: False
        case lists.ClauseStartsWith(starts_with=text):
            start = text.lower()
            return lambda name: name.startswith(start)
        case lists.ClauseEndsWith(ends_with=text):
            end = text.lower()
            return lambda name: name.endswith(end)
        case lists.ClauseContains(contains=text):
            piece = text.lower()
            return lambda name: piece in name
        case lists.ClauseEquals(equals=text):
            whole = text.lower()
            return lambda name: name == whole
        case lists.ClauseRegex(regex=text):
            pattern = re.compile(text)
            return lambda name: pattern.search(name) is not None
        case lists.ClauseOr(or_=clauses):
            return _any_of([_test_of(one) for one in clauses])
        case lists.ClauseAnd(and_=clauses):
            tests = [_test_of(one) for one in clauses]
            return lambda name: all(test(name) for test in tests)
    raise TypeError(f"a rule of kind {type(clause).__name__} in the price list")


def _prices_of(model: lists.ModelInfo) -> Prices:
    """Return the prices of a model; where no condition holds the first ones do."""
    if isinstance(model.prices, lists.ModelPrice):
        return tuple(_steps_of(model.prices, {}))
    found = list(_steps_of(model.prices[0].prices, {}))
    for conditional in model.prices:
        found += _steps_of(conditional.prices, _condition_of(conditional.constraint))
    return tuple(found)


def _condition_of(constraint: Any) -> dict[str, float]:
    match constraint:
        case None:
            return {}
        case lists.StartDateConstraint(start_date=day):
            return {"since_us": datetime.combine(day, time(), UTC).timestamp() * 1e6}
        case lists.TimeOfDateConstraint(start_time=start, end_time=end):
            return {"day_from_us": _of_day(start), "day_to_us": _of_day(end)}
    raise TypeError(f"a condition of kind {type(constraint).__name__} in the price list")


def _of_day(when: time) -> float:
    """Return microseconds after midnight in UTC; a time without a zone is in UTC."""
    offset = when.utcoffset()
    seconds = when.hour * 3600 + when.minute * 60 + when.second
    return (seconds * 1e6 + when.microsecond - (offset.total_seconds() * 1e6 if offset else 0)) % (
        DAY_US
    )


def _steps_of(price: lists.ModelPrice, condition: dict[str, float]) -> Iterator[Price]:
    """Yield a price for any prompt, then one for each length from which some unit costs another."""
    starts = {
        tier.start
        for unit in vars(price).values()
        if isinstance(unit, lists.TieredPrices)
        for tier in unit.tiers
    }
    for above in (-1, *sorted(starts)):
        each = {name: _at(getattr(price, key), above) for name, key in _UNITS.items()}
        asked, answered = each["input"] or 0.0, each["output"] or 0.0
        yield Price(
            above=above,
            call=(_at(price.requests_kcount, above) or 0.0) / _THOUSAND,
            input=asked / _MILLION,
            output=answered / _MILLION,
            cache_read=_beyond(each["cache_read"], asked),
            cache_write=_beyond(each["cache_write"], asked),
            reasoning=_beyond(each["reasoning"], answered),
            **condition,
        )


def _beyond(price: float | None, other: float) -> float:
    """Return what a token costs beyond another price; one without its own price costs no more."""
    return 0.0 if price is None else (price - other) / _MILLION


def _at(price: Any, above: int) -> float | None:
    """Return the price of a unit for prompts longer than `above`; None where it has none."""
    if isinstance(price, lists.TieredPrices):
        tiers = [tier.price for tier in price.tiers if tier.start <= above]
        return float(tiers[-1] if tiers else price.base)
    return None if price is None else float(price)
