"""What each detector is, and how it can be set: one file, one Struct for each.

Lives here: the settings and the description of a detector, with its formula and its source.
Never here: the arithmetic (the compiled core has it), state, input or output.
May import: model and errors.
"""

from typing import Final, Literal

from sentinel.detectors.cusum import Cusum
from sentinel.detectors.incidents import Incidents
from sentinel.detectors.iqr import Iqr
from sentinel.detectors.mad import Mad
from sentinel.detectors.metric import MetricName
from sentinel.detectors.novelty import Novelty
from sentinel.detectors.zscore import ZScore

VoterName = Literal["zscore", "iqr", "mad", "cusum"]
DetectorName = Literal[VoterName, "novelty"]

DETECTORS: Final[tuple[VoterName, ...]] = ("zscore", "iqr", "mad", "cusum")
"""The four that judge each event, enabled by default.

Bit order of the core's votes, zscore = bit 0: append, never reorder.
"""

__all__ = [
    "DETECTORS",
    "Cusum",
    "DetectorName",
    "Incidents",
    "Iqr",
    "Mad",
    "MetricName",
    "Novelty",
    "VoterName",
    "ZScore",
]
