"""An incident while it is open: what is counted, and the calls that are worth a look."""

from hashlib import blake2b
from typing import Any

from msgspec import Struct, field, structs

from sentinel.engine.cases import accepted_type_of
from sentinel.engine.causes import CUT_OFF, ERRORS, RATE, Subject, direction_of, is_level
from sentinel.engine.grading import grade
from sentinel.engine.rules import NS
from sentinel.engine.wording import accepted_title_of, title_of
from sentinel.model.incident import Ending, Evidence, Example, Impact, Incident
from sentinel.model.instant import instant
from sentinel.model.severity import SEVERITIES

EXAMPLES = 5
EVIDENCE = 50
"""Evidence beyond the first fifty raises severity and score, and is not kept: a test that flaps for
a day must not fill the state."""
CALLERS = 1_000
PROGRESS_NS = 60 * NS
"""How often, in T, an incident with an open test says how it stands."""
MINUTE_CALLS = 20
"""Calls of a minute from which on its share says how bad it has become."""
QUIET_NS = 900 * NS
"""The least silence that ends a test: nobody's traffic has stopped before a quarter of an hour."""
QUIET_LINGERS = 8 / 3
"""Or eight buckets, where these are longer; what was found lingers for three."""

IDLE_NS = 7 * 86_400 * NS
"""A subject that has been silent for a week begins anew: the core forgets what was open."""

Service = tuple[str, str, str]


def width_of(test: str) -> int:
    """Return how many calls a test speaks of: 0 one, 1 some, 2 all."""
    return {"single": 0, "cluster": 1}.get(test, 2)


class OpenTest(Struct):
    """One test that the core holds open."""

    model: str | None
    channel: int
    linger_ns: int

    @property
    def quiet_ns(self) -> int:
        """How long its calls may be absent; where absence is what it judges, until idle."""
        if self.channel == RATE:
            return IDLE_NS
        return max(QUIET_NS, int(self.linger_ns * QUIET_LINGERS))


class OpenIncident(Struct):
    """An incident that is open, with what is counted while it is."""

    service: Service
    incident: Incident
    cause: Subject
    progress_at: int
    """T at which it next says how it stands."""
    tests: list[OpenTest] = field(default_factory=list)
    ended_at: int = 0
    """T at which the last of its tests closed; while none is open."""
    ends_at: int = 0
    """T beyond which it explains nothing more, unless a test opens again."""
    ending: Ending = "over"
    spoke: dict[str, int] = field(default_factory=dict)
    """By model, T of its last call, of those whose tests are open; "" is the whole service."""
    calls: int = 0
    hits: int = 0
    minute_calls: int = 0
    minute_hits: int = 0
    width: int = 0
    """How many calls the test that gives the title speaks of: one, some, all."""
    callers: list[int] = field(default_factory=list)
    """Hashes of users, ascending."""
    peak: float = 0.0
    examples: list[Example] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    """How bad each example is."""

    def standing(self, **changes: Any) -> Incident:
        """Return the incident as it stands now."""
        return structs.replace(
            self.incident,
            impact=Impact(calls=self.calls, hits=self.hits, users=len(self.callers)),
            peak=self.peak,
            examples=list(self.examples),
            **changes,
        )

    def at_end(self, **changes: Any) -> Incident:
        """Return the incident as it stands at its end."""
        incident = self.standing(
            ended_at=instant(self.ended_at), ending=self.ending, state="resolved", **changes
        )
        if self.ending != "accepted":
            return incident
        return structs.replace(
            incident,
            state="accepted",
            type=accepted_type_of(self.cause.channel, incident.type),
            title=accepted_title_of(incident),
        )

    def pass_minutes(self, clock: int) -> None:
        """Let it say next how it stands at the first of its minutes beyond T = `clock`."""
        if self.progress_at <= clock:
            self.progress_at += PROGRESS_NS * ((clock - self.progress_at) // PROGRESS_NS + 1)

    def grade_minute(self) -> bool:
        """Take the share of the last minute for the peak, if it is one; says if that is worse."""
        calls, hits = self.minute_calls, self.minute_hits
        self.minute_calls = self.minute_hits = 0
        if self.cause.channel not in (ERRORS, CUT_OFF) or calls < MINUTE_CALLS:
            return False
        self.reach(hits / calls)
        severity = grade(self.cause.channel, self.cause.test, self.peak, whole=False)
        if SEVERITIES.index(severity) <= SEVERITIES.index(self.incident.severity):
            return False
        self.incident = structs.replace(self.incident, severity=severity)
        return True

    def holds(self, model: str | None, channel: int) -> bool:
        """Say whether a test is one of its open ones."""
        return any((test.model, test.channel) == (model, channel) for test in self.tests)

    def join(self, evidence: Evidence) -> bool:
        """Take evidence that it explains; says whether it is worse now."""
        before = self.incident.severity
        severity = max(before, evidence.severity, key=SEVERITIES.index)
        kept = self.incident.evidence
        self.incident = structs.replace(
            self.incident,
            severity=severity,
            score=max(self.incident.score, evidence.score),
            evidence=[*kept, evidence] if len(kept) < EVIDENCE else kept,
        )
        if evidence.metric == self.incident.metric:
            self.reach(evidence.observed.value)
            self._widen(evidence)
        return severity != before

    def _widen(self, evidence: Evidence) -> None:
        """Let a test of more calls say what is seen: one slow answer, then some, then all."""
        if width_of(evidence.test) > self.width and evidence.model == self.incident.model:
            self.width = width_of(evidence.test)
            self.incident = structs.replace(
                self.incident,
                title=title_of(self.incident.service, evidence),
                observed=evidence.observed,
                expected=evidence.expected,
            )

    def reach(self, value: float) -> None:
        """Take a value of its metric for the peak where it is the worst so far."""
        down = direction_of(self.cause.channel, self.cause.test) == "down"
        self.peak = min(self.peak, value) if down else max(self.peak, value)

    def close(self, model: str | None, channel: int, clock: int, ending: Ending) -> bool:
        """Take one of its tests for closed; says whether it was the last."""
        left = [test for test in self.tests if (test.model, test.channel) != (model, channel)]
        last = bool(self.tests) and not left
        self.tests = left
        if last:
            self.ended_at, self.ending = clock, ending
        return last

    def count_caller(self, who: str | int | None) -> None:
        """Count who called."""
        if who is None or len(self.callers) >= CALLERS:
            return
        number = int.from_bytes(blake2b(str(who).encode(), digest_size=6).digest())
        if number not in self.callers:
            self.callers.append(number)

    def keep_example(self, example: Example, value: float) -> None:
        """Keep a call if it is among the worst; the first stays, for it opened the incident."""
        if any(kept.event_id == example.event_id for kept in self.examples):
            return
        down = direction_of(self.cause.channel, self.cause.test) == "down"
        weight = 0.0 if not is_level(self.cause.channel) else -value if down else value
        if len(self.examples) >= EXAMPLES:
            weakest = min(range(1, EXAMPLES), key=lambda i: self.weights[i])
            if weight <= self.weights[weakest]:
                return
            del self.examples[weakest], self.weights[weakest]
        self.examples.append(example)
        self.weights.append(weight)
