"""From incident events to alerts: each thing is told once, what gets worse at once, the rest again.

The stage reads nothing but incident events, in the order in which the engine gave them, and the T
that each carries; it has no timer.  An incident that stays open says how it stands once a minute of
T, and that is when a repeat, or an alert that was held back, is told.
"""

import msgspec
from msgspec import Struct

from sentinel.errors import TornState
from sentinel.model.alert import Alert, AlertKind, EvidenceSummary
from sentinel.model.identity import field, hashed
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.model.instant import instant
from sentinel.model.severity import SEVERITIES, Severity

NS = 1_000_000_000
HELD_NS = 7 * 86_400 * NS
"""What was held back so long ago is no news; without an end names would add up."""


class GroupingRules(Struct, frozen=True, kw_only=True):
    """How often the same is told."""

    enabled: bool = True
    """False: nothing is held back."""
    window_secs: int = 300
    repeat_interval_secs: int = 14_400


class _Told(Struct):
    """What has been told of one open incident."""

    sequence: int = 0
    """Alerts told; 0 where its opening is held back."""
    severity: Severity = "info"
    told_at: int = 0
    repeats: int = 0


class _Subject(Struct):
    """What has been told of equal incidents: same tenant, environment, service, model and type."""

    opened_at: int
    """T at which the last opening was told; 0 where none was."""
    held_back: int = 0
    severity: Severity = "info"
    """As it was told last."""


class _State(Struct):
    told: dict[str, _Told] = msgspec.field(default_factory=dict)
    subjects: dict[str, _Subject] = msgspec.field(default_factory=dict)


class Grouper:
    """Deduplicates, escalates and repeats."""

    def __init__(self, rules: GroupingRules) -> None:
        self._rules = rules
        self._state = _State()
        self.held_back = 0
        """Alerts held back since this process began."""

    @property
    def rules(self) -> GroupingRules:
        """By which it groups."""
        return self._rules

    def configure(self, rules: bytes) -> None:
        """Group by other rules from the next incident event on; given as JSON."""
        self._rules = msgspec.json.decode(rules, type=GroupingRules)

    def save(self) -> bytes:
        """Return what has been told, as MessagePack."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, saved: bytes) -> None:
        """Take up what `save` returned.

        Raises
        ------
        TornState
            The bytes are not whole.
        """
        try:
            self._state = msgspec.msgpack.decode(saved, type=_State)
        except msgspec.MsgspecError as error:
            raise TornState(f"grouping state: {error}") from error

    def tell(self, events: list[IncidentEvent]) -> list[Alert]:
        """Return what a channel is told of these events, in order."""
        alerts = []
        for event in events:
            alert = self._tell_one(event)
            if alert is not None:
                alerts.append(alert)
        return alerts

    def _tell_one(self, event: IncidentEvent) -> Alert | None:
        incident = event.incident
        told = self._state.told.get(incident.id)
        if event.kind == "open":
            self._forget_before(event.clock)
            told = self._state.told[incident.id] = _Told()
        elif told is None:
            return None
        subject = self._subject_of(incident)
        if event.kind == "close":
            del self._state.told[incident.id]
            if told.sequence == 0:
                # Held back to its end: the next equal alert says how many there were.
                subject.held_back += 1
                return None
            return self._alert("resolve", event, told, subject)
        if told.sequence == 0:
            if self._rules.enabled and self._is_held(subject, event):
                self.held_back += event.kind == "open"
                return None
            subject.opened_at = event.clock
            return self._alert("open", event, told, subject)
        if SEVERITIES.index(incident.severity) > SEVERITIES.index(told.severity):
            return self._alert("escalate", event, told, subject)
        if self._is_due(told, event):
            told.repeats += 1
            return self._alert("repeat", event, told, subject)
        return None

    def _is_due(self, told: _Told, event: IncidentEvent) -> bool:
        """Say whether what lasts is told again: later each time, and only where it is critical.

        What somebody acknowledged is known.  What is less than critical is told when it opens and
        when it ends: on labelled streams its repeats were more than half of all false alerts.
        """
        if told.severity != "critical" or event.incident.state == "acknowledged":
            return False
        pause = self._rules.repeat_interval_secs * NS << min(told.repeats, 16)
        return event.clock - told.told_at >= pause

    def _is_held(self, subject: _Subject, event: IncidentEvent) -> bool:
        """Say whether an equal one was told just before; what is worse than that passes."""
        worse = SEVERITIES.index(event.incident.severity) > SEVERITIES.index(subject.severity)
        if worse or event.kind == "escalate" or subject.opened_at == 0:
            return False
        return event.clock - subject.opened_at < self._rules.window_secs * NS

    def _subject_of(self, incident: Incident) -> _Subject:
        # Told by its first evidence: what is accepted ends under another type.
        names = (
            incident.tenant,
            incident.environment,
            incident.service,
            incident.model or "",
            incident.evidence[0].type,
        )
        return self._state.subjects.setdefault("\0".join(names), _Subject(opened_at=0))

    def _forget_before(self, clock: int) -> None:
        """Forget subjects whose window has passed; what holds something back, a week later."""
        window = self._rules.window_secs * NS
        held = max(window, HELD_NS)
        self._state.subjects = {
            name: subject
            for name, subject in self._state.subjects.items()
            if clock - subject.opened_at < (held if subject.held_back else window)
        }

    def _alert(
        self, kind: AlertKind, event: IncidentEvent, told: _Told, subject: _Subject
    ) -> Alert:
        incident = event.incident
        main = incident.evidence[0]
        told.sequence += 1
        told.severity = incident.severity
        told.told_at = event.clock
        held_back, subject.held_back = subject.held_back, 0
        subject.severity = incident.severity
        return Alert(
            id="alt-" + hashed(field(incident.id) + field(told.sequence)),
            incident=incident.id,
            kind=kind,
            sequence=told.sequence,
            fingerprint=incident.fingerprint,
            status="resolved" if kind == "resolve" else "firing",
            severity=incident.severity,
            type=incident.type,
            timestamp=instant(event.clock),
            started_at=incident.started_at,
            ended_at=incident.ended_at,
            ending=incident.ending,
            held_back=held_back,
            tenant=incident.tenant,
            environment=incident.environment,
            service=incident.service,
            model=incident.model,
            provider=incident.provider,
            metric=incident.metric,
            detector=incident.detector,
            score=incident.score,
            title=incident.title,
            observed=incident.observed,
            expected=incident.expected,
            peak=incident.peak,
            impact=incident.impact,
            not_it=incident.not_it,
            evidence=EvidenceSummary(statistic=main.statistic, threshold=main.threshold),
            votes=main.votes,
            examples=incident.examples,
        )
