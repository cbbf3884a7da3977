"""A baseline as readers see it: the summary of one series' window."""

from datetime import datetime

from msgspec import Struct


class BaselineSummary(Struct, frozen=True):
    """Statistics of the last samples of one series; quantiles are type 7, `stddev` has n - 1."""

    tenant: str
    environment: str
    service: str
    model: str
    metric: str
    samples: int
    mean: float
    stddev: float
    q1: float
    median: float
    q3: float
    mad: float
    p95: float
    p99: float
    evidence: str | None
    """`armed`, or how far the tests of this metric are: `learning 37/100`; None where there are
    none."""
    as_of: datetime | None = None
    """T at which another process kept it; None: it is as of now."""

    def names(self) -> tuple[str, ...]:
        """Return what names the series."""
        return (self.tenant, self.environment, self.service, self.model, self.metric)

    def title(self) -> str:
        """Return the series' name: `service:model:metric`, with what is not `default` before it.

        >>> BaselineSummary("default", "prod", "a", "b", "latency_ms", *range(10)).title()
        'prod/a:b:latency_ms'
        """
        prefix = [name for name in (self.tenant, self.environment) if name != "default"]
        return "/".join([*prefix, f"{self.service}:{self.model}:{self.metric}"])
