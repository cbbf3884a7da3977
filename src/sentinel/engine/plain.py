"""One plain series: numbers that are nobody's telemetry, judged by their novelty."""

import numpy as np
from numpy.typing import NDArray

from sentinel._core.novelty import Novelty
from sentinel.engine.rules import Rules


class PlainSeries:
    """Judges the samples of one series of any unit, one after the other.

    The four votes have no say here: one of them fires on many an ordinary sample, which does not
    answer whether a sample is anomalous.
    """

    def __init__(self, rules: Rules) -> None:
        self._threshold = rules.novelty.threshold
        self._series = Novelty()

    def score(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return statistic / threshold of each sample; from 1 up it raises an alarm.

        Parameters
        ----------
        value : float64[n]
            Finite.
        """
        return self._series.score(value, self._threshold)
