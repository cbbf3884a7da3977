"""Incidents: what evidence opened, with everything a person needs to judge it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from sentinel.model.severity import Severity

IncidentState = Literal["open", "acknowledged", "resolved"]
IncidentType = Literal[
    "latency_spike",
    "latency_drift",
    "token_usage_spike",
    "cost_anomaly",
    "error_rate_increase",
    "throughput_change",
]
IncidentEventKind = Literal["open", "evidence", "escalate", "progress", "acknowledge", "close"]


class Observed(Struct, frozen=True, kw_only=True):
    """What was seen: the value in `unit`, and how many of `n` calls it rests on."""

    value: float
    unit: str
    hits: int
    n: int


class Expected(Struct, frozen=True, kw_only=True):
    """What is usual: the middle of the baseline and the range that opens nothing."""

    value: float
    lower: float
    upper: float
    n: int
    source: Literal["own"] = "own"


class Vote(Struct, frozen=True, kw_only=True):
    """What one detector said of the sample at which a test opened."""

    detector: str
    metric: str
    statistic: float | None
    threshold: float
    fired: bool


class Example(Struct, frozen=True, kw_only=True):
    """One call to look at."""

    event_id: str
    trace_id: str | None
    timestamp: datetime
    value: float


class Evidence(Struct, frozen=True, kw_only=True):
    """One test's case, frozen at the sample at which the test opened.

    Every number comes from the test itself; the incident layer adds none.
    """

    id: str
    """Hash of the position and the series at which the test opened."""
    test: str
    type: IncidentType
    metric: str
    direction: Literal["up", "down"]
    statistic: float
    threshold: float
    score: float
    severity: Severity
    observed: Observed
    expected: Expected
    first_offset: int
    first_index: int
    started_at: datetime
    """Time of the first sample of the case."""
    timestamp: datetime
    """Time of the sample at which the test opened."""
    example: Example
    votes: list[Vote]


class Impact(Struct, frozen=True, kw_only=True):
    """What it has cost so far, counted from the opening on."""

    calls: int
    """Calls of this service and model while it was open."""
    hits: int
    """Those of them that the open tests counted against it."""


class Act(Struct, frozen=True, kw_only=True):
    """What a person did about an incident."""

    by: str
    at: datetime
    note: str


class Incident(Struct, frozen=True, kw_only=True):
    """One cause: all tests that were open together on one (tenant, environment, service, model)."""

    id: str
    state: IncidentState
    severity: Severity
    type: IncidentType
    tenant: str
    environment: str
    service: str
    model: str
    provider: str | None
    metric: str
    detector: str
    score: float
    title: str
    started_at: datetime
    timestamp: datetime
    ended_at: datetime | None
    observed: Observed
    expected: Expected
    peak: float
    """The strangest value of `metric` while it was open, in `observed.unit`."""
    impact: Impact
    evidence: list[Evidence]
    examples: list[Example]
    """At most five: the call that opened it, then the strangest of those that followed."""
    fingerprint: str
    """Hash of tenant, environment, service, model, type and first event id: free of position."""
    acknowledged: Act | None = None
    resolved: Act | None = None
    """Who closed it by hand; None where it ended by itself."""


class IncidentEvent(Struct, frozen=True, kw_only=True):
    """Something happened to an incident; `incident` is how it stood then."""

    kind: IncidentEventKind
    clock: int
    """T of the partition when it happened, nanoseconds since 1970 UTC."""
    incident: Incident
