"""Streams that find mistakes: one function a kind, each from a seeded generator."""

from collections.abc import Callable

import numpy as np

from oracle.baseline import Reals

Generator = np.random.Generator
Kind = Callable[[Generator, int], Reals]


def constant(rng: Generator, n: int) -> Reals:
    """One value, now and then another for a single sample."""
    x = np.full(n, rng.choice([0.0, 1.0, 3.25, -7.5, 1e9, 1 / 3]))
    x[rng.random(n) < 0.01] += rng.choice([1.0, 1e-9, -2.0])
    return x


def ties(rng: Generator, n: int) -> Reals:
    """Whole numbers, few of them."""
    return np.floor(np.exp(rng.uniform(0, 3) + rng.uniform(0.1, 1) * rng.standard_normal(n)))


def two_values(rng: Generator, n: int) -> Reals:
    """Failures: 0, and a share of 1."""
    return (rng.random(n) < rng.uniform(0.0, 0.6)).astype(np.float64)


def lognormal(rng: Generator, n: int) -> Reals:
    """Latencies."""
    return np.exp(6 + rng.uniform(0.05, 1.5) * rng.standard_normal(n))


def pareto(rng: Generator, n: int) -> Reals:
    """So heavy a tail that the mean need not exist."""
    return np.asarray(rng.pareto(rng.uniform(0.3, 2.5), n) + 1.0)


def huge_outliers(rng: Generator, n: int) -> Reals:
    """Ordinary values among 1e12."""
    x = rng.normal(5.0, rng.choice([1e-3, 1.0]), n)
    return np.where(rng.random(n) < rng.uniform(0.005, 0.2), 1e12 * rng.random(n), x)


def extremes(rng: Generator, n: int) -> Reals:
    """The ends of what a double can hold, 0, and both signs."""
    values = [1e300, -1e300, 1e-300, 5e-324, 0.0, -0.0, 1.0, -1.0, 1e100, 1e-100, 2.0, 1e30, 1e12]
    likely = rng.random(len(values)) ** 4
    return rng.choice(values, n, p=likely / likely.sum())


def rare_extremes(rng: Generator, n: int) -> Reals:
    """Ordinary values, and seldom one that dwarfs them by any power of ten."""
    x = rng.standard_normal(n)
    spikes = 10.0 ** rng.uniform(-320, 308, n) * rng.choice([-1, 1], n)
    return np.where(rng.random(n) < 0.02, spikes, x)


def negative(rng: Generator, n: int) -> Reals:
    """Both signs about a negative level."""
    return rng.normal(rng.uniform(-100, 5), 10 ** rng.uniform(-3, 3), n)


def jumps(rng: Generator, n: int) -> Reals:
    """A level that jumps."""
    level = rng.choice([0.0, 1.0, 1e3, 1e9], n)
    start = rng.random(n) < 4 / max(n, 40)
    start[:1] = True
    return np.asarray(
        level[np.maximum.accumulate(np.where(start, np.arange(n), 0))]
        + rng.normal(0, 10 ** rng.uniform(-3, 1), n)
    )


def drifts(rng: Generator, n: int) -> Reals:
    """A level that climbs or falls, or grows by a factor."""
    x = np.exp(2 + 0.3 * rng.standard_normal(n))
    growth = rng.uniform(-0.1, 0.1)
    if rng.random() < 0.5:
        return np.asarray(x * np.exp(growth * np.arange(n)))
    return np.asarray(x + growth * np.arange(n))


def alternations(rng: Generator, n: int) -> Reals:
    """A few values in turn: every other place of a quantile is a tie."""
    turn = rng.choice([0.1, 1.0, 5.0, -5.0, 1e6, 1e12], rng.integers(2, 6))
    return np.asarray(np.resize(turn, n))


def offset(rng: Generator, n: int) -> Reals:
    """A small spread far from 0."""
    return rng.normal(10 ** rng.uniform(3, 10), 1.0, n)


def bursts(rng: Generator, n: int) -> Reals:
    """Noise that comes and goes; between, one value."""
    calm = np.floor(np.arange(n) / rng.integers(5, 400)) % 2 == 0
    return np.where(calm, 100.0, 100.0 + 1e6 * rng.standard_normal(n))


def walk(rng: Generator, n: int) -> Reals:
    """A random walk."""
    return np.asarray(np.cumsum(rng.standard_normal(n)))


KINDS: tuple[Kind, ...] = (
    constant, ties, two_values, lognormal, pareto, huge_outliers, extremes, rare_extremes, negative,
    jumps, drifts, alternations, offset, bursts, walk,
)  # fmt: skip
