"""What novelty says of series whose answer is known, and how often it speaks of nothing."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from oracle.baseline import Reals
from sentinel._core.novelty import BadRecord, Novelty

ROWS = 10_000
SEEDS = 10


def alarms_of(x: Reals, threshold: float = 0.85) -> list[int]:
    return np.flatnonzero(Novelty().score(x, threshold) >= 1).tolist()


def noise(n: int, seed: int = 1) -> Reals:
    return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("value", [0.0, -3.25, 1e12, 1e300, 5e-324])
def test_a_constant_is_never_strange(value: float) -> None:
    assert not Novelty().score(np.full(3_000, value)).any()


def test_what_leaves_a_constant_alarms_once() -> None:
    x = np.full(2_000, 7.0)
    x[1_500:] = 7.001
    assert alarms_of(x) == [1_500]


def test_one_outlier_is_one_alarm() -> None:
    x = noise(3_000)
    x[2_000] = 12.0
    assert alarms_of(x) == [2_000]


@pytest.mark.parametrize("size", [1e3, 1e6, 1e12, 1e100, 1e300, -1e300])
def test_one_huge_value_does_not_hide_what_comes_300_rows_later(size: float) -> None:
    x = noise(6_000)
    x[5_000] = size
    x[5_300:] += 6
    told = alarms_of(x)
    assert 5_000 in told
    assert any(5_300 <= row < 5_400 for row in told)


def test_a_shift_is_told_and_then_learned() -> None:
    x = noise(9_000)
    x[3_000:] += 8
    told = [row for row in alarms_of(x) if row >= 3_000]
    assert 3_000 <= told[0] <= 3_020
    assert len(told) <= 3


def test_a_season_that_changes_its_shape_within_its_range_is_told() -> None:
    rows = np.arange(6_000)
    x = np.sin(rows / 20) + 0.05 * noise(6_000)
    x[5_000:5_100] = np.sin(rows[5_000:5_100] / 5)
    told = alarms_of(x)
    assert any(5_000 <= row < 5_100 for row in told)
    assert not [row for row in told if row < 5_000]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_nothing_is_judged(wrong: float) -> None:
    series = Novelty()
    with pytest.raises(ValueError, match="value 2 is not finite"):
        series.score(np.array([1.0, 2.0, wrong]))
    assert series.samples == 0


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan])
def test_a_threshold_is_above_zero(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        Novelty().score(np.ones(1), threshold)


def test_no_score_is_given_before_a_hundred_samples() -> None:
    x = noise(200)
    x[50] = 1e6
    assert not Novelty().score(x)[:100].any()


def test_units_do_not_matter() -> None:
    x = np.exp(noise(5_000))
    scores = Novelty().score(x)
    for unit in (2.0**-20, 2.0**40):
        np.testing.assert_allclose(Novelty().score(unit * x), scores, rtol=1e-4, atol=1e-4)


def test_scores_are_finite_whatever_comes() -> None:
    x = np.where(noise(3_000) > 2, 1.7e308, noise(3_000, 2) * 5e-324)
    assert np.isfinite(Novelty().score(x)).all()


def test_it_remembers_the_last_700_samples() -> None:
    x = noise(2_000)
    series = Novelty()
    series.score(x[:500])
    np.testing.assert_allclose(series.remembered(), x[:500], atol=1e-6)
    series.score(x[500:])
    np.testing.assert_allclose(series.remembered(), x[-700:], atol=1e-6)


def test_a_record_is_a_few_kilobytes() -> None:
    series = Novelty()
    assert len(series.save()) < 2_500
    series.score(noise(20_000))
    assert len(series.save()) < 16_500


def test_a_whole_record_that_no_series_can_have_written_is_refused() -> None:
    series = Novelty()
    series.score(noise(300))
    record = series.save()
    for at, value in ((12, struct.pack("<q", -1)), (12, struct.pack("<q", 299)),
                      (28, struct.pack("<d", np.nan))):  # fmt: skip
        changed = bytearray(record)
        changed[at : at + 8] = value
        changed[8:12] = zlib.crc32(changed[12:], zlib.crc32(changed[:8])).to_bytes(4, "little")
        with pytest.raises(BadRecord):
            Novelty.load(bytes(changed))


def white(rng: np.random.Generator) -> Reals:
    return rng.standard_normal(ROWS)


def autoregressive(rng: np.random.Generator) -> Reals:
    x, steps = np.zeros(ROWS), rng.standard_normal(ROWS)
    for row in range(1, ROWS):
        x[row] = 0.7 * x[row - 1] + steps[row]
    return x


def lognormal(rng: np.random.Generator) -> Reals:
    return np.exp(0.8 * rng.standard_normal(ROWS))


def poisson(rng: np.random.Generator) -> Reals:
    return rng.poisson(3, ROWS).astype(np.float64)


def daily(rng: np.random.Generator) -> Reals:
    return np.sin(2 * np.pi * np.arange(ROWS) / 1_440) + 0.1 * rng.standard_normal(ROWS)


# Alarms in 10,000 rows that none of these series deserves; over 100 seeds 0.8, 2.3, 5.8, 1.6 and
# 1.1 were measured (the last: the first day has no day before it).
STATIONARY = [(white, 1.5), (autoregressive, 3.5), (lognormal, 7.5), (poisson, 2.5), (daily, 2.0)]


@pytest.mark.parametrize(("kind", "at_most"), STATIONARY)
def test_a_series_that_stays_as_it_is_seldom_alarms(
    kind: Callable[[np.random.Generator], Reals], at_most: float
) -> None:
    told = sum(len(alarms_of(kind(np.random.default_rng(seed)))) for seed in range(SEEDS))
    assert told / SEEDS <= at_most
