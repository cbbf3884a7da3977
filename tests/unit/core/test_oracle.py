"""The oracle itself, against what NumPy and the standard library say of one window."""

import math
import statistics

import numpy as np

from oracle.baseline import baselines, tamed
from oracle.series import Rules, cusum, judge
from oracle.streams import KINDS


def test_the_oracle_agrees_with_numpy_and_exact_sums_on_every_window() -> None:
    rng = np.random.default_rng(5)
    for kind in KINDS:
        x = tamed(kind(rng, 90))
        for size in (2, 10, 41):
            found = baselines(x, size)
            for i in range(2, 91):
                window = x[max(0, i - size) : i]
                scale = np.abs(window).max()
                assert found.n[i] == len(window)
                assert abs(found.mean[i] - math.fsum(window) / len(window)) <= 1e-15 * scale
                exact = statistics.stdev(window.tolist())
                assert abs(found.stddev[i] - exact) <= 1e-13 * exact, (kind, size, i)
                median = np.median(window)
                spread = np.median(np.abs(window - median))
                for got, want in (
                    (found.median[i], median),
                    (found.q1[i], np.quantile(window, 0.25)),
                    (found.q3[i], np.quantile(window, 0.75)),
                    (found.p95[i], np.quantile(window, 0.95)),
                    (found.p99[i], np.quantile(window, 0.99)),
                    (found.mad[i], spread),
                ):
                    assert abs(got - want) <= 1e-12 * max(abs(want), np.abs(window).min())


def test_the_oracle_splits_a_stream_where_it_was_idle() -> None:
    rules = Rules(10, idle_ns=100)
    parts = judge(np.arange(6.0), np.array([0, 100, 201, 202, 303, 304]), rules)
    assert [len(part.value) for part in parts] == [2, 2, 2]
    assert [part.before.n[0] for part in parts] == [0, 0, 0]


def test_the_oracle_starts_both_sums_again_at_an_alarm() -> None:
    z = np.array([3.0, 3.0, 1.0, np.nan, -2.0, -3.0, -3.0])
    want = [2.5, 5.0, 5.5, np.nan, -1.5, -4.0, -6.5]
    assert np.allclose(cusum(z, 0.5, 5.0), want, equal_nan=True)
    assert np.allclose(cusum(np.array([6.0, 1.0]), 0.5, 5.0), [5.5, 0.5])


def test_the_oracle_holds_values_to_the_range_that_squares_can_carry() -> None:
    given = np.array([1e300, -1e300, 1e-300, -1e-101, 0.0, 1e-100, 1e100, 5.0])
    assert tamed(given).tolist() == [1e100, -1e100, 0.0, 0.0, 0.0, 1e-100, 1e100, 5.0]
