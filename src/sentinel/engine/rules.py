"""What the engine needs to know of the configuration."""

from typing import Any

from msgspec import Struct, field

from sentinel.detectors import DETECTORS, Cusum, Incidents, Iqr, Mad, Novelty, ZScore
from sentinel.detectors.channels import LEVELS, SHARES
from sentinel.model.metric import METRICS

NS = 1_000_000_000


class Rules(Struct, frozen=True, kw_only=True):
    """Detectors and baselines, as the engine takes them."""

    enabled_detectors: tuple[str, ...] = DETECTORS
    zscore: ZScore = field(default_factory=ZScore)
    iqr: Iqr = field(default_factory=Iqr)
    mad: Mad = field(default_factory=Mad)
    cusum: Cusum = field(default_factory=Cusum)
    incidents: Incidents = field(default_factory=Incidents)
    zone: tuple[tuple[int, int], ...] = ()
    """From which second since 1970 on local time is how many seconds ahead of UTC."""
    novelty: Novelty = field(default_factory=Novelty)
    window_size: int = 1000
    min_samples: int = 10
    max_series: int = 100_000
    allowed_lateness_secs: int = 10

    def voters(self) -> list[int]:
        """Return for each metric the detectors that vote on it, as bits in the order of DETECTORS.

        >>> Rules(enabled_detectors=("zscore", "mad")).voters()[0]
        5
        """
        judged = {
            "zscore": self.zscore.metrics,
            "iqr": self.iqr.metrics,
            "mad": self.mad.metrics,
            "cusum": self.cusum.metrics,
        }
        voters = [0] * len(METRICS)
        for bit, name in enumerate(DETECTORS):
            if name in self.enabled_detectors:
                for metric in judged[name]:
                    voters[METRICS.index(metric)] |= 1 << bit
        return voters

    @property
    def judges_minutes(self) -> bool:
        """Whether rates and quantiles by the minute are judged."""
        return "novelty" in self.enabled_detectors

    def for_core(self) -> dict[str, Any]:
        """Return what the core judges by, as its arguments."""
        zscore, iqr, mad, cusum = self.thresholds()
        return {
            "voters": self.voters(),
            "zscore": zscore,
            "iqr": iqr,
            "mad": mad,
            "cusum": cusum,
            "drift": self.cusum.drift,
        }

    def laws(self) -> dict[str, Any]:
        """Return what the tests of evidence judge by, as the core's arguments."""
        return {
            "levels": LEVELS,
            "shares": SHARES,
            "off": self.incidents.off(),
            "fixed": self.incidents.evidence_threshold or 0.0,
            "allowed": self.incidents.false_alarms_per_service_week,
            "lean": self.incidents.lean,
            "zone": self.zone,
        }

    def thresholds(self) -> list[float]:
        """Return the thresholds that the statistics are held against, in the order of DETECTORS."""
        return [
            self.zscore.effective_threshold,
            self.iqr.multiplier,
            self.mad.threshold,
            self.cusum.threshold,
        ]
