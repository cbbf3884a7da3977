"""Incident events as the engine tells them, and what is told of them."""

from typing import Any

import msgspec

from sentinel.alerting import Grouper, GroupingRules
from sentinel.model.alert import Alert
from sentinel.model.incident import (
    Evidence,
    Example,
    Expected,
    Impact,
    Incident,
    IncidentEvent,
    Observed,
    Vote,
)
from sentinel.model.instant import instant

NS = 1_000_000_000
T0 = 1_772_442_000


def incident(name: str, **changes: Any) -> Incident:
    """Return an incident as the engine tells it."""
    example = Example(event_id="e", trace_id="t", timestamp=instant(T0 * NS), value=315.0)
    observed = Observed(value=315.0, unit="ms", hits=3, n=5)
    expected = Expected(value=105.0, lower=0.0, upper=210.0, n=200)
    vote = Vote(detector="mad", metric="latency_ms", statistic=9.0, threshold=3.5, fired=True)
    evidence = Evidence(
        id="ev",
        detector="evidence.latency",
        test="shift_up",
        type=changes.get("type", "latency_spike"),
        metric="latency_ms",
        model="m",
        direction="up",
        statistic=315.0,
        threshold=210.0,
        score=1.5,
        severity="warning",
        observed=observed,
        expected=expected,
        first_offset=0,
        first_index=0,
        started_at=instant(T0 * NS),
        timestamp=instant(T0 * NS),
        example=example,
        votes=[vote],
    )
    plain = Incident(
        id=name,
        state="open",
        severity="warning",
        type="latency_spike",
        tenant="default",
        environment="default",
        service="chat",
        model="m",
        provider="openai",
        metric="latency_ms",
        detector="evidence.latency",
        score=1.5,
        title="chat / m: answers take 315 ms (usually 105 ms)",
        started_at=instant(T0 * NS),
        timestamp=instant(T0 * NS),
        ended_at=None,
        observed=observed,
        expected=expected,
        peak=315.0,
        impact=Impact(calls=3, hits=3),
        not_it=["traffic +3 %"],
        tests=[],
        evidence=[evidence],
        examples=[example],
        fingerprint="f" * 16,
    )
    return msgspec.structs.replace(plain, **changes)


def event(kind: Any, second: float, name: str = "a", **changes: Any) -> IncidentEvent:
    """Return that something happened to an incident at a second of T."""
    if kind == "close":
        changes = {"state": "resolved", "ended_at": instant(int((T0 + second) * NS))} | changes
    clock = int((T0 + second) * NS)
    return IncidentEvent(kind=kind, clock=clock, incident=incident(name, **changes))


def told(*events: IncidentEvent, rules: GroupingRules | None = None) -> list[Alert]:
    return Grouper(rules or GroupingRules()).tell(list(events))


def outline(alerts: list[Alert]) -> list[tuple[str, str, int, int]]:
    """Return who was told, of what, when, and how many were held back before."""
    return [
        (
            alert.incident,
            alert.kind,
            round(alert.timestamp.timestamp()) - T0,
            alert.held_back,
        )
        for alert in alerts
    ]
