"""The tests that open and close incidents, each by hand."""

from typing import Any

import numpy as np
import pytest

from sentinel._core import reports
from sentinel._core.bank import Bank

LATENCY, ERROR = 0, 7
AGREEMENT, RECORD, FAILURES = 0, 1, 2
SECOND_NS = 1_000_000_000
SILENT_NS = 900 * SECOND_NS


class Series:
    """One series that speaks once a second."""

    def __init__(self, metric: int = LATENCY, size: int = 200, voters: int = 15) -> None:
        self.bank = Bank(voters=[voters] * 7 + [0], window_size=size)
        self.slot = self.bank.open(0, metric)
        self.clock = 10**18
        self.seen = 0

    def speak(self, *value: float, after: int = SECOND_NS) -> list[dict[str, Any]]:
        """Judge samples; return what opened and closed, `event` counted over all of them."""
        steps = np.full(len(value), SECOND_NS)
        steps[0] = after
        time = self.clock + np.cumsum(steps)
        slot = np.full(len(value), self.slot, np.int32)
        self.bank.judge(slot, np.array(value, np.float64), time)
        found: list[dict[str, Any]] = reports.cases(self.bank)
        for case in found:
            case["event"] += self.seen
        self.clock = int(time[-1])
        self.seen += len(value)
        return found

    @property
    def open(self) -> int:
        """Bits of the tests that are open."""
        return int(reports.open_tests(self.bank, self.slot))


