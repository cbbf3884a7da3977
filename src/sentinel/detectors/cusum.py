"""CUSUM: small deviations to one side that add up."""

from typing import Annotated

from msgspec import Meta, Struct

from sentinel.detectors.metric import VotedMetrics


class Cusum(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lasting shift of the mean, too small for one sample to show.

    S+ = max(0, S+ + z - drift) and S- = max(0, S- - z - drift), where z = (x - mean) / sd against
    the window before x enters; it fires when max(S+, S-) > threshold, and both sums start again
    from 0. A shift of twice the drift, in standard deviations, is the one found soonest. With
    sd = 0 any other value than the mean fires with score 1000 and without a statistic.

    References
    ----------
    Page, E. S. (1954), Continuous Inspection Schemes, Biometrika 41(1/2). The 5 and 0.5 are those
    of Montgomery, Introduction to Statistical Quality Control, section 9.1.
    """

    threshold: Annotated[
        float,
        Meta(
            gt=0, le=1000, description="Sum, in standard deviations, to exceed. Higher is quieter."
        ),
    ] = 5.0
    drift: Annotated[
        float,
        Meta(ge=0, le=1000, description="Standard deviations that each sample may stray for free."),
    ] = 0.5
    metrics: VotedMetrics = ("latency_ms",)

    @property
    def effective_threshold(self) -> float:
        """The sum above which it fires."""
        return self.threshold
