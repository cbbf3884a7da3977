"""One partition: a batch with its positions goes in; verdicts, incidents and state come out."""

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from sentinel._core import reports
from sentinel._core.partition import (
    EVENT_LATE,
    EVENT_OVERFLOWED,
    EVENT_REPEATED,
    EVENT_STALE,
    EVENT_UNJUDGED,
)
from sentinel._core.partition import Partition as Core
from sentinel.engine import state
from sentinel.engine.anomalies import AnomalyWriter
from sentinel.engine.incidents import IncidentBook
from sentinel.engine.minutes import MinuteBook, is_minutes
from sentinel.engine.open_incident import OpenIncident
from sentinel.engine.rules import NS, Rules
from sentinel.errors import ForeignState, StateError, TornState
from sentinel.model.baseline import BaselineSummary
from sentinel.model.batch import Batch
from sentinel.model.control import Control
from sentinel.model.identity import field
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.model.metric import METRIC_INDEX, METRICS
from sentinel.model.votes import Votes, columns_of, joined

FORMAT_VERSION = 1


class Judgement(Struct, frozen=True):
    """What came of one batch."""

    anomalies: Votes
    incident_events: list[IncidentEvent]
    clock: NDArray[np.int64]
    """T at each event, nanoseconds."""
    state: NDArray[np.uint8]
    """Bits of each event: repeated, late, stale, overflowed, unjudged."""

    def counts(self) -> dict[str, int]:
        """Return how many events were something other than ordinary."""
        names = {
            "repeated": EVENT_REPEATED,
            "late": EVENT_LATE,
            "stale": EVENT_STALE,
            "overflowed": EVENT_OVERFLOWED,
            "unjudged": EVENT_UNJUDGED,
        }
        return {name: int(np.count_nonzero(self.state & bit)) for name, bit in names.items()}

    def stored(self) -> NDArray[np.bool_]:
        """Return which events are rows of the store: all but repeated ones."""
        kept: NDArray[np.bool_] = (self.state & EVENT_REPEATED) == 0
        return kept


class SharedState(Struct, frozen=True, kw_only=True):
    """What a partition remembers beside its series; small, written whole."""

    format_version: int
    log_id: str
    partition: int
    rules: Rules
    """By which it judged: they hold until the log says otherwise."""
    next_offset: int
    clock: int
    recent_ids: bytes
    incidents: list[OpenIncident]


