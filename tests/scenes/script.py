"""A core that says what a test tells it to: incidents without any arithmetic below them."""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from scenes.feed import START, call
from sentinel.detectors.channels import CHANNELS
from sentinel.engine.cases import ACCEPTED, ALONE, CLOSED, OPENED, Finding
from sentinel.engine.incidents import IncidentBook
from sentinel.engine.open_incident import OpenIncident
from sentinel.intake import Intake, IntakeSettings
from sentinel.model.control import Control
from sentinel.model.identity import field
from sentinel.model.incident import Incident, IncidentEvent

NS = 1_000_000_000
T0 = int(START.timestamp()) * NS
LINGER = 30 * NS
LOG = field("scene") + field(0)

Names = tuple[str, str, str, str | None]
KEY: Names = ("default", "default", "chat", "m")

KINDS = {"open": OPENED, "close": CLOSED, "accept": ACCEPTED, "alone": ALONE}


def clock_of(second: float) -> int:
    """Return T at a second of the scene."""
    return T0 + round(second * NS)


def finding(kind: str, channel: str, second: float, **changes: Any) -> Finding:
    """Return a finding at a second: by the call there, or where `due` is set by time."""
    due = changes.pop("due", channel == "rate")
    model = changes.pop("model", "m")
    service = changes.pop("service", "chat")
    return {
        "due": due,
        "clock": clock_of(second),
        "key": ("default", "default", service, model),
        "channel": CHANNELS.index(channel),
        "test": int(channel == "speed"),
        "kind": KINDS[kind],
        "statistic": 12.0,
        "threshold": 10.0,
        "observed": 300.0,
        "usual": 100.0,
        "lower": 80.0,
        "upper": 150.0,
        "n": 1000,
        "hits": 4,
        "hits_of": 5,
        "first": {
            "time": clock_of(second - 4),
            "offset": -1 if due else 0,
            "index": -1 if due else 0,
        },
        "last": clock_of(second),
        "linger_ns": LINGER,
        "borrowed": 0,
        "statistics": [0.0] * (4 * len(CHANNELS)),
        "ratios": [0.0] * len(CHANNELS),
        "learned": [0] * len(CHANNELS),
    } | changes


class _Evidence:
    def __init__(self) -> None:
        self.rows: list[Finding] = []
        self.counted: list[tuple[int, Names, int, float]] = []
        self.accepted: list[tuple[Names, int]] = []

    def findings(self) -> list[Finding]:
        return self.rows

    def hits(self) -> list[tuple[int, Names, int, float]]:
        return self.counted

    def accept(self, key: Names, channel: int) -> bool:
        self.accepted.append((key, channel))
        return True


class _Core:
    def __init__(self) -> None:
        self.evidence = _Evidence()


class Script:
    """Plays calls, with what the core found of them, and gathers what happened to incidents.

    `calls` are (second, service, model), ascending; findings and hits name the second of their
    call, or for what time brought the second of T.  A hit is (second, model, channel, value).
    """

    def __init__(self) -> None:
        self.core = _Core()
        self.book = self._new()
        self._intake = Intake(IntakeSettings(), key=b"k" * 32, log_id="scene")
        self._offset = 0
        self.events: list[IncidentEvent] = []

    def _new(self) -> IncidentBook:
        book = IncidentBook(self.core, LOG, [3.0, 1.5, 3.5, 5.0])  # type: ignore[arg-type]
        book.votes_of_batch = lambda: lambda *_: []  # type: ignore[method-assign]
        return book

    def play(
        self,
        calls: list[tuple[float, str, str]],
        findings: list[Finding] = [],  # noqa: B006, never changed
        hits: list[tuple[float, str, str, float]] = [],  # noqa: B006
        cuts: tuple[int, ...] = (),
        *,
        restart: bool = False,
    ) -> list[IncidentEvent]:
        """Play calls, cut before the calls of these numbers; return what happened."""
        begun = len(self.events)
        for first, last in pairwise([0, *cuts, len(calls)]):
            after = -1.0 if first == 0 else calls[first - 1][0]
            self._batch(calls[first:last], findings, hits, after)
            if restart:
                saved = msgspec.msgpack.encode(self.book.saved())
                self.book = self._new()
                self.book.restore(msgspec.msgpack.decode(saved, type=list[OpenIncident]))
        return self.events[begun:]

    def _batch(
        self,
        calls: list[tuple[float, str, str]],
        findings: list[Finding],
        hits: list[tuple[float, str, str, float]],
        after: float,
    ) -> None:
        if not calls:
            return
        clock = np.array([clock_of(second) for second, _, _ in calls], np.int64)
        lines = [
            call(second, service_name=service, model=model, user_id=f"u{round(second) % 7}")
            for second, service, model in calls
        ]
        body = msgspec.json.Encoder().encode_lines(lines)
        batch, rejections, _ = self._intake.take(
            body, offset=self._offset, received_at=None, lines=True
        )
        assert not rejections
        self._offset += len(batch)
        evidence = self.core.evidence
        low, high = clock_of(after), int(clock[-1])
        evidence.rows = [
            found | {"event": int(np.searchsorted(clock, found["clock"]))}
            for found in findings
            if low < found["clock"] <= high
        ]
        evidence.counted = [
            (int(np.searchsorted(clock, clock_of(second))), (*KEY[:3], model),
             CHANNELS.index(channel), value)
            for second, model, channel, value in hits
            if low < clock_of(second) <= high
        ]  # fmt: skip
        state = np.zeros(len(batch), np.uint8)
        self.events += self.book.follow(batch, clock, state)

    def tick(self, second: float) -> list[IncidentEvent]:
        """Let T come to a second without a call."""
        self.core.evidence.rows = []
        happened = self.book.advance(clock_of(second))
        self.events += happened
        return happened

    def act(self, second: float, **act: Any) -> list[IncidentEvent]:
        """Do what a person asks at a second."""
        happened = self.book.act(Control(by="ann", note="why", **act), clock_of(second))
        self.events += happened
        return happened

    def outline(self) -> list[tuple[str, float]]:
        """Return kind and second of T of all that happened."""
        return [(event.kind, (event.clock - T0) / NS) for event in self.events]

    @property
    def last(self) -> Incident:
        """The incident of the last event, as it stood."""
        return self.events[-1].incident


def each_second(
    start: int, stop: int, service: str = "chat", model: str = "m"
) -> list[tuple[float, str, str]]:
    """Return a call a second."""
    return [(float(second), service, model) for second in range(start, stop)]
