"""One partition: a batch with its positions goes in; verdicts, incidents and state come out."""

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from sentinel._core import records, reports
from sentinel._core.partition import (
    EVENT_LATE,
    EVENT_OVERFLOWED,
    EVENT_REPEATED,
    EVENT_STALE,
    EVENT_UNJUDGED,
)
from sentinel._core.partition import Partition as Core
from sentinel.engine.anomalies import AnomalyWriter
from sentinel.engine.incidents import IncidentBook
from sentinel.engine.open_incident import OpenIncident
from sentinel.engine.rules import NS, Rules
from sentinel.errors import ForeignState, TornState
from sentinel.model.anomaly import Anomaly
from sentinel.model.baseline import BaselineSummary
from sentinel.model.batch import Batch, Key
from sentinel.model.control import Control
from sentinel.model.identity import field
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.model.metric import METRIC_INDEX, METRICS

FORMAT_VERSION = 1


class Judgement(Struct, frozen=True):
    """What came of one batch."""

    anomalies: list[Anomaly]
    incident_events: list[IncidentEvent]
    clock: NDArray[np.int64]
    """T at each event, nanoseconds."""
    state: NDArray[np.uint8]
    """Bits of each event: repeated, late, stale, overflowed, unjudged."""
    anomaly_event: NDArray[np.int64]
    """Which event of the batch each anomaly is about."""

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
            **rules.for_core(),
        )
        log = field(log_id) + field(partition)
        self._anomalies = AnomalyWriter(self._core, log)
        self._incidents = IncidentBook(self._core, log, rules.thresholds())

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
        )
        fired = reports.fired(self._core.bank)
        anomalies = self._anomalies.write(batch, fired)
        happened = self._incidents.follow(batch, clock, state)
        if len(batch):
            self.next_offset = int(batch.offset[-1]) + 1
        about = np.array([vote[0] for vote in fired], np.int64)
        return Judgement(anomalies, happened, clock, state, about)

    def advance(self, clock: int, next_offset: int) -> list[IncidentEvent]:
        """Let T come to `clock`, as a tick of the log says, and move on behind it."""
        self._core.clock = max(self._core.clock, clock)
        self.pass_over(next_offset)
        return self._incidents.advance(self.clock)

    def act(self, control: Control, clock: int, next_offset: int) -> list[IncidentEvent]:
        """Do what a person asked at `clock`, and move on to the position after it."""
        self.pass_over(next_offset)
        if control.kind == "configure":
            self.judge_by(msgspec.json.decode(control.rules, type=Rules))
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
        self._incidents.judge_by(rules)

    def pass_over(self, next_offset: int) -> None:
        """Move on to a position: what lies before it was refused by intake and has no batch."""
        self.next_offset = max(self.next_offset, next_offset)

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that are open, as they stand, ordered by when they opened."""
        standing = [live.standing() for live in self._incidents.open.values()]
        return sorted(standing, key=lambda incident: (incident.timestamp, incident.id))

    def baselines(self) -> list[BaselineSummary]:
        """Return a summary of every series that is not idle, in the order of `series_records`.

        Safe from any thread while another judges.
        """
        found = []
        for slot in self._core.live_slots():
            named = self._core.key_of(slot)
            numbers = reports.summary(self._core.bank, slot)
            if named is None or numbers is None:
                continue
            n, mean, stddev, q1, median, q3, mad, p95, p99 = numbers
            found.append(
                BaselineSummary(
                    *named[0], METRICS[named[1]], n, mean, stddev, q1, median, q3, mad, p95, p99
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
                incidents=[live for _, live in sorted(self._incidents.open.items())],
            )
        )

    def series_records(self) -> list[bytes]:
        """Return the record of every series that is not idle, ordered by key and metric."""
        named = [(self._core.key_of(slot), slot) for slot in self._core.live_slots()]
        known = sorted((name, slot) for name, slot in named if name is not None)
        return [
            records.save(self._core.bank, slot, name[0], self.next_offset) for name, slot in known
        ]

    def named_records(self, since: int) -> list[tuple[bytes, bytes]]:
        """Return name and record of every series that had a sample at or after T = `since`."""
        bank, core = self._core.bank, self._core
        found = []
        for slot in core.live_slots():
            name = core.key_of(slot)
            if name is not None and reports.last_of(bank, slot) >= since:
                key, metric = name
                record = records.save(bank, slot, key, self.next_offset)
                found.append((_name_of(key, metric), record))
        return found

    def names(self) -> set[bytes]:
        """Return the names of all series that are not idle, as `named_records` writes them."""
        named = (self._core.key_of(slot) for slot in self._core.live_slots())
        return {_name_of(*name) for name in named if name is not None}

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
            state = msgspec.msgpack.decode(shared, type=SharedState)
        except msgspec.MsgspecError as error:
            raise TornState(f"shared state: {error}") from error
        expected: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "log_id": self.log_id,
            "partition": self.partition,
        }
        for name, value in expected.items():
            if getattr(state, name) != value:
                got = getattr(state, name)
                raise ForeignState(f"shared state: {name} is {got!r}, expected {value!r}")
        self.judge_by(state.rules)
        self.next_offset = state.next_offset
        self._core.clock = state.clock
        try:
            self._core.recent.load(state.recent_ids)
        except ValueError as error:
            raise TornState(f"shared state: {error}") from error
        self._load(series, window_only=False)
        self._incidents.restore(state.incidents)

    def adopt(self, series: list[bytes]) -> None:
        """Take up baselines: series records of any log, into series that are new here.

        Their windows count, and their sums; tests that were open elsewhere start closed.

        Raises
        ------
        TornState
            A record is not whole.
        ForeignState
            A series is here already, or there is no room for it.
        """
        self._load(series, window_only=True)

    def _load(self, series: list[bytes], *, window_only: bool) -> None:
        for record in series:
            try:
                names, metric, _, _ = records.read(record)
                key = Key(*names)
                if self._core.slot_of(key, metric) is not None:
                    raise ForeignState(f"series {':'.join(key)}:{METRICS[metric]} is here already")
                slot = self._core.adopt(key, metric)
                records.load(self._core.bank, slot, record, window_only)
            except records.BadRecord as error:
                raise TornState(f"series record: {error}") from error
            except OverflowError as error:
                raise ForeignState(str(error), "raise detection.baseline.max_series") from error


def _name_of(key: tuple[str, ...], metric: int) -> bytes:
    return "\0".join((*key, METRICS[metric])).encode()