class Partition:
    """The state of one partition of a log, owned by one thread.

    Judging is a pure function of the state and the batch: no clock, no randomness, and a stream
    gives the same anomalies and incident events however it is cut into batches.
    """

    def __init__(self, rules: Rules, log_id: str, partition: int = 0) -> None:
        self.rules = rules
        self.log_id = log_id
        self.partition = partition
        self.next_offset = 0
        self._core = Core(
            max_series=rules.max_series,
            lateness_ns=rules.allowed_lateness_secs * NS,
            window_size=rules.window_size,
            min_samples=rules.min_samples,
            laws=rules.laws(),
            **rules.for_core(),
        )
        self._log = field(log_id) + field(partition)
        self._anomalies = AnomalyWriter(self._core, self._log)
        self._incidents = IncidentBook(self._core, self._log, rules.thresholds())
        self._minutes = MinuteBook(rules, self._log) if rules.judges_minutes else None

    @property
    def clock(self) -> int:
        """T: the largest min(timestamp, received_at) so far, nanoseconds since 1970 UTC."""
        return int(self._core.clock)

    def judge(self, batch: Batch) -> Judgement:
        """Judge a batch and move on to the position after it.

        Raises
        ------
        ValueError
            The batch starts before the position that has been reached.
        """
        if len(batch) and int(batch.offset[0]) < self.next_offset:
            raise ValueError(f"expected offsets from {self.next_offset} on")
        clock, state = self._core.judge(
            batch.keys,
            batch.key,
            batch.time,
            batch.received,
            batch.values,
            batch.id_high,
            batch.id_low,
            batch.offset,
            batch.index,
            batch.finish,
            batch.user,
            batch.session,
        )
        votes = self._anomalies.write(batch)
        if self._minutes is not None:
            told = self._minutes.follow(batch, clock, state)
            if told:
                votes = joined([votes, columns_of(told)])
                votes = votes.of(np.argsort(votes.event, kind="stable"))
        happened = self._incidents.follow(batch, clock, state)
        if len(batch):
            self.next_offset = int(batch.offset[-1]) + 1
        return Judgement(Votes(batch, votes), happened, clock, state)

    def advance(self, clock: int, next_offset: int) -> list[IncidentEvent]:
        """Let T come to `clock`, as a tick of the log says, and move on behind it."""
        self._core.advance(clock)
        self.pass_over(next_offset)
        return self._incidents.advance(self.clock)

    def act(self, control: Control, clock: int, next_offset: int) -> list[IncidentEvent]:
        """Do what a person asked at `clock`, and move on to the position after it."""
        self.pass_over(next_offset)
        if control.kind == "configure":
            self.judge_by(msgspec.json.decode(control.rules, type=Rules))
            return []
        if control.kind == "adopt":
            self._adopt_new(control.series)
            return []
        return self._incidents.act(control, clock)

    def judge_by(self, rules: Rules) -> None:
        """Change thresholds and voters; how much is remembered stays until the next start."""
        self.rules = structs.replace(
            rules,
            window_size=self.rules.window_size,
            min_samples=self.rules.min_samples,
            max_series=self.rules.max_series,
            allowed_lateness_secs=self.rules.allowed_lateness_secs,
        )
        self._core.bank.set_thresholds(**rules.for_core())
        self._core.evidence.judge_by(**rules.laws())
        self._incidents.judge_by(rules)
        if not rules.judges_minutes:
            self._minutes = None
        elif self._minutes is None:
            self._minutes = MinuteBook(self.rules, self._log)
        else:
            self._minutes.judge_by(rules)

    def pass_over(self, next_offset: int) -> None:
        """Move on to a position: what lies before it was refused by intake and has no batch."""
        self.next_offset = max(self.next_offset, next_offset)

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that are open, as they stand, ordered by when they opened."""
        standing = self._incidents.standing()
        return sorted(standing, key=lambda incident: (incident.timestamp, incident.id))

    def baselines(self) -> list[BaselineSummary]:
        """Return a summary of every series that is not idle, in the order of `series_records`.

        Safe from any thread while another judges.
        """
        found = []
        for slot in self._core.roster.live_slots(self.clock):
            named = self._core.roster.key_of(slot)
            numbers = reports.summary(self._core.bank, slot)
            if named is None or numbers is None:
                continue
            n, mean, stddev, q1, median, q3, mad, p95, p99 = numbers
            found.append(
                BaselineSummary(
                    *named[0],
                    METRICS[named[1]],
                    n,
                    mean,
                    stddev,
                    q1,
                    median,
                    q3,
                    mad,
                    p95,
                    p99,
                    state.learning(self._core.evidence, *named),
                )
            )
        return sorted(found, key=lambda b: (b.names()[:4], METRIC_INDEX[b.metric]))

    # State

    def shared_state(self) -> bytes:
        """Return everything but the series, as MessagePack."""
        return msgspec.msgpack.encode(
            SharedState(
                format_version=FORMAT_VERSION,
                log_id=self.log_id,
                partition=self.partition,
                rules=self.rules,
                next_offset=self.next_offset,
                clock=self.clock,
                recent_ids=self._core.recent.save(),
                incidents=self._incidents.saved(),
            )
        )

    def series_records(self) -> list[bytes]:
        """Return the record of every series and subject that is not idle, ordered by name."""
        everything = state.named_records(self._core, self.next_offset, since=0)
        return [record for _, record in sorted(everything)]

    def exported(self) -> list[tuple[str, int, bytes]]:
        """Return title, samples and record of every series and subject that is not idle."""
        return [(*state.title_of(record), record) for record in self.series_records()]

    def minute_records(self) -> list[bytes]:
        """Return the record of the minutes of every key that is not idle, ordered by key."""
        if self._minutes is None:
            return []
        return [record for _, record in self._minutes.named_records(self.clock)]

    def named_records(self, since: int) -> list[tuple[bytes, bytes]]:
        """Return name and record of all that changed at or after T = `since`.

        A name is that of one record, for as long as it is not idle.  Adopted ones without a sample
        yet are among them: nothing else says that they are new.
        """
        found = state.named_records(self._core, self.next_offset, since=since)
        if self._minutes is not None:
            found += self._minutes.named_records(self.clock, since)
        return found

    def names(self) -> set[bytes]:
        """Return the names of all that is not idle, as `named_records` writes them."""
        minutes = set() if self._minutes is None else self._minutes.names(self.clock)
        return minutes | state.names(self._core)

    @property
    def live_series(self) -> int:
        """Return how many series have a baseline."""
        return self._core.bank.live

    def restore(self, shared: bytes, series: list[bytes]) -> None:
        """Take up saved state; for a new partition only.

        Raises
        ------
        TornState
            The bytes are not whole.
        ForeignState
            They are of another log or format.
        """
        try:
            saved = msgspec.msgpack.decode(shared, type=SharedState)
        except msgspec.MsgspecError as error:
            raise TornState(f"shared state: {error}") from error
        expected: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "log_id": self.log_id,
            "partition": self.partition,
        }
        for name, value in expected.items():
            if getattr(saved, name) != value:
                got = getattr(saved, name)
                raise ForeignState(f"shared state: {name} is {got!r}, expected {value!r}")
        self.judge_by(saved.rules)
        self.next_offset = saved.next_offset
        self._core.clock = saved.clock
        try:
            self._core.recent.load(saved.recent_ids)
        except ValueError as error:
            raise TornState(f"shared state: {error}") from error
        for record in filter(is_minutes, series):
            if self._minutes is not None:
                self._minutes.load(record)
        others = [record for record in series if not is_minutes(record)]
        state.load(self._core, others, elsewhere=False)
        self._incidents.restore(saved.incidents)

    def adopt(self, series: list[bytes]) -> None:
        """Take up baselines: series records of any log, into series that are new here.

        What they learned counts; tests that were open elsewhere start closed.

        Raises
        ------
        TornState
            A record is not whole.
        ForeignState
            A series is here already, or there is no room for it.
        """
        state.load(self._core, series, elsewhere=True)

    def _adopt_new(self, series: list[bytes]) -> None:
        """Take up baselines that the log holds; what cannot be taken up is left out.

        All of them could be when the record was written.  What the log holds must not stop a start
        or a replay for that: of a journal whose beginning is gone, under a lower max_series.
        """
        for record in series:
            with suppress(StateError):
                self.adopt([record])
