"""Z-score: how many standard deviations a value lies from the mean."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from sentinel.detectors.metric import VotedMetrics

Sensitivity = Literal["low", "medium", "high"]

_FACTORS: Final[dict[Sensitivity, float]] = {"low": 0.75, "medium": 1.0, "high": 1.25}


class ZScore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Far from the mean, in standard deviations of the baseline window.

    z = (x - mean) / sd, where sd has the divisor n - 1; it fires when abs(z) > threshold /
    sensitivity. Both moments are those of the window before x enters. With sd = 0 any other value
    than the mean fires with score 1000 and without a statistic; the mean itself never does.

    References
    ----------
    Grubbs, F. E. (1969), Procedures for Detecting Outlying Observations in Samples, Technometrics
    11(1); the three of the threshold is Shewhart's (1931).
    """

    threshold: Annotated[
        float,
        Meta(gt=0, le=1000, description="Standard deviations from the mean. Higher is quieter."),
    ] = 3.0
    sensitivity: Annotated[
        Sensitivity,
        Meta(description="Divides the threshold: low by 0.75, medium by 1, high by 1.25."),
    ] = "medium"
    metrics: VotedMetrics = ("latency_ms", "total_tokens", "cost_usd")

    @property
    def effective_threshold(self) -> float:
        """The abs(z) above which it fires.

        >>> ZScore(threshold=3.0, sensitivity="low").effective_threshold
        4.0
        """
        return self.threshold / _FACTORS[self.sensitivity]
