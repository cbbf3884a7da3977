"""What novelty costs a sample, beside the same distances in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest

from sentinel._core.novelty import Novelty
from yardstick import Table, gates, taking_turns

GATES = gates("detection")
SAMPLES, NUMPY_SAMPLES = 20_000, 200
SCALES, SHAPE, MEMORY = 5, 8, 700


def full_series() -> Novelty:
    """Return a series whose memory is full at every scale."""
    series = Novelty()
    series.score(np.random.default_rng(1).standard_normal(MEMORY * 16))
    return series


def test_numpy_takes_many_times_longer_for_the_distances_alone(table: Table) -> None:
    rng = np.random.default_rng(2)
    values = rng.standard_normal(SAMPLES)
    memory = rng.standard_normal((SCALES, MEMORY)).astype(np.float32)
    shapes = np.lib.stride_tricks.sliding_window_view(memory, SHAPE, axis=1)
    queries = rng.standard_normal((NUMPY_SAMPLES, SCALES, 1, SHAPE)).astype(np.float32)
    series = full_series()

    def distances() -> None:
        for query in queries:
            difference = shapes - query
            np.einsum("skd,skd->sk", difference, difference).min(axis=1)

    ratio = taking_turns(distances, lambda: series.score(values), (NUMPY_SAMPLES, SAMPLES))
    table.hold(GATES["numpy_beside_novelty"], ratio.median, ratio.note("NumPy", "ours"))


def test_a_series_takes_a_few_kilobytes(table: Table) -> None:
    table.hold(GATES["record_bytes"], len(full_series().save()))


@pytest.mark.benchmark(group="novelty of one series, 20,000 samples a round")
def test_judging_one_series(benchmark: Callable[..., object]) -> None:
    """Absolute figures, for comparison over time; no gate holds them."""
    series = full_series()
    benchmark(series.score, np.random.default_rng(3).standard_normal(SAMPLES))
