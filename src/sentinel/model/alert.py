"""An alert: what a channel is told about an incident."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from sentinel.model.incident import Ending, Example, Expected, Impact, Observed, Vote
from sentinel.model.severity import Severity

AlertKind = Literal["open", "escalate", "repeat", "resolve"]


class EvidenceSummary(Struct, frozen=True, kw_only=True):
    """The statistic that opened the incident against its threshold."""

    statistic: float
    threshold: float


class Alert(Struct, frozen=True, kw_only=True):
    """One message to a channel; the same object wherever it is told.

    `id` hashes the incident and the sequence, so a repeated delivery carries the same id.
    """

    version: int = 1
    id: str
    incident: str
    kind: AlertKind
    sequence: int
    fingerprint: str
    status: Literal["firing", "resolved"]
    severity: Severity
    type: str
    timestamp: datetime
    """T at which it is told."""
    started_at: datetime
    ended_at: datetime | None
    ending: Ending | None
    held_back: int
    """Equal alerts that deduplication held back since the last one told."""
    tenant: str
    environment: str
    service: str
    model: str | None
    provider: str | None
    metric: str
    detector: str
    score: float
    title: str
    observed: Observed
    expected: Expected
    peak: float
    impact: Impact
    not_it: list[str]
    evidence: EvidenceSummary
    votes: list[Vote]
    examples: list[Example]
