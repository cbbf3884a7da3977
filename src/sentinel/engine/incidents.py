"""Incidents: what the core finds, joined to causes.

The core says which test opened or closed, and which calls an open test counts; this layer joins
them by what explains what, keeps count of what happens while they are open, and adds votes,
examples and a title.  It reads no clock: what time brings is told by T, at the first event that T
passes it, so a stream cut anywhere gives the same incident events in the same order.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from sentinel._core import reports
from sentinel.engine.cases import Finding, votes_of
from sentinel.engine.causes import COST, ERRORS, LATENCY, PROMPT, RESPONSE, SPEED, TTFT
from sentinel.engine.following import Following
from sentinel.engine.open_incident import OpenIncident, Service
from sentinel.engine.rules import Rules
from sentinel.engine.view import Hit, Place, View, items_of, view_of
from sentinel.model.batch import NOTHING, Batch, Key
from sentinel.model.control import Control
from sentinel.model.incident import Act, Incident, IncidentEvent, Vote
from sentinel.model.instant import instant
from sentinel.model.metric import METRICS

if TYPE_CHECKING:
    from sentinel._core.partition import Partition as Core

_CHANNELS_OF: Final = {
    "latency_ms": (LATENCY,),
    "ttft_ms": (TTFT,),
    "prompt_tokens": (PROMPT,),
    "completion_tokens": (RESPONSE,),
    # A total is judged by its parts.
    "total_tokens": (PROMPT, RESPONSE),
    "cost_usd": (COST,),
    "tokens_per_second": (SPEED,),
    "error": (ERRORS,),
}
"""What is accepted with a series."""


class IncidentBook:
    """The incidents of one partition."""

    def __init__(self, core: "Core", log: bytes, thresholds: list[float]) -> None:
        self._core = core
        self._log = log
        self._thresholds = thresholds
        self._open: dict[Service, list[OpenIncident]] = {}

    def restore(self, saved: list[OpenIncident]) -> None:
        """Take up open incidents, as `saved` gave them."""
        self._open = {}
        for live in saved:
            self._open.setdefault(live.service, []).append(live)

    def saved(self) -> list[OpenIncident]:
        """Return the open incidents by service, in the order in which they opened."""
        return [live for _, lives in sorted(self._open.items()) for live in lives]

    def standing(self) -> list[Incident]:
        """Return the open incidents as they stand."""
        return [live.standing() for lives in self._open.values() for live in lives]

    def judge_by(self, rules: Rules) -> None:
        """Show votes with the thresholds of other rules."""
        self._thresholds = rules.thresholds()

    def follow(
        self, batch: Batch, clock: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> list[IncidentEvent]:
        """Return what happened to incidents in the batch that the core has just judged."""
        findings = self._core.evidence.findings()
        if not len(batch) or not (findings or self._open):
            return []
        view = view_of(batch, clock, state, self.votes_of_batch())
        return self._follow(view, findings, self._core.evidence.hits())

    def votes_of_batch(self) -> Callable[[int, Key], list[Vote]]:
        """Return what tells the votes on an event of the batch that was just judged."""
        return _Votes(self._core, self._thresholds).of

    def advance(self, clock: int) -> list[IncidentEvent]:
        """Return what happens because T has come to `clock` without an event."""
        at = np.array([clock], np.int64)
        view = view_of(NOTHING, at, np.zeros(0, np.uint8), lambda *_: [])
        return self._follow(view, self._core.evidence.findings(), [])

    def _follow(
        self, view: View, findings: list[Finding], hits: list[tuple[Any, ...]]
    ) -> list[IncidentEvent]:
        by_service: dict[Service, list[Finding]] = {service: [] for service in self._open}
        for finding in findings:
            by_service.setdefault(tuple(finding["key"][:3]), []).append(finding)
        counted: dict[Service, dict[int, list[Hit]]] = {}
        for event, key, channel, value in hits:
            of_event = counted.setdefault(tuple(key[:3]), {}).setdefault(event, [])
            of_event.append((key[3], channel, value))
        told: list[tuple[Place, Service, int, IncidentEvent]] = []
        for service, found in by_service.items():
            following = Following(view, service, self._open.pop(service, []), self._log)
            items = items_of(found, counted.get(service, {}))
            for number, (place, event) in enumerate(following.run(items)):
                told.append((place, service, number, event))
            if following.lives:
                self._open[service] = following.lives
        told.sort(key=lambda item: item[:3])
        return [item[3] for item in told]

    # What people ask

    def act(self, control: Control, clock: int) -> list[IncidentEvent]:
        """Do what a person asks; nothing where the incident is not open any more.

        An incident that is resolved by hand is over.  Its tests stay open in the core until what
        they saw has passed, so the same trouble does not open the next one at once.  What is
        accepted is the new normal: the core takes its newest samples for the baseline.
        """
        act = Act(by=control.by, at=instant(clock), note=control.note)
        if control.kind == "accept" and control.baseline is not None:
            return self._accept_baseline(control.baseline, act, clock)
        found = [
            (service, live)
            for service, lives in self._open.items()
            for live in lives
            if live.incident.id == control.incident
        ]
        if not found:
            return []
        service, live = found[0]
        if control.kind == "acknowledge":
            live.incident = structs.replace(live.incident, state="acknowledged", acknowledged=act)
            return [IncidentEvent(kind="acknowledge", clock=clock, incident=live.standing())]
        if control.kind == "accept":
            for test in live.tests:
                self._core.evidence.accept((*service, test.model), test.channel)
            return [self._end(live, act, clock, accepted=True)]
        return [self._end(live, act, clock, accepted=False)]

    def _accept_baseline(
        self, baseline: tuple[str, str, str, str, str], act: Act, clock: int
    ) -> list[IncidentEvent]:
        """Take the newest samples of a baseline for the usual; what rests on it alone ends."""
        tenant, environment, service, model, metric = baseline
        happened = []
        for channel in _CHANNELS_OF.get(metric, ()):
            self._core.evidence.accept((tenant, environment, service, model), channel)
            last = [
                live
                for live in self._open.get((tenant, environment, service), ())
                if live.close(model, channel, clock, "accepted")
            ]
            happened += [self._end(live, act, clock, accepted=True) for live in last]
        return happened

    def _end(self, live: OpenIncident, act: Act, clock: int, *, accepted: bool) -> IncidentEvent:
        """End an incident by hand."""
        if live.tests:
            live.ended_at = clock
        live.tests = []
        live.ending = "accepted" if accepted else "by_hand"
        lives = self._open[live.service]
        lives.remove(live)
        if not lives:
            del self._open[live.service]
        name = "accepted" if accepted else "resolved"
        return IncidentEvent(kind="close", clock=clock, incident=live.at_end(**{name: act}))


class _Votes:
    """What the detectors said of the events of one batch."""

    def __init__(self, core: "Core", thresholds: list[float]) -> None:
        self._core, self._thresholds = core, thresholds
        self._verdicts: dict[str, Any] | None = None

    def of(self, at: int, key: Key) -> list[Vote]:
        """Return the votes on the samples of one event that belong to a key."""
        if self._verdicts is None:
            self._verdicts = reports.verdicts(self._core.bank)
        verdicts = self._verdicts
        votes = []
        for row in np.flatnonzero(verdicts["event"] == at).tolist():
            named = self._core.roster.key_of(int(verdicts["slot"][row]))
            if named is not None and named[0] == key:
                votes += votes_of(verdicts, row, self._thresholds)
        return votes


assert _CHANNELS_OF.keys() == set(METRICS), "something to accept for every metric"
