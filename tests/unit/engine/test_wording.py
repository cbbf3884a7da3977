"""Quantities and sentences as people write them."""

from typing import Any

import pytest

from scenes.script import Script, each_second, finding
from sentinel.detectors.channels import CHANNELS
from sentinel.engine.causes import opening_tests
from sentinel.engine.wording import say, say_span, title_of, what_of
from sentinel.model.incident import Evidence


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
        (1_234.0, "calls/min", "1,234 a minute"),
        (0.99, "calls/min", "59 an hour"),
        (0.0, "calls/min", "0 a day"),
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


def evidence_of(channel: str, test: int, **changes: Any) -> Evidence:
    """Return the evidence that opens for one test."""
    script = Script()
    script.play(each_second(0, 20), [finding("open", channel, 10, test=test, **changes)])
    return script.last.evidence[0]


@pytest.mark.parametrize("channel", CHANNELS)
def test_there_are_words_for_every_test_that_can_open(channel: str) -> None:
    for test in opening_tests(CHANNELS.index(channel)):
        found = evidence_of(channel, test)
        assert "{" not in what_of(found)
        assert title_of("chat", found) == f"chat / m: {what_of(found)}"


@pytest.mark.parametrize(
    ("channel", "test", "changes", "title"),
    [
        ("cost", 3, {"observed": 0.5, "usual": 0.01}, "one call cost $0.50 (usually $0.01)"),
        ("latency", 2, {"observed": 150_000.0}, "some answers take 2.5 min (usually 100 ms)"),
        ("errors", 0, {"observed": 0.24, "usual": 0.006}, "24 % of calls fail (usually 0.6 %)"),
        (
            *("user", 0, {"observed": 0.61, "usual": 0.04}),
            "one user makes 61 % of the calls (usually at most 4 %)",
        ),
        (
            *("rate", 1, {"observed": 60.0, "usual": 180.0}),
            "33 % of the usual calls, 60 a minute (usually 180 a minute)",
        ),
        (
            *("rate", 2, {"observed": 0.0, "usual": 5.0}),
            "no calls for 4 s (usually 5 a minute)",
        ),
        (
            *("response", 1, {"observed": 12.0, "usual": 210.0}),
            "answers shrank to 12 tokens (usually 210)",
        ),
    ],
)
def test_a_title_says_what_changed_and_what_is_usual(
    channel: str, test: int, changes: dict[str, float], title: str
) -> None:
    assert what_of(evidence_of(channel, test, **changes)) == title


def test_a_service_as_a_whole_is_named_alone() -> None:
    found = evidence_of("rate", 0, model=None)
    assert title_of("chat", found).startswith("chat: 3x the usual calls, 300 a minute ")
