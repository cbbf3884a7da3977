"""Novelty again, slow and obvious: every shape that a series has had is written out at each row.

The memory of float32 is part of the definition; everything else is in float64.
"""

import math

import numpy as np

from oracle.baseline import Reals, tamed

SHAPE, MEMORY, WARM, BLOCK, LAST, FARTHEST = 8, 700, 100, 64, 14, 1e18


def scale_means(x: Reals, scale: int) -> Reals:
    """Return the mean of each row and the `scale` - 1 before it, from means of half as many."""
    means = x
    half = 1
    while half < scale:
        before = np.concatenate([np.zeros(half), means[:-half]])[: len(x)]
        means, half = 0.5 * (means + before), 2 * half
    return means


def distances(x: Reals, scale: int) -> Reals:
    """Return for each row the distance of its shape to the nearest before it; NaN: too few yet."""
    means = scale_means(x - x[0], scale)
    kept = np.clip(means, -FARTHEST, FARTHEST).astype(np.float32).astype(np.float64)
    blocks = kept[scale - 1 :: scale]
    out = np.full(len(x), np.nan)
    for row in range(len(x)):
        done = (row + 1) // scale
        known = blocks[max(done - MEMORY, 0) : done]
        if len(known) <= 2 * SHAPE:
            continue
        shape = kept[row - (SHAPE - 1) * scale : row + 1 : scale]
        shapes = np.lib.stride_tricks.sliding_window_view(known[:-SHAPE], SHAPE)
        out[row] = np.sqrt(((shapes - shape) ** 2).sum(axis=1).min())
    return out


def level_distances(x: Reals) -> Reals:
    """Return the distance of each row to the slow mean of those before it."""
    level, tops, out = x[0], [], np.zeros(len(x))
    mean = Maxima()
    total = 0.0
    for row, value in enumerate(x):
        r = abs(value - level)
        out[row] = r
        level += 0.01 * math.copysign(min(r, mean.most), value - level)
        total += min(r, mean.most)
        tops.append(r)
        if len(tops) == BLOCK:
            mean.learn(math.log(max(tops) + 0.01 * total / (row + 1) + 1e-12))
            tops = []
    return out


class Maxima:
    """Mean and variance of the logarithms of block maxima, the last fourteen counting."""

    def __init__(self) -> None:
        self.n, self.mean, self.variance, self.last = 0, 0.0, 0.0, 0.0

    @property
    def most(self) -> float:
        """What one sample teaches at most."""
        return 100 * math.exp(self.mean) if self.n else math.inf

    def learn(self, largest: float) -> None:
        """Count one maximum; one beyond a hundred times the usual needs another behind it."""
        step = largest - self.mean
        if self.n:
            step = min(step, max(math.log(100), min(largest, self.last) - self.mean))
        self.last = largest
        self.n += 1
        rate = 1 / min(self.n, LAST)
        self.mean += rate * step
        self.variance = (1 - rate) * (self.variance + rate * step * step)


def surprise(stream: Reals) -> Reals:
    """Return how far each value lies above the maxima of its stream, in their deviations."""
    out = np.zeros(len(stream))
    maxima, total, n, top = Maxima(), 0.0, 0, 0.0
    for row, r in enumerate(stream):
        if np.isnan(r):
            continue
        n += 1
        total += min(r, maxima.most)
        floor = 0.01 * total / n + 1e-12
        if row >= WARM and maxima.n >= 2:
            k = min(maxima.n, LAST)
            deviation = math.sqrt((k * maxima.variance + 15 * 0.25**2) / (k + 15))
            z = (math.log(r + floor) - maxima.mean) / deviation * math.sqrt(k / (k + 1))
            out[row] = max(z, 0.0)
        top = max(top, r)
        if n % BLOCK == 0:
            maxima.learn(math.log(top + floor))
            top = 0.0
    return out


def beyond(x: Reals) -> Reals:
    """Return 1 where a row lies outside the range of those before it, which slowly shrinks."""
    low = high = x[0]
    out = np.zeros(len(x))
    keep = 0.5 ** (1 / 20_000)
    for row, value in enumerate(x):
        out[row] = row >= WARM and not low <= value <= high
        middle = (low + high) / 2
        low = min(middle + keep * (low - middle), value)
        high = max(middle + keep * (high - middle), value)
    return out


def statistics(values: Reals) -> Reals:
    """Return the mean surprise of the six streams, before any alarm."""
    x = tamed(values)
    streams = [distances(x, scale) for scale in (1, 2, 4, 8, 16)]
    streams.append(level_distances(x))
    total = np.sum([surprise(stream) for stream in streams], axis=0)
    return np.asarray(total / 6 * (1 + 0.4 * beyond(x)))


def alarms(found: Reals, threshold: float) -> Reals:
    """Return the scores: at least 1 at an alarm, one an episode; less than 1 elsewhere."""
    told_at: list[int] = []
    hot = peak = None
    out = np.zeros(len(found))
    for row, s in enumerate(found):
        habit = sum(0.5 ** ((row - at) / 10_000) for at in told_at)
        limit = threshold * (1 + 0.2 * habit)
        is_open = peak is not None and hot is not None and row - hot <= 60
        if s >= limit and (not is_open or s > 3 * (peak or 0)):
            told_at.append(row)
            peak = s
            out[row] = s / limit
        else:
            out[row] = min(s / limit, np.nextafter(1, 0))
            peak = peak if is_open else None
        if s >= 0.5 * limit:
            hot = row
    return out
