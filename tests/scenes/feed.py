"""Calls for a partition, and what comes of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from sentinel.detectors import Incidents
from sentinel.engine import Partition, Rules
from sentinel.intake import Intake, IntakeSettings
from sentinel.model.anomaly import Anomaly
from sentinel.model.incident import Incident, IncidentEvent

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LOG = "scene"
ARMED = 1000
"""Ordinary calls before a scene begins: all tests are armed, and know their tails."""
RULES = Rules(incidents=Incidents(evidence_threshold=10))
"""With a threshold that does not depend on how often a service speaks."""


def at(second: float) -> datetime:
    """Return the time of a second of the scene."""
    return START + timedelta(seconds=second)


def stray(second: float) -> float:
    """Return by how much the call of a second is slower and dearer than others."""
    return 1.1 + 0.015 * (int(second) // 40 % 10) if int(second) % 40 == 7 else 1.0


def call(second: float, **fields: Any) -> dict[str, Any]:
    """Return a call: 100 to 110 ms, 1,000 to 1,010 tokens, 1 to 1.1 cents; some fields changed.

    One in forty takes longer and costs more, up to a quarter: a tail that says how far calls stray.
    """
    step, more = int(second * 37) % 11, stray(second)
    return {
        "service_name": "chat",
        "model": "m",
        "event_id": f"call-{second:g}",
        "timestamp": at(second).isoformat(),
        "latency_ms": (100.0 + step) * more,
        "total_tokens": 1000 + step,
        "cost_usd": (1000 + step) / 1e5 * more,
    } | fields


class Feed:
    """A partition that is fed call by call; what happened is gathered."""

    def __init__(self, rules: Rules | None = None, *, log: str = LOG) -> None:
        self.partition = Partition(rules or RULES, log)
        self._intake = Intake(IntakeSettings(), key=b"k" * 32, log_id=log)
        self.anomalies: list[Anomaly] = []
        self.events: list[IncidentEvent] = []

    def send(self, *calls: dict[str, Any]) -> list[IncidentEvent]:
        """Judge calls as one batch; return what happened to incidents."""
        return self.send_at(self.partition.next_offset, *calls)

    def send_at(self, start: int, *calls: dict[str, Any]) -> list[IncidentEvent]:
        """Judge calls as one batch at an offset."""
        body = msgspec.json.Encoder().encode_lines(calls)
        batch, rejections, _ = self._intake.take(body, offset=start, received_at=None, lines=True)
        assert not rejections, rejections
        judgement = self.partition.judge(batch)
        self.anomalies += judgement.anomalies
        self.events += judgement.incident_events
        return judgement.incident_events

    def ordinary(self, start: int, stop: int, **fields: Any) -> list[IncidentEvent]:
        """Judge ordinary calls, one a second."""
        return self.send(*(call(second, **fields) for second in range(start, stop)))

    def kinds(self) -> list[str]:
        """Return the kinds of all that happened."""
        return [event.kind for event in self.events]

    @property
    def last(self) -> Incident:
        """The incident of the last event, as it stood."""
        return self.events[-1].incident


def armed(rules: Rules | None = None) -> Feed:
    """Return a feed with 1,000 ordinary calls behind it; the next is that of second 1000."""
    feed = Feed(rules)
    feed.ordinary(0, ARMED)
    assert feed.events == []
    return feed


def slow(start: int, stop: int, factor: float = 3.0) -> list[dict[str, Any]]:
    """Return calls that take `factor` times as long."""
    return [call(second, latency_ms=105.0 * factor) for second in range(start, stop)]
