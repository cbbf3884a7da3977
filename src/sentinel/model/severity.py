"""How bad it is: one scale for votes, incidents and alerts."""

from bisect import bisect_right
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["info", "warning", "critical"]

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
SCORE_MAX: Final = 1000.0
"""A score is statistic / threshold, held to this; zero spread scores exactly this."""


_BEGINS: Final = (1.5, 3.0)
"""Scores at which each severity but the first begins."""


def severity_codes(scores: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return severities as indexes into SEVERITIES.

    >>> severity_codes(np.array([1.1, 1.5, 3.0])).tolist()
    [0, 1, 2]
    """
    return np.searchsorted(_BEGINS, scores, side="right").astype(np.int8)


def severity_of(score: float) -> Severity:
    """Return the severity of a score (statistic / threshold; higher is stranger).

    >>> [severity_of(score) for score in (1.1, 1.5, 3.0, 1000.0)]
    ['info', 'warning', 'critical', 'critical']
    """
    return SEVERITIES[bisect_right(_BEGINS, score)]
