"""What the reader of the demo sees: a line as each incident opens and resolves, and a summary."""

import sys
from datetime import datetime

from sentinel.demo.comparison import Comparison
from sentinel.demo.traffic import HISTORY_SECONDS, LIVE_SECONDS, ROUTES, Traffic
from sentinel.engine.wording import ending_of
from sentinel.model.incident import Incident

_COLOURS = {"critical": "31;1", "warning": "33;1", "info": "36"}


class Show:
    """Prints the demo; the clock on the left is that of the traffic."""

    def __init__(self, traffic: Traffic, url: str) -> None:
        self.opened: list[Incident] = []
        self._traffic, self._url = traffic, url
        self._coloured = sys.stdout.isatty()
        self._odd_told = False
        self._latest = 0.0

    def begin(self, calls: int, took: float, folder: str) -> None:
        """Say what was learned, where to look, and what is to come."""
        services = len({route.service for route in ROUTES})
        providers = len({route.provider for route in ROUTES})
        kinds = ", ".join(plant.kind for plant in self._traffic.plants)
        self._line(
            f"llm-sentinel demo · seed {self._traffic.seed} · {services} services, {providers} "
            f"providers · {HISTORY_SECONDS // 60} minutes of history ({calls:,} calls) learned in "
            f"{took:.1f} s · temporary folder {folder}, nothing leaves this machine"
        )
        self._line(f"api {self._url}/api/v1/incidents  ·  docs {self._url}/docs")
        self._line(f"planted in the next {LIVE_SECONDS} seconds of traffic: {kinds}")

    def pass_time(self, second: float) -> None:
        """Say, once it is past, that one odd call was no incident."""
        route, odd_second = self._traffic.odd_call
        if self._odd_told or second < odd_second + 2:
            return
        self._odd_told = True
        service, model = ROUTES[route].service, ROUTES[route].model
        if not any((i.service, i.model) == (service, model) for i in self.opened):
            self._line(
                f"{_clock(second)} quiet                     {f'{service}/{model}':<32} "
                "one call 1.7 times as slow as usual: a vote or two, no incident"
            )

    def tell(self, kind: str, incident: Incident) -> None:
        """Say that an incident opened or ended."""
        name = f"{incident.service}/{incident.model or '*'}"
        if kind == "open":
            self.opened.append(incident)
            severity = self._coloured_text(f"{incident.severity.upper():<8}", incident.severity)
            what = incident.title.split(": ", 1)[1]
            self._line(
                f"{self._at(incident.timestamp)} incident opened  {severity} {name:<32} "
                f"{incident.type}: {what} · {_why(incident)}"
            )
        elif kind == "close" and incident.ended_at is not None:
            self._line(
                f"{self._at(incident.ended_at)} incident resolved         {name:<32} "
                f"{ending_of(incident)}"
            )

    def summarise(self, outcome: Comparison, calls: int, votes: int) -> None:
        """Say how many of the planted incidents were found, how fast, and what else was."""
        delay = outcome.median_delay
        said = "" if delay is None else f" · median {delay:.1f} s to detect"
        self._line(
            f"{_clock(LIVE_SECONDS)} summary  {calls:,} calls · {votes:,} single votes · "
            f"{outcome.found} incidents (planted {outcome.planted}, missed {len(outcome.missed)}, "
            f"false {len(outcome.false)}){said}"
        )
        for plant in outcome.missed:
            route = ROUTES[plant.route]
            self._line(f"      missed: {plant.kind} of {route.service}/{route.model}")
        for incident in outcome.false:
            self._line(
                f"      false: {incident.type} at {self._at(incident.timestamp)}, {incident.title}"
            )

    def end(self, shown: set[str], asked: set[str], replayed: set[str]) -> bool:
        """Say whether the API and a replay of the journal have the same incidents."""
        same = shown == asked == replayed
        verdict = "the same" if same else "NOT the same"
        self._line(
            f"      {len(asked)} incidents in the API, {len(replayed)} in a replay of the journal: "
            f"{verdict} ids, {', '.join(name[:10] for name in sorted(shown))}"
        )
        self._line("next: sentinel serve · sentinel replay yours.ndjson --alerts")
        return same

    def _at(self, when: datetime) -> str:
        # That an incident ended is told once nothing more came of it: lines stand in order.
        self._latest = max(self._latest, self._traffic.second_of(when))
        return _clock(self._latest)

    def _line(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def _coloured_text(self, text: str, severity: str) -> str:
        return f"\x1b[{_COLOURS[severity]}m{text}\x1b[0m" if self._coloured else text


def _clock(second: float) -> str:
    return f"{int(second) // 60:02d}:{int(second) % 60:02d}"


def _why(incident: Incident) -> str:
    """Return what the evidence is, and who of the detectors agrees."""
    main = incident.evidence[0]
    text = f"evidence {main.statistic:.1f} > {main.threshold:.1f}"
    if main.observed.n > 1:
        text += f" from {main.observed.n} calls"
    fired = [vote.detector for vote in main.votes if vote.fired and vote.metric == main.metric]
    verb = "agree" if len(fired) > 1 else "agrees"
    return f"{text}, {', '.join(fired)} {verb}" if fired else text
