"""What the detectors say of a window without spread, and of small windows by hand."""

import math

import numpy as np
import pytest

from sentinel._core import reports
from sentinel._core.bank import Bank

ZSCORE, IQR, MAD, CUSUM = 1, 2, 4, 8
NAN = math.nan


def verdict(window: list[float], x: float, voters: int = 15) -> dict[str, float]:
    """Return what the core says of x after the samples of `window`."""
    least = min(len(window), 10)
    bank = Bank(voters=[voters] * 8, window_size=max(len(window), 2), min_samples=least)
    bank.open()
    value = np.array([*window, x])
    bank.judge(np.zeros(len(value), np.int32), value, np.arange(len(value), dtype=np.int64), True)
    found = reports.verdicts(bank)
    assert found["sample"][-1] == len(window)
    return {name: column[-1].item() for name, column in found.items()}


CONSTANT = [5.0] * 20
MIDDLE_IS_ONE = [1.0, 2.0, *[5.0] * 16, 8.0, 9.0]


@pytest.mark.parametrize(
    ("window", "x", "statistics", "votes"),
    [
        (CONSTANT, 5.0, (0.0, 0.0, 0.0, 0.0), 0),
        (CONSTANT, 5.0 + 1e-12, (NAN, NAN, NAN, NAN), 15),
        (CONSTANT, -1e300, (NAN, NAN, NAN, NAN), 15),
        (CONSTANT, 0.0, (NAN, NAN, NAN, NAN), 15),
        ([0.0] * 20, -0.0, (0.0, 0.0, 0.0, 0.0), 0),
        ([0.0] * 20, 1e-300, (0.0, 0.0, 0.0, 0.0), 0),
        ([1e300] * 20, 1e200, (0.0, 0.0, 0.0, 0.0), 0),
        (MIDDLE_IS_ONE, 5.0, (0.0, 0.0, 0.0, 0.0), 0),
        (MIDDLE_IS_ONE, 5.5, (0.288, NAN, NAN, 0.0), IQR | MAD),
        (MIDDLE_IS_ONE, 4.0, (-0.577, NAN, NAN, -0.077), IQR | MAD),
    ],
)
def test_without_spread_the_same_value_is_ordinary_and_any_other_is_beyond_every_scale(
    window: list[float], x: float, statistics: tuple[float, ...], votes: int
) -> None:
    # Two samples more than half are one value: no IQR and no MAD, but a standard deviation.
    found = verdict(window, x)
    assert found["votes"] == votes
    got = [found[name] for name in ("zscore", "iqr", "mad", "cusum")]
    if window is MIDDLE_IS_ONE:
        deviation = np.std(window, ddof=1)
        assert got[0] == pytest.approx((x - np.mean(window)) / deviation)
        assert [math.isnan(part) for part in got] == [math.isnan(part) for part in statistics]
    else:
        assert got == pytest.approx(statistics, nan_ok=True)


def test_a_statistic_without_scale_is_absent_and_scores_a_thousand() -> None:
    bank = Bank(voters=[15] * 8, window_size=20)
    bank.open()
    bank.judge(np.zeros(21, np.int32), np.array([*CONSTANT, 6.0]), np.arange(21, dtype=np.int64))
    _, _, _, detector, _, numbers = reports.votes(bank)
    assert detector.tolist() == [0, 1, 2, 3]
    _, statistic, _, score, z, *_ = numbers.T
    assert np.isnan([statistic, z]).all()
    assert score.tolist() == [1000.0] * 4


def test_a_score_is_the_statistic_over_its_threshold_up_to_a_thousand() -> None:
    assert reports.score_of(-4.5, 3.0) == 1.5
    assert reports.score_of(1e300, 3.0) == 1000.0
    assert reports.score_of(NAN, 3.0) == 1000.0
    assert reports.score_of(0.5, 0.0) == 1000.0


@pytest.mark.parametrize(
    ("window", "q1", "median", "q3", "mad"),
    [
        ([1.0, 2.0], 1.25, 1.5, 1.75, 0.5),
        ([3.0, 1.0, 2.0], 1.5, 2.0, 2.5, 1.0),
        ([4.0, 1.0, 3.0, 2.0], 1.75, 2.5, 3.25, 1.0),
        ([1.0, 1.0, 1.0, 9.0], 1.0, 1.0, 3.0, 0.0),
        ([0.0, 0.0, 9.0, 9.0], 0.0, 4.5, 9.0, 4.5),
        ([-5.0, 0.0, 1.0, 2.0, 100.0], 0.0, 1.0, 2.0, 1.0),
        ([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], 2.5, 6.0, 14.0, 4.5),
    ],
)
def test_quartiles_and_mad_of_small_windows(
    window: list[float], q1: float, median: float, q3: float, mad: float
) -> None:
    found = verdict(window, 1.0)
    assert (found["q1"], found["median"], found["q3"], found["spread"]) == (q1, median, q3, mad)
    assert found["mean"] == pytest.approx(np.mean(window), rel=1e-15)
    assert found["stddev"] == pytest.approx(np.std(window, ddof=1), rel=1e-15)


def test_a_statistic_equal_to_its_threshold_does_not_fire() -> None:
    window = [0.0, 1.0] * 10
    assert verdict(window, 2.5, IQR)["iqr"] == 1.5
    assert verdict(window, 2.5, IQR)["votes"] == 0
    assert verdict(window, np.nextafter(2.5, 3), IQR)["votes"] == IQR
    assert verdict(window, -1.5, IQR)["votes"] == 0
    assert verdict(window, np.nextafter(-1.5, -2), IQR)["votes"] == IQR


@pytest.mark.parametrize("bit", [ZSCORE, IQR, MAD, CUSUM])
def test_a_detector_that_has_no_vote_says_nothing(bit: int) -> None:
    found = verdict([float(i % 7) for i in range(20)], 1e6, 15 - bit)
    assert found["voters"] == 15 - bit
    assert found["votes"] == 15 - bit
    names = ("zscore", "iqr", "mad", "cusum")
    if bit != ZSCORE:  # z is worked out for the others, too
        assert found[names[bit.bit_length() - 1]] == 0.0


def test_cusum_adds_small_deviations_and_starts_again_from_both_sums_at_an_alarm() -> None:
    window = [-1.0, 1.0] * 500
    value = np.array([*window, *[1.5] * 12])
    bank = Bank(voters=[CUSUM] * 8, window_size=1000)
    bank.open()
    bank.judge(np.zeros(len(value), np.int32), value, np.arange(len(value), dtype=np.int64), True)
    found = reports.verdicts(bank)["cusum"][-12:]
    votes = reports.verdicts(bank)["votes"][-12:]
    alarm = int(np.argmax(votes != 0))
    assert 4 <= alarm <= 6
    # The window's own ups and downs had left a little in the upper sum.
    assert np.diff(found[:alarm]) == pytest.approx([1.0] * (alarm - 1), rel=0.02)
    assert found[alarm] > 5.0
    assert found[alarm + 1] == pytest.approx(1.0, rel=0.02)


def test_detection_starts_when_the_window_holds_min_samples() -> None:
    bank = Bank(voters=[15] * 8, window_size=100, min_samples=7)
    bank.open()
    bank.judge(np.zeros(20, np.int32), np.arange(20.0), np.arange(20, dtype=np.int64), True)
    found = reports.verdicts(bank)
    assert found["sample"].tolist() == list(range(7, 20))
    assert found["n"].tolist() == list(range(7, 20))
