"""One series: what each detector says of each sample, given the windows before them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle.baseline import Baseline, Reals, Whole, baselines, tamed


@dataclass(frozen=True)
class Rules:
    """Thresholds and sizes."""

    size: int
    least: int = 10
    zscore: float = 3.0
    iqr: float = 1.5
    mad: float = 3.5
    cusum: float = 5.0
    drift: float = 0.5
    idle_ns: int = 7 * 86_400 * 1_000_000_000

    def thresholds(self) -> dict[str, float]:
        """Return the thresholds by detector, in the order of the vote bits."""
        return {"zscore": self.zscore, "iqr": self.iqr, "mad": self.mad, "cusum": self.cusum}


@dataclass
class Judged:
    """What is known of each of n samples."""

    value: Reals
    armed: NDArray[np.bool_]
    """The window held enough samples for the detectors to speak."""
    before: Baseline
    after: Baseline
    """What readers see once the sample is in."""
    statistics: dict[str, Reals]
    """By detector; NaN = no spread, and another value; meaningless where it was not armed."""

    def fires(self, detector: str, threshold: float) -> NDArray[np.bool_]:
        """Return where a detector fires: beyond its threshold, or strange beyond any scale."""
        statistic = self.statistics[detector]
        return self.armed & (np.isnan(statistic) | (np.abs(statistic) > threshold))


def zscore(distance: Reals, stddev: Reals) -> Reals:
    """Return (x - mean) / sd; without spread 0 for the same value, NaN for any other."""
    return over_spread(distance, stddev, distance == 0)


def iqr_distance(x: Reals, q1: Reals, q3: Reals) -> Reals:
    """Return how many interquartile ranges x lies outside [q1, q3]."""
    outside = np.maximum(np.maximum(q1 - x, x - q3), 0.0)
    return over_spread(outside, q3 - q1, outside == 0)


def mad_score(x: Reals, median: Reals, mad: Reals) -> Reals:
    """Return 0.6745 (x - median) / MAD."""
    return over_spread(0.6745 * (x - median), mad, x == median)


def over_spread(difference: Reals, spread: Reals, same: NDArray[np.bool_]) -> Reals:
    """Return difference / spread; where there is no spread 0 for the same value, else NaN."""
    wide = spread > 0
    quotient = difference / np.where(wide, spread, 1.0)
    return np.where(wide, quotient, np.where(same, 0.0, np.nan))


def cusum(z: Reals, drift: float, threshold: float) -> Reals:
    """Return the larger of the two sums at each sample, negative where it is the lower one.

    Both start again from 0 when either passes the threshold.  A z of NaN is an alarm, too.
    """
    up = down = 0.0
    found = []
    for deviation in z.tolist():
        if deviation != deviation:
            up = down = 0.0
            found.append(deviation)
            continue
        up = max(0.0, up + deviation - drift)
        down = max(0.0, down - deviation - drift)
        found.append(up if up >= down else -down)
        if up > threshold or down > threshold:
            up = down = 0.0
    return np.array(found)


def judge_segment(x: Reals, rules: Rules) -> Judged:
    """Judge a stream without idle gaps, from an empty window on."""
    described = baselines(x, rules.size)
    before, after = described[:-1], described[1:]
    armed = before.n >= rules.least
    z = zscore(before.distance, before.stddev)
    sums = np.zeros(len(x))
    sums[armed] = cusum(z[armed], rules.drift, rules.cusum)
    statistics = {
        "zscore": z,
        "iqr": iqr_distance(x, before.q1, before.q3),
        "mad": mad_score(x, before.median, before.mad),
        "cusum": sums,
    }
    return Judged(x, armed, before, after, statistics)


def judge(value: Reals, time: Whole, rules: Rules) -> list[Judged]:
    """Judge a stream: one part for each stretch that no idle gap interrupts."""
    restarts = np.flatnonzero(np.diff(time) > rules.idle_ns) + 1
    return [judge_segment(part, rules) for part in np.split(tamed(value), restarts)]
