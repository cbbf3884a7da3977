"""A replay: bodies in, anomalies, incidents and alerts out, and state that can be carried on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
from msgspec import Struct, field

from sentinel.alerting import Grouper
from sentinel.checkpoints.disk import Saved
from sentinel.engine import Judgement, Partition
from sentinel.intake import Intake
from sentinel.model.alert import Alert
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import NOTHING, Batch, Rejection
from sentinel.model.control import Control
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.model.votes import NO_VOTES, Votes
from sentinel.replay.records import batch_of
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, grouping_rules, intake_settings
from sentinel.settings.prices import price_table
from sentinel.sources.file import Body
from sentinel.sources.segments import EVENTS, TICK, Record

LOG_ID = "replay"
"""The log of a stream that has no other: the position is the ordinal over all input."""

MODELS_TOLD = 1000
"""Models without a price that are told apart."""

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
    redacted: Counter[str] = field(default_factory=Counter)
    """What was taken out of texts, by kind."""
    unpriced: Counter[str] = field(default_factory=Counter)
    """Events without a cost whose model nobody knows a price for, by model."""
    first_rejections: list[Rejection] = field(default_factory=list)
    """The first few, to show."""


class Step(Struct, frozen=True):
    """What came of one body."""

    batch: Batch
    anomalies: Sequence[Anomaly]
    incident_events: list[IncidentEvent]
    alerts: list[Alert]


class Replay:
    """Runs a stream through the middle: intake, engine, grouping.

    The same input gives the same results however it is cut into bodies, in one go or with state
    saved and restored in between.

    Parameters
    ----------
    keep_rules
        Judge by these settings throughout, whatever rules stand in a journal.
    """

    def __init__(
        self, settings: Settings, log_id: str = LOG_ID, *, keep_rules: bool = False
    ) -> None:
        self.counts = Counts()
        self._keep_rules = keep_rules
        self._rules = engine_rules(settings)
        self.partition = Partition(self._rules, log_id)
        rules = intake_settings(settings)
        prices = price_table(settings.prices)
        self._intake = Intake(rules, key=_KEY, log_id=log_id, prices=prices)
        # What a journal holds was accepted under the rules of its day, and has its prices.
        accepted = msgspec.structs.replace(rules, on_limit="flag")
        self._accepted = Intake(accepted, key=_KEY, log_id=log_id)
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
        counts.events += consumed
        for rejection in rejections:
            counts.rejections[rejection.code] += 1
        counts.first_rejections += rejections[: 5 - len(counts.first_rejections)]
        return self._step(batch, judgement)

    def judge_record(self, record: Record) -> Step:
        """Judge one record of a journal, at the position and the time that it has there."""
        partition, after = self.partition, record.offset + 1
        if record.kind == EVENTS:
            batch = batch_of(record, self._accepted)
            judgement = partition.judge(batch)
            partition.pass_over(after)
            self.counts.events += len(batch)
            return self._step(batch, judgement)
        if record.kind == TICK:
            happened = partition.advance(record.received_at, after)
        else:
            control = msgspec.json.decode(record.payload, type=Control)
            if control.kind == "configure" and self._keep_rules:
                partition.pass_over(after)
                happened = []
            else:
                happened = partition.act(control, record.received_at, after)
                if control.kind == "configure":
                    self._grouper.configure(control.grouping)
        none = np.empty(0, np.int64)
        nothing = Votes(NOTHING, NO_VOTES)
        return self._step(NOTHING, Judgement(nothing, happened, none, np.empty(0, np.uint8)))

    def _step(self, batch: Batch, judgement: Judgement) -> Step:
        """Count what came of a batch, and tell of it."""
        counts = self.counts
        alerts = self._grouper.tell(judgement.incident_events)
        counts.admitted += len(batch)
        counts.over_limit += int(batch.over_limit.sum())
        counts.anomalies += len(judgement.anomalies)
        counts.alerts += len(alerts)
        counts.states.update(judgement.counts())
        counts.redacted.update(batch.redacted)
        for model, events in batch.unpriced.items():
            known = model in counts.unpriced or len(counts.unpriced) < MODELS_TOLD
            counts.unpriced[model if known else "other"] += events
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
            series=self.partition.series_records() + self.partition.minute_records(),
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
        # A replay is judged by the configuration that it is given, not by that of the last one.
        self.partition.judge_by(self._rules)
