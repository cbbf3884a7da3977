"""One plain series: the four detectors over numbers that are nobody's telemetry."""

import numpy as np
from numpy.typing import NDArray

from sentinel._core import reports
from sentinel._core.bank import Bank
from sentinel.detectors import DETECTORS
from sentinel.engine.rules import Rules
from sentinel.model.severity import SCORE_MAX


class PlainSeries:
    """Judges the samples of one metric with every enabled detector, whatever its metrics say."""

    def __init__(self, rules: Rules) -> None:
        self._thresholds = dict(zip(DETECTORS, rules.thresholds(), strict=True))
        self._voters = [
            bit for bit, name in enumerate(DETECTORS) if name in rules.enabled_detectors
        ]
        self._bank = Bank(
            voters=[sum(1 << bit for bit in self._voters)] * 8,
            drift=rules.cusum.drift,
            window_size=rules.window_size,
            min_samples=rules.min_samples,
            capacity=1,
            idle_ns=2**62,
            **self._thresholds,
        )
        self._slot = self._bank.open()

    def score(self, value: NDArray[np.float64], time: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return for each sample the largest of its votes, statistic / threshold; 0 while learning.

        Parameters
        ----------
        value : float64[n]
            Finite.
        time : int64[n], nanoseconds
            Never decreasing.
        """
        slot = np.full(len(value), self._slot, np.int32)
        self._bank.judge(slot, value, time, every=True)
        verdicts = reports.verdicts(self._bank)
        scores = np.zeros(len(value))
        for bit in self._voters:
            name = DETECTORS[bit]
            ratio = np.abs(verdicts[name]) / self._thresholds[name]
            ratio[np.isnan(ratio)] = SCORE_MAX
            ratio = np.minimum(ratio, SCORE_MAX)
            np.maximum.at(scores, verdicts["sample"], ratio)
        return scores
