"""A replay: bodies in, anomalies, incidents and alerts out, and state that can be carried on."""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from sentinel.alerting import Grouper
from sentinel.checkpoints.disk import Saved
from sentinel.engine import Partition
from sentinel.intake import Intake
from sentinel.model.alert import Alert
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch, Rejection
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, grouping_rules, intake_settings
from sentinel.sources.file import Body

LOG_ID = "replay"
"""The log of a stream that has no other: the position is the ordinal over all input."""

_KEY = b"llm-sentinel replay"
"""Pseudonyms of a replay are the same everywhere, so that it can be compared."""


class Counts(Struct):
    """What a replay has seen."""

    events: int = 0
    """Inputs, refused ones included."""
    admitted: int = 0
    over_limit: int = 0
    anomalies: int = 0
    opened: int = 0
    resolved: int = 0
    alerts: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    """By code."""
    states: Counter[str] = field(default_factory=Counter)
    """Repeated, late, stale, overflowed, unjudged events."""
    first_rejections: list[Rejection] = field(default_factory=list)
    """The first few, to show."""


class Step(Struct, frozen=True):
    """What came of one body."""

    batch: Batch
    anomalies: list[Anomaly]
    incident_events: list[IncidentEvent]
    alerts: list[Alert]


class Replay:
    """Runs a stream through the middle: intake, engine, grouping.

    The same input gives the same results however it is cut into bodies, in one go or with state
    saved and restored in between.
    """

    def __init__(self, settings: Settings, log_id: str = LOG_ID) -> None:
        self.counts = Counts()
        self.partition = Partition(engine_rules(settings), log_id)
        self._intake = Intake(intake_settings(settings), key=_KEY, log_id=log_id)
        self._grouper = Grouper(grouping_rules(settings))

    def feed(self, bodies: Iterable[Body]) -> Iterator[Step]:
        """Judge bodies in order and yield what came of each."""
        for body in bodies:
            yield self.judge(body.data, lines=body.lines)

    def judge(self, body: bytes, *, lines: bool = True) -> Step:
        """Judge one body of whole lines; without `lines`, one JSON array or object.

        A stream must say which it is: a bad line that begins with a bracket is no array.
        """
        partition, counts = self.partition, self.counts
        start = partition.next_offset
        batch, rejections, consumed = self._intake.take(
            body, offset=start, received_at=None, lines=lines
        )
        judgement = partition.judge(batch)
        partition.pass_over(start + consumed)
        alerts = self._grouper.tell(judgement.incident_events)
        counts.events += consumed
        counts.admitted += len(batch)
        counts.over_limit += int(batch.over_limit.sum())
        counts.anomalies += len(judgement.anomalies)
        counts.alerts += len(alerts)
        for rejection in rejections:
            counts.rejections[rejection.code] += 1
        counts.first_rejections += rejections[: 5 - len(counts.first_rejections)]
        counts.states.update(judgement.counts())
        for event in judgement.incident_events:
            counts.opened += event.kind == "open"
            counts.resolved += event.kind == "close"
        return Step(batch, judgement.anomalies, judgement.incident_events, alerts)

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that are still open, as they stand."""
        return self.partition.open_incidents()

    def save(self) -> Saved:
        """Return everything that the next body needs."""
        return Saved(
            shared=self.partition.shared_state(),
            grouping=self._grouper.save(),
            series=self.partition.series_records(),
        )

    def restore(self, saved: Saved) -> None:
        """Take up what was saved; before the first body.

        Raises
        ------
        StateError
            It is torn, or of another log.
        """
        self.partition.restore(saved.shared, saved.series)
        self._grouper.restore(saved.grouping)
