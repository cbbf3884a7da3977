"""`sentinel demo`."""

import argparse
import sys
import time

from sentinel.demo.comparison import Comparison, compare
from sentinel.demo.traffic import HISTORY_DAYS, LIVE_SECONDS, ROUTES, START, Traffic
from sentinel.engine.wording import ending_of, say
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.replay.run import Replay
from sentinel.settings import Settings

_COLOURS = {"critical": "31;1", "warning": "33;1", "info": "36"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add seed and pace."""
    parser.add_argument("--seed", type=_seed, default=7, help="other traffic, other incidents (7)")
    parser.add_argument(
        "--seconds",
        type=_pace,
        default=55.0,
        help=f"how long to take over the {LIVE_SECONDS} live seconds (55; 0: no pauses)",
    )


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"got {text}, must be >= 0")
    return number


def _pace(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"got {text}, must be 0 to 86400")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Learn two weeks, watch two minutes; exits with 1 where an incident is missed or false."""
    traffic = Traffic(options.seed)
    replay = Replay(Settings(), log_id=f"demo-{options.seed}")
    show = _Show(replay)
    show.learn(traffic)
    began = time.monotonic()
    for second, body in traffic.live():
        show.step(second, body)
        wait = began + options.seconds * second / LIVE_SECONDS - time.monotonic()
        if wait > 0:
            sys.stdout.flush()
            time.sleep(wait)
    outcome = compare(traffic.plants, show.opened)
    show.summarise(outcome)
    return 1 if outcome.missed or outcome.false else 0


class _Show:
    """What the reader of the demo sees."""

    def __init__(self, replay: Replay) -> None:
        self.opened: list[Incident] = []
        self._replay = replay
        self._votes_before = 0
        self._calls_before = 0
        self._coloured = sys.stdout.isatty()
        self._odd_told = False

    def learn(self, traffic: Traffic) -> None:
        """Feed the history, and say what was learned and what is to come."""
        began = time.monotonic()
        for body in traffic.history():
            self._replay.judge(body)
        took = time.monotonic() - began
        self._traffic = traffic
        self._calls_before = self._replay.counts.admitted
        self._votes_before = self._replay.counts.anomalies
        services = len({route.service for route in ROUTES})
        providers = len({route.provider for route in ROUTES})
        kinds = ", ".join(plant.kind for plant in traffic.plants)
        self._line(
            f"llm-sentinel demo · seed {traffic.seed} · {services} services, {providers} providers "
            f"· {HISTORY_DAYS} days of history ({self._calls_before:,} calls) learned in "
            f"{took:.1f} s · nothing leaves this machine"
        )
        self._line(f"planted in the next {LIVE_SECONDS} seconds of traffic: {kinds}")

    def step(self, second: float, body: bytes) -> None:
        """Judge a quarter of a second of calls, and say what happened."""
        step = self._replay.judge(body)
        route, odd_second = self._traffic.odd_call
        if not self._odd_told and second > odd_second + 1:
            self._odd_told = True
            self._quiet(second, ROUTES[route].service, ROUTES[route].model)
        for event in step.incident_events:
            self._tell(second, event)

    def _quiet(self, second: float, service: str, model: str) -> None:
        name = f"{service}/{model}"
        opened = any((i.service, i.model) == (service, model) for i in self.opened)
        if not opened:
            self._line(
                f"{_clock(second)} quiet                     {name:<32} one call 2.5 times "
                "as slow as usual: a vote or two, no incident"
            )

    def _tell(self, second: float, event: IncidentEvent) -> None:
        incident = event.incident
        name = f"{incident.service}/{incident.model}"
        if event.kind == "open":
            self.opened.append(incident)
            severity = self._coloured_text(f"{incident.severity.upper():<8}", incident.severity)
            unit = incident.observed.unit
            expected = say(incident.expected.upper, unit)
            what = incident.title.split(": ", 1)[1]
            self._line(
                f"{_clock(second)} incident opened  {severity} {name:<32} {incident.type}: {what}, "
                f"expected up to {expected} · {_who(incident)}"
            )
        elif event.kind == "close":
            self._line(
                f"{_clock(second)} incident resolved         {name:<32} {ending_of(incident)}"
            )

    def summarise(self, outcome: Comparison) -> None:
        """Say how many of the planted incidents were found, how fast, and what else was."""
        counts = self._replay.counts
        calls = counts.admitted - self._calls_before
        votes = counts.anomalies - self._votes_before
        delay = (
            ""
            if outcome.median_delay is None
            else (f" · median {outcome.median_delay:.1f} s to detect")
        )
        self._line(
            f"{_clock(LIVE_SECONDS)} summary  {calls:,} calls · {votes:,} single votes · "
            f"{outcome.found} incidents (planted {outcome.planted}, missed {len(outcome.missed)}, "
            f"false {len(outcome.false)}){delay}"
        )
        for plant in outcome.missed:
            route = ROUTES[plant.route]
            self._line(f"      missed: {plant.kind} of {route.service}/{route.model}")
        for incident in outcome.false:
            at = (incident.timestamp - START).total_seconds()
            self._line(f"      false: {incident.type} at {_clock(at)}, {incident.title}")
        self._line("next: sentinel replay yours.ndjson --alerts")

    def _line(self, text: str) -> None:
        sys.stdout.write(text + "\n")

    def _coloured_text(self, text: str, severity: str) -> str:
        return f"\x1b[{_COLOURS[severity]}m{text}\x1b[0m" if self._coloured else text


def _clock(second: float) -> str:
    return f"{int(second) // 60:02d}:{int(second) % 60:02d}"


def _who(incident: Incident) -> str:
    """Return who said so: the detectors that fired, or how many calls failed."""
    main = incident.evidence[0]
    if main.metric == "error":
        return f"{main.observed.hits} of the last {main.observed.n} calls"
    fired = [vote.detector for vote in main.votes if vote.fired and vote.metric == main.metric]
    return f"{', '.join(fired)} agree" if len(fired) > 1 else f"{', '.join(fired)} says so"
