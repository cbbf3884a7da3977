"""An anomaly: one detector's verdict on one sample that fired."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from sentinel.model.severity import Severity

ANOMALY_PREFIX: Final = "anom-"
"""What stands before the 32 digits of an anomaly's id."""


class Anomaly(Struct, frozen=True, gc=False):
    """One vote that fired, with the baseline it was judged against (before the sample entered)."""

    id: str
    timestamp: datetime
    event_id: str
    tenant: str
    environment: str
    service: str
    model: str
    metric: str
    detector: str
    value: float
    statistic: float | None
    """In the detector's own unit; None where the baseline has no spread."""
    threshold: float
    score: float
    """statistic / threshold, at most 1000; 1000 where the baseline has no spread."""
    severity: Severity
    z_score: float | None
    baseline_samples: int
    baseline_mean: float
    baseline_stddev: float
    baseline_median: float
    expected_lower: float | None
    """The range in which this detector would not have fired; None for CUSUM, which has none."""
    expected_upper: float | None
