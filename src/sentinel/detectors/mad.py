"""MAD: a z-score that outliers in its own window cannot bend."""

from typing import Annotated

from msgspec import Meta, Struct

from sentinel.detectors.metric import VotedMetrics


class Mad(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Far from the median, in median absolute deviations of the baseline window.

    m = 0.6745 (x - median) / MAD, where MAD is the median of abs(x_i - median) and 0.6745 makes m a
    z-score on normal data; it fires when abs(m) > threshold. With MAD = 0 any other value than the
    median fires with score 1000 and without a statistic; the median itself never does.

    References
    ----------
    Iglewicz, B. and Hoaglin, D. C. (1993), How to Detect and Handle Outliers, ASQC Basic References
    in Quality Control 16, the modified z-score and its 3.5.
    """

    threshold: Annotated[
        float,
        Meta(gt=0, le=1000, description="Modified z-score to exceed. Higher is quieter."),
    ] = 3.5
    metrics: VotedMetrics = ("latency_ms",)

    @property
    def effective_threshold(self) -> float:
        """The abs(m) above which it fires."""
        return self.threshold
