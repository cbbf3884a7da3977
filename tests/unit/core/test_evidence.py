"""What evidence takes for usual: traffic that rises by itself, thin tails, silence, new laws."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oracle.subject_record import taken_apart
from oracle.telemetry import SECOND_NS, laws
from sentinel._core import evidence_records
from sentinel._core.evidence import Evidence

WEEK_NS = 604_800 * SECOND_NS
START = 1_770_000_000 // 604_800 * 604_800
KEY = ("t", "e", "chat", "m")
LATENCY, ERRORS, RATE = 0, 6, 10
CLUSTER = 2
OPENED, CLOSED, ALONE = 1, 2, 4
DAY = 1440
"""In minutes."""

Reals = NDArray[np.float64]


def new_evidence(**changes: Any) -> Evidence:
    return Evidence(lateness_ns=10 * SECOND_NS, idle_ns=WEEK_NS, **laws(**changes))


def shown(
    evidence: Evidence, second: Reals, latency: Reals | float = np.nan, error: Reals | float = 0.0,
    key: tuple[str, str, str, str] = KEY,
) -> list[tuple[int, int, int, int]]:  # fmt: skip
    """Show calls; return event, channel, test and kind of what is found of their model."""
    n = len(second)
    values = np.full((n, 8), np.nan)
    values[:, 0], values[:, 7] = latency, error
    time = ((START + second) * SECOND_NS).astype(np.int64)
    evidence.judge(
        [key], np.zeros(n, np.int32), values, time, time,
        np.full(n, 2, np.uint8), np.zeros(n, np.uint32), np.zeros(n, np.uint32),
    )  # fmt: skip
    return [
        (found["event"], found["channel"], found["test"], found["kind"])
        for found in evidence.findings()
        if found["key"] == key
    ]


def arrivals(rng: np.random.Generator, calls_a_minute: Reals) -> Reals:
    """Return when calls come, seconds, whose rate holds a minute."""
    minute = np.repeat(np.arange(len(calls_a_minute)), rng.poisson(calls_a_minute))
    return np.asarray(np.sort(60 * (minute + rng.random(len(minute)))))


def with_bursts(rng: np.random.Generator, minutes: int) -> Reals:
    """Return 30 calls a minute, and for some minutes of each hour two or three times as many."""
    rate = np.full(minutes, 30.0)
    for start in np.flatnonzero(rng.random(minutes) < 1 / 60):
        rate[start : start + max(1, int(rng.exponential(5)))] *= 1 + rng.exponential(1.5)
    return rate


@pytest.mark.parametrize("seed", range(3))
def test_bursts_that_a_service_has_by_itself_are_no_news_once_they_are_known(seed: int) -> None:
    rng = np.random.default_rng(seed)
    second, evidence = arrivals(rng, with_bursts(rng, 3 * DAY)), new_evidence(fixed=12.0)
    found = shown(evidence, second)
    opened = [second[event] for event, channel, _, kind in found if (channel, kind) == (RATE, 1)]
    assert sum(at > 2 * DAY * 60 for at in opened) <= 1, opened
    surge, _ = taken_apart(evidence_records.save(evidence, KEY, 0))["rate"]["heights"]
    assert surge["excess"] > 1.5, "so it is worth less"


@pytest.mark.parametrize(("by", "test"), [(2.0, 0), (0.3, 1)])
def test_steady_traffic_that_changes_is_found_within_minutes(by: float, test: int) -> None:
    rate = np.full(DAY, 30.0)
    rate[1000:1060] *= by
    second = arrivals(np.random.default_rng(1), rate)
    found = shown(new_evidence(fixed=12.0), second)
    opened = [
        (second[event], which)
        for event, channel, which, kind in found
        if (channel, kind) == (10, 1)
    ]
    assert opened[0][1] == test
    assert 60_000 < opened[0][0] < 60_360


def test_what_opened_does_not_count_as_what_traffic_does_by_itself() -> None:
    rate = np.full(DAY, 30.0)
    rate[1000:1020] *= 4
    evidence = new_evidence(fixed=12.0)
    assert shown(evidence, arrivals(np.random.default_rng(2), rate))
    surge, _ = taken_apart(evidence_records.save(evidence, KEY, 0))["rate"]["heights"]
    assert surge["excess"] <= 1


@pytest.mark.parametrize(
    ("slow", "told"),
    [
        ([600], []), ([1900], []), ([2800], [2800]), ([600, 2800], []),
        ([600, 4000], [4000]), ([600, 1900, 12_000], []), ([12_000], [12_000]),
    ],
)  # fmt: skip
def test_one_slow_call_among_equal_ones_needs_more_of_them(
    slow: list[int], told: list[int]
) -> None:
    latency = np.full(13_000, 100.0)
    latency[slow] = 300.0
    found = shown(new_evidence(fixed=12.0), np.arange(13_000.0), latency)
    assert [(event, kind) for event, _, _, kind in found] == [(event, ALONE) for event in told]


def slow_then(gap_s: float) -> tuple[Reals, Reals]:
    """Return calls that become slow for good at call 1,000, and pause at call 1,100."""
    latency = np.exp(np.random.default_rng(3).normal(5, 0.2, 1300))
    latency[1000:] *= 1.8
    second = np.arange(1300.0)
    second[1100:] += gap_s
    return second, latency


def test_who_is_slow_before_and_after_a_long_silence_is_told_twice() -> None:
    found = [row for row in shown(new_evidence(), *slow_then(960)) if row[1] == LATENCY]
    assert [kind for _, _, _, kind in found] == [OPENED, CLOSED, OPENED]
    assert found[1][0] == 1100
    assert 1100 < found[2][0] < 1130


def test_who_is_slow_before_and_after_a_short_silence_is_told_once() -> None:
    found = [row for row in shown(new_evidence(), *slow_then(840)) if row[1] == LATENCY]
    assert [kind for _, _, _, kind in found] == [OPENED]


def test_a_new_allowance_counts_from_the_next_call() -> None:
    evidence = new_evidence(fixed=0.0)
    shown(evidence, np.arange(0.0, 64 * 60, 0.5))

    def high() -> float:
        return float(taken_apart(evidence_records.save(evidence, KEY, 0))["counts"]["high"])

    before = high()
    evidence.judge_by(**laws(fixed=0.0, allowed=4.0))
    assert high() == pytest.approx(before - np.log(4))
    evidence.judge_by(**laws(fixed=9.0))
    assert high() == 9.0


def test_a_new_model_that_fails_at_once_is_found_by_the_shares_it_borrowed() -> None:
    evidence = new_evidence()
    shown(evidence, np.arange(1000.0), error=(np.arange(1000) % 200 == 0).astype(np.float64))
    found = shown(evidence, 1000 + np.arange(15.0), error=1.0, key=("t", "e", "chat", "new"))
    assert (ERRORS, OPENED) in [(channel, kind) for _, channel, _, kind in found]


def with_tokens(prompt: Reals, latency: Reals) -> Reals:
    """Return the values of calls that say their latency and prompt tokens."""
    values = np.full((len(prompt), 8), np.nan)
    values[:, 0], values[:, 2], values[:, 7] = latency, prompt, 0
    return values


def levels_found(evidence: Evidence, values: Reals) -> list[tuple[int, int]]:
    """Show calls, a second apart; return event and channel of what opened or stood alone."""
    n = len(values)
    time = ((START + np.arange(n)) * SECOND_NS).astype(np.int64)
    evidence.judge(
        [KEY], np.zeros(n, np.int32), values, time, time,
        np.full(n, 2, np.uint8), np.zeros(n, np.uint32), np.zeros(n, np.uint32),
    )  # fmt: skip
    return [
        (found["event"], found["channel"])
        for found in evidence.findings()
        if found["key"] == KEY and found["kind"] in (OPENED, ALONE)
    ]


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_what_a_longer_prompt_takes_is_not_guessed_where_all_were_equally_long(
    slope: float,
) -> None:
    rng = np.random.default_rng(4)
    prompt = np.full(3000, 500.0)
    prompt[2000::20] = 5000.0
    latency = (300 + slope * prompt) * np.exp(0.1 * rng.standard_normal(3000))
    latency[2900] *= 8
    found = levels_found(new_evidence(), with_tokens(prompt, latency))
    assert [event for event, channel in found if channel == LATENCY] == [2900], "once it is known"


def test_bad_calls_that_come_one_after_the_other_by_nature_are_no_cluster() -> None:
    """One call in a hundred is slow, and the next one after it three times of four."""
    late = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        slow = np.zeros(30_000, bool)
        for i in range(1, len(slow)):
            slow[i] = rng.random() < (0.75 if slow[i - 1] else 0.01)
        log_latency = 0.1 * rng.standard_normal(len(slow)) + slow * rng.exponential(0.8, len(slow))
        found = shown(new_evidence(fixed=12.0), np.arange(30_000.0), 100 * np.exp(log_latency))
        late += sum(
            event >= 10_000 and (channel, test, kind) == (LATENCY, CLUSTER, OPENED)
            for event, channel, test, kind in found
        )
    assert late <= 2


def test_a_level_that_wanders_from_its_first_call_on_is_given_its_due() -> None:
    opened = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        level = np.zeros(600)
        for i in range(1, len(level)):
            level[i] = 0.995 * level[i - 1] + 0.04 * rng.standard_normal()
        found = shown(new_evidence(fixed=14.0), np.arange(600.0), 100 * np.exp(level))
        opened += any(row[1] == LATENCY and row[3] == OPENED for row in found)
    assert opened <= 18
