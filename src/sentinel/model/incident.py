"""Incidents: what evidence opened, with everything a person needs to judge it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from sentinel.model.severity import Severity

IncidentState = Literal["open", "acknowledged", "resolved", "accepted"]
IncidentType = Literal[
    "latency_spike",
    "latency_drift",
    "token_usage_spike",
    "cost_anomaly",
    "error_rate_increase",
    "throughput_change",
    "silence",
    "usage_pattern",
    "quality_degradation",
    "model_drift",
]
Ending = Literal["over", "silence", "accepted", "by_hand"]
"""Why it ended: the evidence is gone; its calls stopped; what lasted is the new normal; a person
said so."""
Source = Literal["own", "model", "global"]
IncidentEventKind = Literal["open", "evidence", "escalate", "progress", "acknowledge", "close"]


class Observed(Struct, frozen=True, kw_only=True):
    """What was seen: the value in `unit`, and that `hits` of `n` calls bear it out.

    Of a rate `value` is calls a minute, `hits` the calls and `n` those that were to be expected.
    """

    value: float
    unit: str
    hits: int
    n: int


class Expected(Struct, frozen=True, kw_only=True):
    """What is usual: the middle of the baseline and its range, from `n` samples or buckets."""

    value: float
    lower: float
    upper: float
    n: int
    source: Source = "own"
    """Whose baseline it is; a young series borrows that of its model, or of all."""


class Statistic(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far one test of the subject was when the incident opened."""

    metric: str
    test: str
    statistic: float
    threshold: float
    learning: str | None = None
    """Such as `learning 37/100` where it is not armed yet; then it opens nothing."""


class Vote(Struct, frozen=True, kw_only=True):
    """What one detector said of a sample of the call at which a test opened."""

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
    value: float | str
    """Of the incident's metric; the class of a failure, or who called."""


class Evidence(Struct, frozen=True, kw_only=True):
    """One test's case, frozen when the test opened."""

    id: str
    """Hash of the position and of whose test it is."""
    detector: str
    test: str
    type: IncidentType
    metric: str
    model: str | None
    """None where it is of the service as a whole."""
    direction: Literal["up", "down"]
    statistic: float
    threshold: float
    score: float
    severity: Severity
    observed: Observed
    expected: Expected
    first_offset: int | None
    """Position of the first call of the case; None where time brought it, not a call."""
    first_index: int | None
    started_at: datetime
    timestamp: datetime
    """T at which the test opened."""
    example: Example | None
    votes: list[Vote]


class Impact(Struct, frozen=True, kw_only=True):
    """What it has cost so far, from the first call of the case on."""

    calls: int
    """Calls of this service and model while one of its tests was open."""
    hits: int
    """Those of them that speak against it."""
    users: int = 0
    """Who made these hits from the opening on, as far as calls say it; 1,000 stands for more."""


class Act(Struct, frozen=True, kw_only=True):
    """What a person did about an incident."""

    by: str
    at: datetime
    note: str


class Incident(Struct, frozen=True, kw_only=True):
    """One cause: what opened on a (tenant, environment, service), and all that it explains."""

    id: str
    state: IncidentState
    severity: Severity
    type: IncidentType
    tenant: str
    environment: str
    service: str
    model: str | None
    """None where it is the service as a whole."""
    provider: str | None
    metric: str
    detector: str
    score: float
    title: str
    started_at: datetime
    timestamp: datetime
    ended_at: datetime | None
    """T at which its last test closed."""
    ending: Ending | None = None
    observed: Observed
    """As it was when it opened, or when a test of more calls saw the same metric."""
    expected: Expected
    peak: float
    """The worst of `metric` while it was open, in `observed.unit`."""
    impact: Impact
    not_it: list[str]
    """What is as usual, as people write it: `traffic +3 %`."""
    evidence: list[Evidence]
    """What opened it, and whatever of later evidence it explains."""
    tests: list[Statistic]
    """Every test of its subject, when it opened."""
    examples: list[Example]
    """At most five: the call that opened it, then the worst of those that followed."""
    fingerprint: str
    """Hash of tenant, environment, service, model, type and first event id: free of position."""
    acknowledged: Act | None = None
    resolved: Act | None = None
    """Who closed it by hand; None where it ended by itself."""
    accepted: Act | None = None
    """Who said that this is the new normal; None where that was learned."""


class IncidentEvent(Struct, frozen=True, kw_only=True):
    """Something happened to an incident; `incident` is how it stood then."""

    kind: IncidentEventKind
    clock: int
    """T of the partition when it happened, nanoseconds since 1970 UTC."""
    incident: Incident
