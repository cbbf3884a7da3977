"""IQR: how far a value lies outside the middle half of its window."""

from typing import Annotated

from msgspec import Meta, Struct

from sentinel.detectors.metric import VotedMetrics


class Iqr(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Outside the fences around the middle half of the baseline window.

    d = max(Q1 - x, x - Q3, 0) / (Q3 - Q1), with quartiles of type 7 of the window before x enters;
    it fires when d > multiplier. With Q1 = Q3 any other value fires with score 1000 and without a
    statistic; the quartile itself never does.

    References
    ----------
    Tukey, J. W. (1977), Exploratory Data Analysis, section 2D: fences at 1.5 and 3.
    Hyndman, R. J. and Fan, Y. (1996), Sample Quantiles in Statistical Packages, The American
    Statistician 50(4), definition 7.
    """

    multiplier: Annotated[
        float,
        Meta(
            gt=0, le=1000, description="Interquartile ranges outside Q1 or Q3. Higher is quieter."
        ),
    ] = 1.5
    metrics: VotedMetrics = ("latency_ms", "total_tokens")

    @property
    def effective_threshold(self) -> float:
        """The distance, in interquartile ranges, above which it fires."""
        return self.multiplier
