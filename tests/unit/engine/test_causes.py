"""What explains what, and how bad it is: the declared tables."""

import pytest

from sentinel.detectors.channels import CHANNELS, LEVELS
from sentinel.engine.causes import (
    EXPLAINS,
    RATE,
    TOLD,
    Subject,
    direction_of,
    explains,
    metric_of,
    opening_tests,
    rank_of,
)
from sentinel.engine.grading import grade, size_of

NUMBER: dict[str, int] = {name: number for number, name in enumerate(CHANNELS)}


def subject(name: str, model: str | None = "m") -> Subject:
    """Return whose test it is; a count of calls is named by its test."""
    rates = ("surge", "drop", "silence")
    if name in rates:
        return Subject(RATE, rates.index(name), model)
    return Subject(NUMBER[name], 0, model)


@pytest.mark.parametrize("cause", sorted(EXPLAINS))
def test_trouble_explains_more_of_itself(cause: str) -> None:
    assert explains(subject(cause), subject(cause))


@pytest.mark.parametrize(
    ("cause", "effect", "whether"),
    [
        ("surge", "latency", True),
        ("surge", "drop", False),
        ("drop", "surge", False),
        ("drop", "latency", False),
        ("drop", "silence", True),
        ("silence", "drop", True),
        ("silence", "errors", False),
        ("prompt", "response", True),
        ("prompt", "cost", False),
        ("cost", "prompt", False),
        ("errors", "latency", False),
        ("latency", "errors", False),
        ("user", "surge", True),
        ("user", "drop", False),
        ("session", "prompt", True),
        ("cut_off", "response", True),
    ],
)
def test_some_trouble_explains_other_trouble(cause: str, effect: str, whether: bool) -> None:
    assert explains(subject(cause), subject(effect)) is whether


def test_what_is_of_one_model_explains_another_only_where_the_table_says_so() -> None:
    assert explains(subject("errors", "m"), subject("errors", "n"))
    assert explains(subject("latency", "m"), subject("latency", "n"))
    assert not explains(subject("latency", "m"), subject("ttft", "n"))
    assert not explains(subject("prompt", "m"), subject("prompt", "n"))
    assert explains(subject("surge", None), subject("latency", "n"))


def test_every_row_says_why_and_names_what_there_is() -> None:
    names = {*CHANNELS, "surge", "drop", "silence"} - {"rate"}
    for cause, rows in EXPLAINS.items():
        assert cause in names
        assert len({row.effect for row in rows}) == len(rows)
        for row in rows:
            assert row.effect in names
            assert row.why


def test_causes_rank_before_what_follows_from_them() -> None:
    order = ["rate", "user", "errors", "prompt", "response", "cost", "ttft", "latency"]
    assert sorted(order, key=lambda name: rank_of(NUMBER[name])) == order
    assert len({rank_of(number) for number in range(len(CHANNELS))}) == len(CHANNELS)


def test_every_channel_is_told_and_has_tests() -> None:
    assert len(TOLD) == len(CHANNELS)
    for number in range(len(CHANNELS)):
        assert opening_tests(number)
        for test in opening_tests(number):
            assert metric_of(number, test)
            assert direction_of(number, test) in ("up", "down")
    for number, level in enumerate(LEVELS):
        assert (1 in opening_tests(number)) == level.down
        assert (3 in opening_tests(number)) == level.singles


@pytest.mark.parametrize(
    ("name", "test", "observed", "usual", "severity"),
    [
        ("latency", 0, 150.0, 100.0, "info"),
        ("latency", 0, 200.0, 100.0, "warning"),
        ("latency", 0, 500.0, 100.0, "critical"),
        ("latency", 2, 5000.0, 100.0, "warning"),
        ("latency", 3, 400.0, 100.0, "info"),
        ("latency", 3, 500.0, 100.0, "warning"),
        ("speed", 1, 20.0, 100.0, "critical"),
        ("prompt", 0, 9000.0, 100.0, "warning"),
        ("response", 1, 20.0, 100.0, "critical"),
        ("cost", 3, 1.5, 1.0, "warning"),
        ("cost", 3, 100.0, 1.0, "warning"),
        ("cost", 0, 3.0, 1.0, "critical"),
        ("errors", 0, 0.04, 0.0, "info"),
        ("errors", 0, 0.05, 0.0, "warning"),
        ("errors", 0, 0.2, 0.0, "critical"),
        ("cut_off", 0, 0.59, 0.0, "warning"),
        ("user", 0, 1.0, 0.02, "warning"),
        ("rate", 0, 2.9, 1.0, "info"),
        ("rate", 0, 10.0, 1.0, "critical"),
        ("rate", 1, 0.5, 1.0, "warning"),
        ("rate", 1, 0.0, 1.0, "critical"),
        ("rate", 2, 0.0, 1.0, "warning"),
    ],
)
def test_how_bad_it_is_follows_from_its_size(
    name: str, test: int, observed: float, usual: float, severity: str
) -> None:
    size = size_of(NUMBER[name], test, observed, usual)
    assert grade(NUMBER[name], test, size, whole=False) == severity


def test_a_service_that_is_silent_as_a_whole_is_critical() -> None:
    assert grade(RATE, 2, 1.0, whole=True) == "critical"


def test_nothing_of_nothing_is_no_change() -> None:
    assert size_of(0, 0, 0.0, 0.0) == 1.0
    assert size_of(0, 0, 5.0, 0.0) == float("inf")