def ordinary(n: int, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Latencies about 100 that never reach 150: nothing opens on them."""
    return np.clip(np.random.default_rng(seed).normal(100, 10, n), 60, 140)


def learned(n: int = 200, **rules: Any) -> Series:
    series = Series(**rules)
    assert series.speak(*ordinary(n)) == []
    return series


def test_three_strange_samples_of_five_open_an_agreement() -> None:
    series = learned()
    assert series.speak(280) == []
    assert series.speak(100, 280) == []
    (case,) = series.speak(280)
    assert (case["test"], case["opened"], case["metric"]) == (AGREEMENT, True, LATENCY)
    assert (case["hits"], case["hits_of"], case["n"]) == (3, 5, 200)
    assert case["first_time"] == series.clock - 3 * SECOND_NS
    assert case["event"] == 203
    assert case["observed"] == 280, "the middle one of five: 100, 280, 100, 280, 280"
    assert case["usual"] == pytest.approx(100, rel=0.05)
    assert case["threshold"] == case["upper"] == pytest.approx(200, rel=0.05)
    assert case["statistic"] == case["observed"]
    assert series.open == 1 << AGREEMENT
    assert series.speak(280, 280) == [], "an open test does not open again"


def test_two_strange_samples_of_five_open_nothing() -> None:
    series = learned()
    assert series.speak(280, 100, 100, 100, 280, 100, 100, 100, 280, 280) == []


def test_what_is_less_than_twice_the_usual_wakes_nobody() -> None:
    series = learned()
    assert series.speak(*[190.0] * 5) == []
    assert reports.verdicts(series.bank)["hit"].any(), "strange they are"


def test_what_the_largest_hundredth_reaches_wakes_nobody() -> None:
    series = Series()
    window = ordinary(200)
    window[50:60] = 400.0  # a twentieth of its calls are slow
    series.speak(*window)
    series.speak(*ordinary(30))
    assert series.open == 0
    assert series.speak(*[390.0] * 4) == []


def test_a_test_needs_a_hundred_samples_to_be_armed() -> None:
    series = Series()
    assert series.speak(*ordinary(90), *[900.0] * 10) == []
    assert series.open == 0
    armed = learned(100)
    assert [case["test"] for case in armed.speak(900)] == [RECORD]


def test_the_first_hit_that_counts_is_the_hundred_and_first_sample() -> None:
    series = learned(99)
    assert series.speak(900) == []
    assert [case["n"] for case in series.speak(5000)] == [100]


def test_one_sample_far_beyond_the_largest_opens_a_record() -> None:
    series = learned()
    largest = 140.0
    assert series.speak(3 * largest * 1.15) == [], "five medians are more"
    (case,) = series.speak(2_000)
    assert (case["test"], case["opened"], case["hits"], case["hits_of"]) == (RECORD, True, 1, 1)
    assert case["observed"] == case["statistic"] == 2_000
    assert case["threshold"] == pytest.approx(3 * 3 * largest * 1.15)
    assert case["first_time"] == series.clock
    assert not case["drifting"]


def test_a_record_needs_detectors_that_agree() -> None:
    assert learned(voters=0).speak(1e9) == []
    assert [case["test"] for case in learned(voters=1).speak(1e9)] == [RECORD]
    two = learned(voters=3)
    assert [case["test"] for case in two.speak(1e9)] == [RECORD]


def test_what_is_strangely_low_opens_nothing() -> None:
    series = learned()
    assert series.speak(*[0.001] * 20) == []
    assert reports.fired(series.bank)


def test_ten_ordinary_samples_close_an_agreement() -> None:
    series = learned()
    (opened,) = series.speak(*[280.0] * 3)
    assert opened["test"] == AGREEMENT
    assert series.speak(*[100.0] * 9) == []
    assert series.open
    (closed,) = series.speak(100)
    assert (closed["test"], closed["opened"], closed["ended_at"]) == (AGREEMENT, False, 0)
    assert closed["event"] == 200 + 3 + 9
    assert series.open == 0


def test_a_strange_sample_keeps_a_test_open_for_ten_more() -> None:
    series = learned()
    series.speak(*[280.0] * 3)
    assert series.speak(*[100.0] * 9, 280, *[100.0] * 9) == []
    assert [case["opened"] for case in series.speak(100)] == [False]


def test_record_and_agreement_close_together() -> None:
    series = learned()
    opened = series.speak(*[2_000.0] * 3)
    assert [(case["test"], case["opened"]) for case in opened] == [(RECORD, True),
                                                                  (AGREEMENT, True)]  # fmt: skip
    closed = series.speak(*[100.0] * 10)
    assert [(case["test"], case["opened"]) for case in closed] == [(AGREEMENT, False),
                                                                  (RECORD, False)]  # fmt: skip


def test_fifteen_minutes_of_silence_close_a_test_at_their_end() -> None:
    series = learned()
    series.speak(*[280.0] * 3)
    assert series.speak(280, after=SILENT_NS) == []
    last = series.clock
    (closed,) = series.speak(280, after=SILENT_NS + 1)
    assert (closed["test"], closed["opened"]) == (AGREEMENT, False)
    assert closed["ended_at"] == last + SILENT_NS
    assert series.open == 0
    # What was strange before the silence does not count after it: 1 of 5 so far.
    assert series.speak(280) == []
    assert [case["opened"] for case in series.speak(280)] == [True]


def test_a_shift_that_came_at_once_is_not_drifting_and_one_that_crept_in_is() -> None:
    (at_once,) = learned().speak(*[280.0] * 3)
    assert not at_once["drifting"]
    series = learned()
    crept = series.speak(*np.linspace(150, 199, 20), *[300.0] * 5)
    assert [(case["test"], case["drifting"]) for case in crept] == [(AGREEMENT, True)]


def failures(every: int, n: int) -> list[float]:
    """Return n calls of which every tenth, say, failed."""
    return [float(i % every == every - 1) for i in range(n)]


def test_five_failures_of_twenty_calls_open_failures() -> None:
    series = Series(ERROR)
    assert series.speak(*[0.0] * 200) == []
    assert series.speak(1, 0, 1, 0, 0, 0, 1, 0, 0, 1) == []
    (case,) = series.speak(1)
    assert (case["test"], case["opened"], case["metric"]) == (FAILURES, True, ERROR)
    assert (case["hits"], case["hits_of"]) == (5, 20)
    assert case["observed"] == 0.25
    assert case["usual"] == pytest.approx(0, abs=1e-9)
    assert case["threshold"] == pytest.approx(0.05), "a hundredth counts as usual at the least"
    assert case["first_time"] == series.clock - 10 * SECOND_NS
    assert reports.verdicts(series.bank)["hit"].tolist() == [1]


def test_four_of_twenty_and_five_of_more_open_nothing() -> None:
    series = Series(ERROR)
    series.speak(*[0.0] * 200)
    assert series.speak(1, 1, 1, 1, *[0.0] * 16, 1, 1) == []


def test_failures_open_only_at_five_times_the_usual_share() -> None:
    series = Series(ERROR, size=1000)
    assert series.speak(*failures(10, 1000)) == []
    assert series.speak(*[1.0, 0.0, 0.0] * 6) == [], "a third is not five times a tenth"
    opened = series.speak(*[1.0] * 9)
    assert [case["opened"] for case in opened] == [True]
    assert opened[0]["usual"] == pytest.approx(0.1, abs=0.01)
    assert opened[0]["observed"] >= 5 * opened[0]["usual"]


def test_failures_close_when_the_share_has_fallen_to_one_call_in_twenty() -> None:
    series = Series(ERROR)
    series.speak(*[0.0] * 200)
    assert [case["opened"] for case in series.speak(*[1.0] * 5)] == [True]
    assert series.speak(*[0.0] * 18) == []
    (closed,) = series.speak(0)
    assert (closed["test"], closed["opened"], closed["hits"]) == (FAILURES, False, 1)
    assert series.open == 0


def test_failures_close_in_silence_and_open_anew() -> None:
    series = Series(ERROR)
    series.speak(*[0.0] * 200)
    series.speak(*[1.0] * 6)
    last = series.clock
    (closed,) = series.speak(0, after=SILENT_NS * 2)
    assert (closed["opened"], closed["ended_at"]) == (False, last + SILENT_NS)
    assert [case["opened"] for case in series.speak(*[1.0] * 8)] == [True]


def test_a_lasting_shift_is_told_once_and_learned() -> None:
    series = learned()
    found = series.speak(*(3 * ordinary(420, seed=7)))
    assert [case["opened"] for case in found] == [True, False]
    assert found[1]["event"] - found[0]["event"] == 399, "after 400 samples it is the usual"
    assert series.speak(*(3 * ordinary(300, seed=8))) == []
    assert series.open == 0
