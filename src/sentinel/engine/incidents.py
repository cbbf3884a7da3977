"""Incidents: all tests that are open together on one key are one cause.

The core says which test opened or closed at which event; this layer joins them, keeps count of what
happens while they are open, and adds votes, examples and a title.  It makes no numbers of its own
and reads no clock: silence and progress are told by T, at the first event that T passes them, so a
stream cut anywhere into batches gives the same incident events in the same order.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct, field, structs
from numpy.typing import NDArray

from sentinel._core import reports
from sentinel._core.partition import EVENT_OVERFLOWED, EVENT_REPEATED, EVENT_STALE
from sentinel._core.roster import OTHER_KEY
from sentinel.engine.cases import Case, evidence_of, rank_of, votes_of
from sentinel.engine.open_incident import OpenIncident
from sentinel.engine.rules import NS, Rules
from sentinel.engine.wording import title_of
from sentinel.model.batch import NOTHING, Batch, Key
from sentinel.model.control import Control
from sentinel.model.identity import field as id_field
from sentinel.model.identity import fingerprint, hashed
from sentinel.model.incident import (
    Act,
    Evidence,
    Impact,
    Incident,
    IncidentEvent,
    IncidentEventKind,
)
from sentinel.model.instant import instant
from sentinel.model.metric import METRICS
from sentinel.model.severity import SEVERITIES

if TYPE_CHECKING:
    from sentinel._core.partition import Partition as Core

SILENT_NS = 900 * NS
"""A series that has been silent for longer, in T, closes its tests; the core holds the same."""
PROGRESS_NS = 60 * NS
"""How often, in T, an open incident says how it stands."""

# What comes first of what happens before or at one event
_SILENCE, _CASES, _HIT = range(3)


class _Point(Struct):
    """Something to do before or at one event."""

    event: int
    clock: int
    rank: int
    cases: list[Case] = field(default_factory=list)
    metrics: list[int] = field(default_factory=list)
    """Metrics on which the event is a hit."""


class _View(Struct):
    """The batch that is being followed."""

    batch: Batch
    clock: NDArray[np.int64]
    state: NDArray[np.uint8]
    verdicts: dict[str, Any]
    codes: dict[Key, int]
    hits: dict[Key, list[tuple[int, int]]] = field(default_factory=dict)
    """Slot and metric of the series with hits; a series that was forgotten amidst it has two."""

    def first_after(self, clock: int) -> int:
        """Return the first event at which T is beyond `clock`; n where none is."""
        return int(np.searchsorted(self.clock, clock, "right"))


class IncidentBook:
    """The incidents of one partition."""

    def __init__(self, core: "Core", log: bytes, thresholds: list[float]) -> None:
        self._core = core
        self._log = log
        self.thresholds = thresholds
        self.open: dict[Key, OpenIncident] = {}

    def restore(self, saved: list[OpenIncident]) -> None:
        """Take up open incidents; the core has its series already.

        A test that the core does not hold open, since its window has another size now, would never
        close: it goes, and an incident that has none left ends at the next T.
        """
        self.open = {live.key: live for live in saved}
        for live in saved:
            live.tests = [test for test in live.tests if self._is_open(live.key, *test)]

    def judge_by(self, rules: Rules) -> None:
        """Judge by other rules; a test that no detector feeds any more goes, as in `restore`."""
        self.thresholds, voters = rules.thresholds(), rules.voters()
        for live in self.open.values():
            live.tests = [
                (metric, test)
                for metric, test in live.tests
                if voters[metric] or METRICS[metric] == "error"
            ]

    def _is_open(self, key: Key, metric: int, test: int) -> bool:
        slot = self._core.slot_of(key, metric)
        return slot is not None and bool(reports.open_tests(self._core.bank, slot) >> test & 1)

    def follow(
        self, batch: Batch, clock: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> list[IncidentEvent]:
        """Return what happened to incidents in the batch that the core has just judged."""
        cases = reports.cases(self._core.bank)
        if not len(batch) or not (cases or self.open):
            return []
        codes = {key: code for code, key in enumerate(batch.keys)}
        view = _View(batch, clock, state, reports.verdicts(self._core.bank), codes)
        for slot in np.unique(view.verdicts["slot"][view.verdicts["hit"] != 0]).tolist():
            found = self._core.key_of(slot)
            if found is not None:
                view.hits.setdefault(Key(*found[0]), []).append((slot, found[1]))
        by_key: dict[Key, list[Case]] = {key: [] for key in self.open}
        for case in cases:
            found = self._core.key_of(case["slot"])
            if found is not None:
                by_key.setdefault(Key(*found[0]), []).append(case)
        told: list[tuple[int, int, Key, int, IncidentEvent]] = []
        for key, of_key in by_key.items():
            for number, (at, due, event) in enumerate(self._follow_key(view, key, of_key)):
                told.append((at, due, key, number, event))
        told.sort(key=lambda item: item[:4])
        return [item[4] for item in told]

    def advance(self, clock: int) -> list[IncidentEvent]:
        """Return what happens to incidents because T has come to `clock` without an event."""
        at = np.array([clock], np.int64)
        view = _View(NOTHING, at, np.zeros(1, np.uint8), {}, {})
        told = [
            (due, key, number, event)
            for key in list(self.open)
            for number, (_, due, event) in enumerate(self._follow_key(view, key, []))
        ]
        return [item[3] for item in sorted(told, key=lambda item: item[:3])]

    def act(self, control: Control, clock: int) -> list[IncidentEvent]:
        """Do what a person asks; nothing where the incident is not open any more.

        An incident that is resolved by hand is over.  Its tests stay open in the core until what
        they saw has passed, so the same trouble does not open the next incident at once.
        """
        live = next((o for o in self.open.values() if o.incident.id == control.incident), None)
        if live is None:
            return []
        act = Act(by=control.by, at=instant(clock), note=control.note)
        if control.kind == "acknowledge":
            live.incident = structs.replace(live.incident, state="acknowledged", acknowledged=act)
            return [_event("acknowledge", clock, live.standing())]
        del self.open[live.key]
        ended = live.standing(state="resolved", ended_at=instant(clock), resolved=act)
        return [_event("close", clock, ended)]

    # One key

    def _follow_key(
        self, view: _View, key: Key, cases: list[Case]
    ) -> Iterator[tuple[int, int, IncidentEvent]]:
        """Yield (event, T, what happened) for one key, in order."""
        events = self._events_of(view, key)
        counted = 0
        for point in [*self._points(view, key, cases, events), None]:
            end = len(view.clock) if point is None else point.event
            live = self.open.get(key)
            while live is not None and view.first_after(live.progress_at - 1) < end + (
                point is not None and live.progress_at <= point.clock
            ):
                at = view.first_after(live.progress_at - 1)
                counted = self._count(live, events, counted, at)
                due = live.progress_at
                live.progress_at = _next_progress(live.progress_at, int(view.clock[at]))
                yield at, due, _event("progress", due, live.standing())
            if live is not None:
                counted = self._count(live, events, counted, end)
            if point is None:
                break
            counted = max(counted, int(np.searchsorted(events, point.event)))
            for kind, incident in self._apply(view, key, point):
                yield point.event, point.clock, _event(kind, point.clock, incident)
        live = self.open.get(key)
        if live is not None:
            live.spoke = {
                metric: reports.last_of(self._core.bank, slot)
                for metric in live.metrics()
                for slot in (self._core.slot_of(key, metric),)
                if slot is not None
            }

    @staticmethod
    def _count(live: OpenIncident, events: NDArray[np.int64], counted: int, end: int) -> int:
        """Count the calls up to event `end`, not with it; returns how many events are behind."""
        upto = int(np.searchsorted(events, end))
        if upto > counted:
            live.calls += upto - counted
        return max(upto, counted)

    def _events_of(self, view: _View, key: Key) -> NDArray[np.int64]:
        """Return the events of a key that were judged, ascending."""
        batch = view.batch
        if key[1:] == OTHER_KEY:
            tenants = np.array([k.tenant == key.tenant for k in batch.keys])
            mine = tenants[batch.key] & (view.state & EVENT_OVERFLOWED != 0)
        elif key in view.codes:
            mine = batch.key == view.codes[key]
        else:
            return np.empty(0, np.int64)
        mine &= view.state & (EVENT_REPEATED | EVENT_STALE) == 0
        return np.flatnonzero(mine)

    def _points(
        self, view: _View, key: Key, cases: list[Case], events: NDArray[np.int64]
    ) -> list[_Point]:
        """Return what there is to do for one key in this batch, in order."""
        points: dict[tuple[int, int, int], _Point] = {}

        def point(event: int, clock: int, rank: int) -> _Point:
            return points.setdefault((event, clock, rank), _Point(event, clock, rank))

        slots: dict[int, int] = {}
        live = self.open.get(key)
        if live is not None:
            for metric, ended_at in _silences(view, events, live):
                closing = {"metric": metric, "test": None, "opened": False}
                point(view.first_after(ended_at), ended_at, _SILENCE).cases.append(closing)
            for metric in live.metrics():
                slot = self._core.slot_of(key, metric)
                if slot is not None:
                    slots[slot] = metric
        for case in cases:
            slots[case["slot"]] = case["metric"]
            if case["ended_at"]:
                silent = point(view.first_after(case["ended_at"]), case["ended_at"], _SILENCE)
                silent.cases.append(case)
            else:
                at = case["event"]
                point(at, int(view.clock[at]), _CASES).cases.append(case)
        for slot, metric in slots.items():
            ended_at = reports.last_of(self._core.bank, slot) + SILENT_NS
            if view.clock[-1] > ended_at:
                closing = {"metric": metric, "test": None, "opened": False}
                point(view.first_after(ended_at), ended_at, _SILENCE).cases.append(closing)
        watched = {*slots.values(), *(live.metrics() if live is not None else ())}
        mine = [slot for slot, metric in view.hits.get(key, ()) if metric in watched]
        if mine:
            verdicts = view.verdicts
            rows = np.flatnonzero((verdicts["hit"] != 0) & np.isin(verdicts["slot"], mine))
            for row in rows.tolist():
                at = int(verdicts["event"][row])
                hit = point(at, int(view.clock[at]), _HIT)
                hit.metrics.append(int(verdicts["metric"][row]))
        return [points[order] for order in sorted(points)]

    def _apply(
        self, view: _View, key: Key, point: _Point
    ) -> Iterator[tuple[IncidentEventKind, Incident]]:
        """Do what a point says; yields what happened to the key's incident."""
        live = self.open.get(key)
        if point.rank == _HIT:
            if live is not None:
                live.count_hit(view.batch, point.event, point.metrics)
            return
        closing = [case for case in point.cases if not case["opened"]]
        opening = sorted((case for case in point.cases if case["opened"]), key=rank_of)
        if closing and live is not None:
            live.tests = [
                open_test
                for open_test in live.tests
                if not any(
                    open_test[0] == case["metric"] and case["test"] in (None, open_test[1])
                    for case in closing
                )
            ]
            if not live.tests:
                ended = instant(point.clock)
                if point.rank == _CASES:
                    # The call that closes it may be a late one.
                    called = instant(int(view.batch.time[point.event]))
                    ended = max(called, live.incident.started_at, live.incident.timestamp)
                yield "close", live.standing(state="resolved", ended_at=ended)
                del self.open[key]
                live = None
        if not opening:
            return
        evidence = [
            evidence_of(case, view.batch, key, self._votes(view, case), self._log)
            for case in opening
        ]
        tests = [(case["metric"], case["test"]) for case in opening]
        if live is None:
            self.open[key] = live = _opened(view, key, point, evidence)
            live.tests = tests
            yield "open", live.standing()
            return
        live.tests += tests
        before = live.incident.severity
        severity = max([before, *(e.severity for e in evidence)], key=SEVERITIES.index)
        live.incident = structs.replace(
            live.incident,
            severity=severity,
            score=max(live.incident.score, *(e.score for e in evidence)),
            evidence=[*live.incident.evidence, *evidence],
        )
        yield "escalate" if severity != before else "evidence", live.standing()

    def _votes(self, view: _View, case: Case) -> list[Any]:
        """Return the votes on the event of a case, those on its own metric first."""
        verdicts = view.verdicts
        rows = np.flatnonzero(verdicts["event"] == case["event"])
        mine = [row for row in rows.tolist() if self._same_key(verdicts["slot"][row], case["slot"])]
        mine.sort(key=lambda row: (verdicts["metric"][row] != case["metric"], row))
        return [vote for row in mine for vote in votes_of(verdicts, row, self.thresholds)]

    def _same_key(self, slot: int, other: int) -> bool:
        mine, others = self._core.key_of(int(slot)), self._core.key_of(other)
        return mine is not None and others is not None and mine[0] == others[0]


