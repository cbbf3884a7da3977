"""Streams on which a sliding standard deviation loses its digits, and the usual ways that do."""

from collections import deque
from collections.abc import Callable, Iterator
from math import sqrt

import numpy as np

from oracle.baseline import Reals

SAMPLES = 3_500
SIZE = 1_000
"""Of the window: every stream is longer than three windows."""


def _spikes(rng: np.random.Generator, level: Reals, height: float, share: float) -> Reals:
    return np.where(rng.random(len(level)) < share, height * (0.5 + rng.random(len(level))), level)


def adversarial(rng: np.random.Generator) -> dict[str, Reals]:
    """Return the streams by name: six of the literature's traps, and five of our own."""
    noise = rng.standard_normal(SAMPLES)
    steps = np.arange(SAMPLES)
    calm = steps % 1_500 > 40
    found = {
        "1e9 + N(0, 1)": 1e9 + noise,
        "1e12 outliers": _spikes(rng, 5 + noise, 1e12, 0.0004),
        "1e15 spikes, sd 1e-3": _spikes(rng, 5 + 1e-3 * noise, 1e15, 0.0004),
        "jumps 0 / 1e9": 1e9 * (steps // 1_100 % 2) + noise,
        "bursts, then one value": np.where(calm, 0.1, 0.1 + 1e8 * noise),
        "drift far from 0": 1e8 + 0.01 * steps + noise,
        "1e100 once": np.where(steps % 1_500 == 700, 1e100, noise),
        "2^53 among costs of 1e-6": _spikes(rng, 1e-6 * np.exp(noise), 2.0**53, 0.0004),
        "decay by a power of ten a window": np.exp(0.2 * noise) * 10 ** (20 - steps / 100),
        "one last place about 1/3": 1 / 3 + 2.0**-54 * np.rint(noise),
        "outliers of every size": _spikes(rng, noise, 1.0, 0.0)
        + np.where(rng.random(SAMPLES) < 0.002, 10 ** rng.uniform(0, 99, SAMPLES), 0.0),
    }
    return {name: np.asarray(x, np.float64) for name, x in found.items()}


def plain_sums(x: Reals, size: int) -> Iterator[float]:
    """Yield the standard deviation before each sample: sum and sum of squares carried along."""
    window: deque[float] = deque()
    total = squares = 0.0
    for value in x.tolist():
        n = len(window)
        yield sqrt(max(squares - total * total / n, 0.0) / (n - 1)) if n > 1 else 0.0
        if n == size:
            old = window.popleft()
            total -= old
            squares -= old * old
        window.append(value)
        total += value
        squares += value * value


def welford(x: Reals, size: int) -> Iterator[float]:
    """Yield the same by Welford's update, and its inverse for what leaves."""
    return _welford(x, size, anew_at_wrap=False)


def welford_anew_at_wrap(x: Reals, size: int) -> Iterator[float]:
    """Yield the same, made anew in two passes each time the ring wraps."""
    return _welford(x, size, anew_at_wrap=True)


def _welford(x: Reals, size: int, *, anew_at_wrap: bool) -> Iterator[float]:
    window: deque[float] = deque()
    mean = squares = 0.0
    for seen, value in enumerate(x.tolist()):
        n = len(window)
        yield sqrt(max(squares, 0.0) / (n - 1)) if n > 1 else 0.0
        if n == size:
            old = window.popleft()
            moved = value - old
            before = mean
            mean += moved / n
            squares += moved * (value - mean + old - before)
        else:
            moved = value - mean
            mean += moved / (n + 1)
            squares += moved * (value - mean)
        window.append(value)
        if anew_at_wrap and (seen + 1) % size == 0:
            whole = np.array(window)
            mean = float(whole.mean())
            squares = float(np.square(whole - mean).sum())


USUAL: dict[str, Callable[[Reals, int], Iterator[float]]] = {
    "sum and sum of squares": plain_sums,
    "Welford": welford,
    "Welford, anew at wrap": welford_anew_at_wrap,
}


def worst_error(got: Reals, want: Reals) -> float:
    """Return the largest relative error; infinite where one says 0 and the other does not."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.abs(got - want) / want
    error = np.where(want == 0, np.where(got == 0, 0.0, np.inf), error)
    return float(np.max(error))
