"""Quantities and sentences as people write them."""

import pytest

from scenes.feed import armed, call
from sentinel.engine.cases import TESTS
from sentinel.engine.wording import _NOUN, _RECORD, say, say_span
from sentinel.model.metric import METRICS


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "ms", "0 ms"),
        (0.1, "ms", "0.1 ms"),
        (0.00001234, "ms", "0.0000123 ms"),
        (86.4, "ms", "86.4 ms"),
        (999.4, "ms", "999 ms"),
        (999.6, "ms", "1.0 s"),
        (1000.0, "ms", "1.0 s"),
        (14_230.0, "ms", "14.2 s"),
        (119_999.0, "ms", "120.0 s"),
        (120_000.0, "ms", "2.0 min"),
        (0.0, "ratio", "0 %"),
        (0.006, "ratio", "0.6 %"),
        (0.0000012, "ratio", "0.00012 %"),
        (0.00000012, "ratio", "0.000012 %"),
        (0.0999, "ratio", "10 %"),
        (0.2406, "ratio", "24 %"),
        (1.0, "ratio", "100 %"),
        (0.0, "usd", "$0.00"),
        (0.5, "usd", "$0.50"),
        (0.996, "usd", "$1.00"),
        (0.000015, "usd", "$0.000015"),
        (0.00042, "usd", "$0.00042"),
        (0.0123, "usd", "$0.012"),
        (1.0, "usd", "$1.00"),
        (1_234.5, "usd", "$1,234.50"),
        (0.0, "tokens", "0"),
        (9.4, "tokens", "9.4"),
        (1_234_567.0, "tokens", "1,234,567"),
        (87.3, "tokens/s", "87"),
    ],
)
def test_a_quantity_is_written_as_people_write_it(value: float, unit: str, text: str) -> None:
    assert say(value, unit) == text


def test_no_quantity_is_written_in_powers_of_ten() -> None:
    for unit in ("ms", "ratio", "usd", "tokens"):
        for power in range(-9, 10):
            assert "e" not in say(3.14159 * 10.0**power, unit)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (48.2, "48 s"), (119, "119 s"), (120, "2 min"), (840, "14 min"), (7200, "2.0 h")],
)
def test_a_length_of_time_is_written_as_people_write_it(seconds: float, text: str) -> None:
    assert say_span(seconds) == text


def test_there_are_words_for_every_metric() -> None:
    assert _NOUN.keys() == set(METRICS)
    # A single failure is no record.
    assert _RECORD.keys() == set(METRICS) - {"error"}
    assert TESTS == ("agreement", "record", "failures")


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"cost_usd": 0.5}, "chat / m: one call cost $0.50 (usually $0.01)"),
        ({"total_tokens": 90_000}, "chat / m: one call used 90,000 tokens (usually 1,005)"),
        ({"latency_ms": 150_000.0}, "chat / m: one answer took 2.5 min (usually 105 ms)"),
    ],
)
def test_a_title_stands_alone(fields: dict[str, float], title: str) -> None:
    (opened,) = armed().send(call(200, **fields))
    assert opened.incident.title == title
