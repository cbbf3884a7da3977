"""The core's time beside its peers', and beside itself with many series."""

from collections.abc import Callable, Iterator
from typing import Any

import bottleneck
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from river import stats, utils

from sentinel._core.bank import Bank
from yardstick import Table, gates, taking_turns

GATES = gates("core")
WINDOW = 1_000
SAMPLES = 60_000
BATCH = 65_536
RIVER_SAMPLES = 3_000
QUANTILES = (0.25, 0.5, 0.75, 0.95, 0.99)
VOTERS = [15] * 8
Reals = NDArray[np.float64]


def lognormal(n: int) -> Reals:
    """Latencies."""
    return np.exp(6 + 0.8 * np.random.default_rng(1).standard_normal(n))


def ties(n: int) -> Reals:
    """Token counts: about forty values."""
    return np.floor(np.exp(1.5 + 0.8 * np.random.default_rng(2).standard_normal(n)))


def judging(value: Reals) -> Callable[[], object]:
    """Return a run of one series, whose window is full, over all of `value`."""
    bank = Bank(voters=VOTERS, window_size=WINDOW)
    slot = np.full(len(value), bank.open(), np.int32)
    clock = np.ones(len(value), np.int64)
    bank.judge(slot, value, clock)
    return lambda: bank.judge(slot, value, clock)


@pytest.mark.parametrize(("name", "make"), [("lognormal", lognormal), ("ties", ties)])
def test_everything_costs_about_two_sliding_medians(
    name: str, make: Callable[[int], Reals], table: Table
) -> None:
    value = make(SAMPLES)
    ratio = taking_turns(
        judging(value), lambda: bottleneck.move_median(value, WINDOW), (SAMPLES, SAMPLES), 15
    )
    table.hold(GATES[f"{name}_beside_move_median"], ratio.median, ratio.note("ours", "move_median"))


def test_pandas_takes_many_times_longer_for_less(table: Table) -> None:
    value = lognormal(SAMPLES)
    series = pd.Series(value)

    def roll() -> None:
        rolling = series.rolling(WINDOW)
        for quantile in QUANTILES:
            rolling.quantile(quantile)
        rolling.mean()
        rolling.std()

    ratio = taking_turns(roll, judging(value), (SAMPLES, SAMPLES), 7)
    table.hold(GATES["pandas_beside_lognormal"], ratio.median, ratio.note("pandas", "ours"))


def test_river_takes_many_times_longer_for_less(table: Table) -> None:
    value = lognormal(SAMPLES)
    parts = [stats.RollingQuantile(q, WINDOW) for q in QUANTILES]
    variance: Any = utils.Rolling(stats.Var, window_size=WINDOW)

    def roll(samples: list[float]) -> None:
        for x in samples:
            for part in parts:
                part.update(x)
                part.get()
            variance.update(x)
            variance.get()

    roll(value[:WINDOW].tolist())
    some = value[:RIVER_SAMPLES].tolist()
    ratio = taking_turns(lambda: roll(some), judging(value), (RIVER_SAMPLES, SAMPLES), 7)
    table.hold(GATES["river_beside_lognormal"], ratio.median, ratio.note("river", "ours"))


def zipf_batches(rng: np.random.Generator, series: int) -> Iterator[NDArray[np.int32]]:
    """Yield batches in which series k speaks in proportion to 1 / k; who is who is shuffled."""
    reach = np.cumsum(1 / np.arange(1, series + 1))
    who = rng.permutation(series).astype(np.int32)
    while True:
        yield who[np.searchsorted(reach, reach[-1] * rng.random(BATCH))]


@pytest.mark.parametrize("series", [10_000, 100_000])
def test_many_series_cost_little_more_a_sample_than_one(series: int, table: Table) -> None:
    rng = np.random.default_rng(series)
    value = lognormal(BATCH)
    clock = np.ones(BATCH, np.int64)
    # Nothing is judged before the windows are full, so they fill quickly.
    bank = Bank(voters=VOTERS, window_size=WINDOW, min_samples=WINDOW, capacity=series)
    for _ in range(series):
        bank.open()
    run = np.repeat(np.arange(series, dtype=np.int32), WINDOW)
    for start in range(0, len(run), BATCH):
        part = run[start : start + BATCH]
        bank.judge(part, value[: len(part)], clock[: len(part)])
    batches = zipf_batches(rng, series)
    coming = [next(batches) for _ in range(13)]
    ratio = taking_turns(
        lambda: bank.judge(coming.pop(), value, clock), judging(value), (BATCH, BATCH), 12
    )
    table.hold(
        GATES[f"series_{series:_}"], ratio.least, ratio.note(f"{series:,} series", "one series")
    )


@pytest.mark.benchmark(group="one series, 60,000 samples a round")
def test_judging_one_series(benchmark: Callable[..., object]) -> None:
    """Absolute figures, for comparison over time; no gate holds them."""
    benchmark(judging(lognormal(SAMPLES)))