def _silences(
    view: _View, events: NDArray[np.int64], live: OpenIncident
) -> Iterator[tuple[int, int]]:
    """Yield (metric, when it had been silent for too long) of tests that came open to this batch.

    From the events alone: the core may have forgotten a series by now.
    """
    if not live.tests:
        yield -1, int(view.clock[0]) - 1
    for metric in live.metrics():
        if metric not in live.spoke:
            continue
        mine = events[~np.isnan(view.batch.values[events, metric])]
        spoke = np.concatenate(([live.spoke[metric]], view.clock[mine], view.clock[-1:]))
        for before in np.flatnonzero(np.diff(spoke) > SILENT_NS).tolist():
            yield metric, int(spoke[before]) + SILENT_NS


def _event(kind: IncidentEventKind, clock: int, incident: Incident) -> IncidentEvent:
    return IncidentEvent(kind=kind, clock=clock, incident=incident)


def _next_progress(due: int, clock: int) -> int:
    """Return the next time to say how it stands; a gap in the data is told once."""
    return due + PROGRESS_NS * ((clock - due) // PROGRESS_NS + 1)


def _opened(view: _View, key: Key, point: _Point, evidence: list[Evidence]) -> OpenIncident:
    """Return the incident that the evidence of one event opens; the cause comes first in it."""
    main, event = evidence[0], view.batch.events[point.event]
    worst = max(evidence, key=lambda e: e.score)
    value = main.example.value
    incident = Incident(
        id="inc-" + hashed(id_field(main.id)),
        state="open",
        severity=worst.severity,
        type=main.type,
        **key._asdict(),
        provider=event.provider,
        metric=main.metric,
        detector=f"test.{main.test}",
        score=worst.score,
        title=title_of(key.service, key.model, main),
        started_at=main.started_at,
        timestamp=main.timestamp,
        ended_at=None,
        observed=main.observed,
        expected=main.expected,
        peak=value,
        impact=Impact(calls=0, hits=0),
        evidence=evidence,
        examples=[],
        fingerprint=fingerprint(key, main.type, main.example.event_id),
    )
    return OpenIncident(
        key=key,
        incident=incident,
        tests=[],
        progress_at=point.clock + PROGRESS_NS,
        peak=value,
        examples=[main.example],
    )
