"""One service through one batch: findings, calls and time, in the order of their places.

Places do not depend on where the stream is cut, so neither does what is told.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sentinel.engine.cases import (
    ACCEPTED,
    ALONE,
    CLOSED,
    Finding,
    evidence_of,
    example_at,
    example_of,
    linger_of,
    not_it_of,
    statistics_of,
    subject_of,
)
from sentinel.engine.causes import explains, is_level
from sentinel.engine.open_incident import PROGRESS_NS, OpenIncident, OpenTest, Service, width_of
from sentinel.engine.view import NO_EVENTS, Hit, Item, Place, View
from sentinel.engine.wording import title_of
from sentinel.model.batch import Key
from sentinel.model.identity import field, fingerprint, hashed
from sentinel.model.incident import (
    Ending,
    Evidence,
    Impact,
    Incident,
    IncidentEvent,
    IncidentEventKind,
)


class _Timer(NamedTuple):
    """Something that T brings to one incident."""

    event: int
    clock: int
    rank: int
    live: OpenIncident
    test: OpenTest | None = None


_SILENCE, _PROGRESS, _END = range(3)


class Following:
    """Follows one service through one batch; `lives` is what is open of it, and is changed."""

    def __init__(self, view: View, service: Service, lives: list[OpenIncident], log: bytes) -> None:
        self._view, self._service, self._log = view, service, log
        self.lives = lives
        self._calls = view.calls_of(service)
        self._counted: dict[str, int] = {live.incident.id: 0 for live in lives}
        """By incident, the event up to which calls are counted."""
        self._opened: dict[str, int] = {}
        """By incident, the event that opened it, whose call the evidence has counted."""
        self._silent: dict[tuple[str, str | None, int], tuple[int, int]] = {}
        """By incident, model and channel, the event and T at which silence ends a test."""
        for live in lives:
            for test in live.tests:
                self._look_for_silence(live, test, 0)

    def run(self, items: list[Item]) -> Iterator[tuple[Place, IncidentEvent]]:
        """Yield what happens, in order."""
        end = Place(len(self._view.clock), False, -(1 << 62))
        for item in [*items, None]:
            yield from self._pass_time(end if item is None else item.place)
            if item is None:
                break
            if item.finding is None:
                self._count_hits(item.place.event, item.hits)
            elif item.finding["kind"] in (CLOSED, ACCEPTED):
                self._close(item.place, item.finding)
            else:
                yield item.place, self._open(item.place, item.finding)
        for live in self.lives:
            self._count(live, len(self._view.batch))
            spoke = {}
            for model in sorted({test.model or "" for test in live.tests}):
                mine = self._calls.get(model or None, NO_EVENTS)
                spoke[model] = int(self._view.clock[mine[-1]]) if len(mine) else live.spoke[model]
            live.spoke = spoke

    # Time

    def _pass_time(self, until: Place) -> Iterator[tuple[Place, IncidentEvent]]:
        """Yield what T brings before a place; what is found at one T comes before it."""
        while True:
            timers = [timer for live in self.lives for timer in self._timers_of(live)]
            timer = min(timers, key=lambda t: t[:3], default=None)
            if timer is None or timer.event > until.event:
                return
            if timer.event == until.event and not until.own and timer.clock >= until.clock:
                return
            happened = self._fire(timer)
            if happened is not None:
                yield Place(timer.event, False, timer.clock), happened

    def _timers_of(self, live: OpenIncident) -> Iterator[_Timer]:
        view = self._view
        if live.tests:
            yield _Timer(view.first_at(live.progress_at), live.progress_at, _PROGRESS, live)
        else:
            yield _Timer(view.first_after(live.ends_at), live.ends_at, _END, live)
        for test in live.tests:
            silent = self._silent.get((live.incident.id, test.model, test.channel))
            if silent is not None:
                yield _Timer(*silent, _SILENCE, live, test)

    def _fire(self, timer: _Timer) -> IncidentEvent | None:
        live, clock = timer.live, timer.clock
        self._count(live, timer.event)
        if timer.test is not None:
            if live.close(timer.test.model, timer.test.channel, clock, "silence"):
                live.ends_at = max(live.ends_at, clock)
            return None
        if timer.rank == _END:
            self.lives.remove(live)
            return _event("close", clock, live.at_end())
        # A gap in the data is told once.
        live.pass_minutes(int(self._view.clock[timer.event]))
        worse = live.grade_minute()
        return _event("escalate" if worse else "progress", clock, live.standing())

    def _look_for_silence(self, live: OpenIncident, test: OpenTest, first: int) -> None:
        """Find where the calls of a test's model are absent for too long, from an event on."""
        name = (live.incident.id, test.model, test.channel)
        self._silent.pop(name, None)
        quiet, clock = test.quiet_ns, self._view.clock
        spoke = live.spoke.get(test.model or "")
        if spoke is None or clock[-1] - spoke <= quiet:
            return
        mine = self._calls.get(test.model, NO_EVENTS)
        mine = mine[np.searchsorted(mine, first) :]
        spoken = np.concatenate(([spoke], clock[mine], clock[-1:]))
        gaps = np.flatnonzero(np.diff(spoken) > quiet)
        if len(gaps):
            at = int(spoken[gaps[0]]) + quiet
            self._silent[name] = (self._view.first_after(at), at)

    # Calls

    def _count(self, live: OpenIncident, end: int) -> None:
        """Count the calls up to event `end`, not with it."""
        begin = self._counted[live.incident.id]
        if end <= begin:
            return
        if live.tests:
            mine = self._calls.get(live.cause.model, NO_EVENTS)
            low, high = np.searchsorted(mine, [begin, end]).tolist()
            live.calls += high - low
            live.minute_calls += high - low
        self._counted[live.incident.id] = end

    def _count_hits(self, at: int, hits: list[Hit]) -> None:
        """Count a call against every incident that holds a test open which counts it."""
        event = self._view.batch.events[at]
        for live in self.lives:
            mine = [
                (channel, value)
                for model, channel, value in hits
                if live.cause.model in (None, model) and live.holds(model, channel)
            ]
            if not mine:
                continue
            live.count_caller(event.user_id)
            if self._opened.get(live.incident.id) != at:
                live.hits += 1
                live.minute_hits += 1
            for channel, value in mine:
                if channel == live.cause.channel:
                    if is_level(channel):
                        live.reach(value)
                    live.keep_example(example_of(event, channel, value), value)

    # Findings

    def _close(self, place: Place, finding: Finding) -> None:
        model, channel = finding["key"][3], finding["channel"]
        for live in self.lives:
            if live.holds(model, channel):
                self._count(live, place.event)
                ending: Ending = "accepted" if finding["kind"] == ACCEPTED else "over"
                if live.close(model, channel, finding["clock"], ending):
                    live.ends_at = max(live.ends_at, finding["clock"] + linger_of(finding))

    def _open(self, place: Place, finding: Finding) -> IncidentEvent:
        """Let a test open: as evidence of what explains it, or as an incident of its own."""
        subject, clock, at = subject_of(finding), finding["clock"], place.event
        evidence = self._evidence(place, finding)
        live = next((live for live in self.lives if explains(live.cause, subject)), None)
        kind: IncidentEventKind = "open"
        if live is None:
            live = self._opened_by(place, finding, evidence)
            self.lives.append(live)
            self._counted[live.incident.id] = at + place.own
            if place.own:
                self._opened[live.incident.id] = at
        else:
            self._count(live, at)
            kind = "escalate" if live.join(evidence) else "evidence"
        if finding["kind"] != ALONE:
            test = OpenTest(subject.model, subject.channel, linger_of(finding))
            live.close(test.model, test.channel, clock, "over")
            if not live.tests:
                # It says nothing while it only lingers.
                live.pass_minutes(clock)
            live.tests.append(test)
            live.spoke[subject.model or ""] = finding["last"]
            self._look_for_silence(live, test, at + place.own)
        elif not live.tests:
            live.ended_at, live.ending = clock, "over"
        live.ends_at = max(live.ends_at, clock + linger_of(finding))
        return _event(kind, clock, live.standing())

    def _evidence(self, place: Place, finding: Finding) -> Evidence:
        if not place.own:
            return evidence_of(finding, self._log)
        view, at = self._view, place.event
        return evidence_of(
            finding,
            self._log,
            position=(int(view.batch.offset[at]), int(view.batch.index[at])),
            example=example_at(view.batch, at, finding),
            votes=view.votes(at, Key(*finding["key"])),
        )

    def _opened_by(self, place: Place, finding: Finding, evidence: Evidence) -> OpenIncident:
        tenant, environment, service = self._service
        names = (tenant, environment, service, evidence.model)
        example = evidence.example
        about = example.event_id if example else evidence.timestamp.isoformat()
        calls = finding["hits_of"] if place.own else finding["hits"]
        hits = finding["hits"] if place.own else 0
        provider = self._view.batch.events[place.event].provider if place.own else None
        incident = Incident(
            id="inc-" + hashed(field(evidence.id)),
            state="open",
            severity=evidence.severity,
            type=evidence.type,
            tenant=tenant,
            environment=environment,
            service=service,
            model=evidence.model,
            provider=provider,
            metric=evidence.metric,
            detector=evidence.detector,
            score=evidence.score,
            title=title_of(service, evidence),
            started_at=evidence.started_at,
            timestamp=evidence.timestamp,
            ended_at=None,
            observed=evidence.observed,
            expected=evidence.expected,
            peak=evidence.observed.value,
            impact=Impact(calls=calls, hits=hits),
            not_it=not_it_of(finding),
            evidence=[evidence],
            tests=statistics_of(finding),
            examples=[],
            fingerprint=fingerprint(names, evidence.type, about),
        )
        live = OpenIncident(
            service=self._service,
            incident=incident,
            cause=subject_of(finding),
            progress_at=finding["clock"] + PROGRESS_NS,
            calls=calls,
            hits=hits,
            width=width_of(evidence.test),
            peak=evidence.observed.value,
        )
        if example is not None:
            live.keep_example(example, float("inf"))
            live.count_caller(self._view.batch.events[place.event].user_id)
        return live


def _event(kind: IncidentEventKind, clock: int, incident: Incident) -> IncidentEvent:
    return IncidentEvent(kind=kind, clock=clock, incident=incident)
