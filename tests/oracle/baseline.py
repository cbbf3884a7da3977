"""The baseline before each sample of a stream: its window written out, sorted and summed anew."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]

CELLS = 1 << 20
"""Cells of windows written out at one time: 8 MiB, the sorted copy, and its longdoubles."""


@dataclass
class Baseline:
    """Statistics of n windows, one a row; NaN where a window is empty."""

    n: Whole
    mean: Reals
    stddev: Reals
    q1: Reals
    median: Reals
    q3: Reals
    mad: Reals
    p95: Reals
    p99: Reals
    largest: Reals
    """The largest absolute value: what an error of the mean is relative to."""
    distance: Reals
    """The sample after the window, minus the mean, before either is rounded."""

    def __getitem__(self, rows: slice) -> "Baseline":
        return Baseline(*(getattr(self, field.name)[rows] for field in fields(self)))


def tamed(x: Reals) -> Reals:
    """Return x held to the range in which squares neither overflow nor vanish."""
    held = np.clip(x, -1e100, 1e100)
    return np.where(np.abs(held) < 1e-100, 0.0, held)


def quantile(ordered: Reals, n: Whole, p: float) -> Reals:
    """Return the type-7 quantile of the first n[i] values of each ordered row i."""
    rows = np.arange(len(ordered))
    place = (n - 1) * np.longdouble(p)
    below = np.maximum(np.floor(place).astype(np.int64), 0)
    above = np.minimum(below + 1, np.maximum(n - 1, 0))
    low = ordered[rows, below].astype(np.longdouble)
    high = ordered[rows, above].astype(np.longdouble)
    return np.asarray(low + (place - below) * (high - low), dtype=np.float64)


def moments(ordered: Reals, n: Whole, median: Reals, x: Reals) -> tuple[Reals, Reals, Reals]:
    """Return mean, standard deviation (n - 1) and x - mean: two passes in 80 bits.

    The first pass is about the median, so that equal values give exactly 0.
    """
    held = np.arange(ordered.shape[1]) < n[:, None]
    from_median = np.where(held, ordered, median[:, None]).astype(np.longdouble)
    from_median -= median[:, None]
    shift = from_median.sum(axis=1) / n
    from_mean = from_median
    from_mean -= shift[:, None]
    np.multiply(from_mean, held, out=from_mean)
    np.square(from_mean, out=from_mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        stddev = np.sqrt(from_mean.sum(axis=1) / (n - 1))
    distance = (x.astype(np.longdouble) - median) - shift
    return (
        np.asarray(median + shift, dtype=np.float64),
        np.asarray(stddev, dtype=np.float64),
        np.asarray(distance, dtype=np.float64),
    )


def windows(x: Reals, size: int, positions: Whole) -> tuple[Reals, Whole]:
    """Return the window before each position, one a row, and how many samples it holds.

    A short window is filled up with infinity, which sorts behind every sample.
    """
    n = np.minimum(positions, size)
    start = positions - n
    width = max(int(n.max()), 1)
    at = start[:, None] + np.arange(width)
    padded = np.append(x, np.inf)
    rows = padded[np.minimum(at, len(x))]
    rows[np.arange(width) >= n[:, None]] = np.inf
    return rows, n


def describe(x: Reals, size: int, positions: Whole) -> Baseline:
    """Return the baseline before each position of the tamed stream x."""
    rows, n = windows(x, size, positions)
    ordered = np.sort(rows, axis=1)
    empty = n == 0
    ordered[empty, 0] = 0.0
    counted = np.maximum(n, 1)
    median = quantile(ordered, counted, 0.5)
    after = np.append(x, 0.0)[np.minimum(positions, len(x))]
    mean, stddev, distance = moments(ordered, counted, median, after)
    stddev[n == 1] = 0.0
    farness = np.sort(np.abs(ordered - median[:, None]), axis=1)
    last = ordered[np.arange(len(n)), counted - 1]
    parts = [
        mean,
        stddev,
        quantile(ordered, counted, 0.25),
        median,
        quantile(ordered, counted, 0.75),
        quantile(farness, counted, 0.5),
        quantile(ordered, counted, 0.95),
        quantile(ordered, counted, 0.99),
        np.maximum(np.abs(ordered[:, 0]), np.abs(last)),
        distance,
    ]
    for part in parts:
        part[empty] = np.nan
    return Baseline(n, *parts)


def baselines(x: Reals, size: int) -> Baseline:
    """Return the baseline before each sample of a tamed stream, and one more: after the last."""
    found = []
    start = 0
    while start <= len(x):
        width = min(size, start + 1024)
        stop = min(start + max(CELLS // width, 1), start + 1024, len(x) + 1)
        found.append(describe(x, size, np.arange(start, stop)))
        start = stop
    return Baseline(
        *(np.concatenate([getattr(part, f.name) for part in found]) for f in fields(Baseline))
    )
