"""The engine's thread: it owns all state, takes what is durable in order, and waits for no one.

Each round takes everything that waits, judges it, hands rows to the store and alerts to the next
commit, and now and then commits, or takes a snapshot.  Records come from the journal, so all that
this thread does can be done again from a snapshot and the journal, with the same result.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

import msgspec
import numpy as np
from msgspec import Struct

from sentinel.alerting import Grouper
from sentinel.checkpoints.contract import Checkpoint
from sentinel.checkpoints.rows import OutboxRow
from sentinel.engine import Partition
from sentinel.errors import StateError
from sentinel.model.alert import Alert
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import NOTHING, Batch, concatenated
from sentinel.model.control import Control
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.service.snapshot import Snapshot, taken
from sentinel.service.votes import of_open_incidents
from sentinel.sources.journal import CONTROL, EVENTS, TICK
from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.rows import Rows
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

NS = 1_000_000_000
ROUND_EVENTS = 10_000
"""Events judged together at most: 65,536 samples and a little."""
COMMIT_SECONDS = 0.25
COMMIT_EVENTS = 65_536
RETRY_SECONDS = 1.0
"""Between attempts to keep the state while the disk is full."""
FLUSH_SECONDS = 10.0
"""How long the store may take at the end."""
SNAPSHOT_EVENTS = 500_000
"""A re-run after a crash judges no more than this and what came since the last commit."""


class Work(Struct):
    """One durable record, on its way to the engine."""

    offset: int
    kind: int
    received_at: int
    batch: Batch | None = None
    """The events of an EVENTS record, their offsets set."""
    payload: bytes = b""
    done: Callable[[list[IncidentEvent]], None] | None = None
    """Called on the engine's thread with what a control did."""


class Told(Struct, frozen=True):
    """What a round tells those who watch live."""

    anomalies: list[Anomaly]
    incident_events: list[IncidentEvent]


class Parts(Struct):
    """What the loop holds."""

    partition: Partition
    grouper: Grouper
    checkpoint: Checkpoint
    store: DuckDbStore
    vitals: Vitals
    destinations: list[str]
    votes_of_incidents_only: bool
    """Whether only the votes of open incidents become rows; all of them are counted and told."""
    told_until: int
    """Offsets below this were committed before: their alerts are in the outbox already."""


class EngineLoop:
    """Judges what is durable, on a thread of its own."""

    def __init__(
        self,
        parts: Parts,
        *,
        snapshot_secs: float,
        publish: Callable[[Told], None],
        committed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.parts = parts
        self._publish, self._committed, self._failed = publish, committed, failed
        self._snapshot_secs = snapshot_secs
        self._waiting: deque[Work] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._outbox: list[OutboxRow] = []
        self._since_commit = self._since_snapshot = 0
        self._last_commit = self._last_snapshot = time.monotonic()
        self._committed_to = parts.told_until
        self._snapshot_clock = parts.partition.clock
        self._kept = parts.partition.names()
        """Names of the series that the checkpoint holds, or will with the next snapshot."""
        self._snapshot: Snapshot | None = None
        self._stored_to = 0
        self._retry_at = 0.0
        self.snapshot_at = parts.partition.next_offset
        """Where the snapshot on disk stands: the next start reads the journal from there."""
        self.stuck = ""
        """Why state cannot be kept for now, or an empty text."""
        self.open_incidents: dict[str, Incident] = {
            incident.id: incident for incident in parts.partition.open_incidents()
        }
        """As they stood after the last round; replaced, never changed: safe to read."""
        self.waiting_events = 0
        """Durable and not judged yet."""
        self._show_open()
        self.votes = 0
        """Votes that fired since the process began."""
        self.judged_to = parts.partition.next_offset

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Judge what waits, commit, take a snapshot and end; says whether there was time for it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def put(self, work: list[Work]) -> None:
        """Take durable records, in order of their offsets."""
        with self._wake:
            self._waiting.extend(work)
            self.waiting_events += sum(_size_of(item) for item in work)
            self._wake.notify()

    # The thread

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    if not self._waiting and not self._stopping:
                        self._wake.wait(self._until_commit())
                    work = self._take()
                    if not work and self._stopping:
                        break
                if work:
                    self.judge(work)
                self._save(force=False)
            self._save(force=True)
        except BaseException as error:
            # A broken invariant, or state that cannot be kept: the process ends, and the next one
            # starts from the last commit.
            self._failed(error)
            raise

    def _until_commit(self) -> float | None:
        now = time.monotonic()
        if self.stuck:
            return max(0.0, self._retry_at - now)
        if self._snapshot is not None:
            return COMMIT_SECONDS
        if self._since_commit == 0:
            return None
        return max(0.0, self._last_commit + COMMIT_SECONDS - now)

    def _take(self) -> list[Work]:
        """Take what waits, up to a full round; the lock is held."""
        work: list[Work] = []
        events = 0
        while self._waiting and events < ROUND_EVENTS:
            item = self._waiting.popleft()
            work.append(item)
            events += _size_of(item)
        self.waiting_events -= events
        return work

    def judge(self, work: list[Work]) -> None:
        """Judge records in order; batches that follow each other are judged as one."""
        run: list[Work] = []
        for item in work:
            if item.kind == EVENTS:
                run.append(item)
                continue
            self._judge_events(run)
            run = []
            self._do(item)
        self._judge_events(run)
        if self.open_incidents:
            standing = self.parts.partition.open_incidents()
            self.open_incidents = {incident.id: incident for incident in standing}
        self.judged_to = self.parts.partition.next_offset
        self._since_commit += len(work)
        self._since_snapshot += sum(_size_of(item) for item in work)

    def _judge_events(self, run: list[Work]) -> None:
        if not run:
            return
        parts = self.parts
        batch = concatenated([item.batch for item in run if item.batch is not None])
        judgement = parts.partition.judge(batch)
        parts.partition.pass_over(run[-1].offset + 1)
        kept = judgement
        if parts.votes_of_incidents_only:
            kept = of_open_incidents(judgement, self.open_incidents.values())
        self._tell(judgement.incident_events, judgement.anomalies, run[-1].offset + 1)
        self._store(
            Rows(
                next_offset=run[-1].offset + 1,
                batch=msgspec.structs.replace(batch, events=()),
                stored=judgement.stored(),
                state=judgement.state,
                anomalies=kept.anomalies,
                anomaly_event=kept.anomaly_event,
                incidents=_standing(judgement.incident_events),
            )
        )
        vitals = parts.vitals
        vitals.detection_latency.observe(max(0.0, time.time() - run[0].received_at / NS))
        counts = np.bincount(batch.key, minlength=len(batch.keys)).tolist()
        tally: Counter[str] = Counter()
        for key, count in zip(batch.keys, counts, strict=True):
            tally[key.service] += count
        vitals.count_processed(tally)
        vitals.count_anomalies(judgement.anomalies)
        self.votes += len(judgement.anomalies)
        for state, count in judgement.counts().items():
            vitals.event_states.labels(state).inc(count)

    def _do(self, item: Work) -> None:
        """Let time pass, or do what a person asked."""
        partition, after = self.parts.partition, item.offset + 1
        if item.kind == TICK:
            happened = partition.advance(item.received_at, after)
        elif item.kind == CONTROL:
            control = msgspec.json.decode(item.payload, type=Control)
            happened = partition.act(control, item.received_at, after)
            if control.kind == "configure":
                self.parts.grouper.configure(control.grouping)
        else:
            raise ValueError(f"a record of kind {item.kind} in the journal")
        self._tell(happened, [], after)
        if happened:
            self._store(
                Rows(
                    next_offset=after,
                    batch=NOTHING,
                    stored=np.empty(0, np.bool_),
                    state=np.empty(0, np.uint8),
                    anomalies=[],
                    anomaly_event=np.empty(0, np.int64),
                    incidents=_standing(happened),
                )
            )
        if item.done is not None:
            item.done(happened)

    def _store(self, rows: Rows) -> None:
        self.parts.store.put(rows)
        self._stored_to = rows.next_offset

    def _tell(
        self, happened: list[IncidentEvent], anomalies: list[Anomaly], next_offset: int
    ) -> None:
        """Pass on what happened: to the outbox of the next commit, and to those who watch."""
        if happened:
            held_before = self.parts.grouper.held_back
            alerts = self.parts.grouper.tell(happened)
            held = self.parts.grouper.held_back - held_before
            self.parts.vitals.alerts_deduplicated.inc(held)
            if next_offset > self.parts.told_until:
                self._outbox += [row for alert in alerts for row in self._rows_of(alert)]
            self._remember(happened)
        if happened or anomalies:
            self._publish(Told(anomalies, happened))

    def _rows_of(self, alert: Alert) -> list[OutboxRow]:
        body = msgspec.json.encode(alert)
        return [OutboxRow(alert.id, destination, body) for destination in self.parts.destinations]

    def _remember(self, happened: list[IncidentEvent]) -> None:
        standing = dict(self.open_incidents)
        for event in happened:
            if event.kind == "close":
                standing.pop(event.incident.id, None)
            else:
                standing[event.incident.id] = event.incident
            if event.kind != "progress":
                self.parts.vitals.incidents.labels(event.kind).inc()
        self.open_incidents = standing
        self._show_open()

    def _show_open(self) -> None:
        severities = Counter(incident.severity for incident in self.open_incidents.values())
        for severity in ("info", "warning", "critical"):
            self.parts.vitals.incidents_open.labels(severity).set(severities[severity])

    # Keeping it

    def _save(self, *, force: bool) -> None:
        """Keep what is due, or everything; while the disk is full, try again later.

        Raises
        ------
        StateError
            It cannot be kept, and never will be by this process.
        """
        now = time.monotonic()
        if self.stuck and now < self._retry_at and not force:
            return
        try:
            self._keep(now, force=force)
            self.stuck = ""
        except StateError as error:
            # Its subclasses say that the state is not what or whose we think.
            if force or type(error) is not StateError:
                raise
            if not self.stuck:
                log.error("state.not_kept", error=str(error))
            self.stuck = str(error)
            self._retry_at = time.monotonic() + RETRY_SECONDS

    def _keep(self, now: float, *, force: bool) -> None:
        due = now - self._last_commit >= COMMIT_SECONDS or self._since_commit >= COMMIT_EVENTS
        if (self._since_commit and due) or force:
            self._commit()
        due = (
            now - self._last_snapshot >= self._snapshot_secs
            or self._since_snapshot >= SNAPSHOT_EVENTS
        )
        if self._since_snapshot and ((due and self._snapshot is None) or force):
            self._take_snapshot()
        if force and self._snapshot is not None:
            self.parts.store.flush(FLUSH_SECONDS)
        if self._snapshot is not None and self.parts.store.cursor >= self._snapshot.stored_to:
            self._write_snapshot(self._snapshot)

    def _commit(self) -> None:
        next_offset = self.parts.partition.next_offset
        if next_offset > self._committed_to:
            self.parts.checkpoint.commit(self._committed_to, next_offset, self._outbox)
            self._committed_to = next_offset
            told, self._outbox = bool(self._outbox), []
            if told:
                self._committed()
        self._since_commit = 0
        self._last_commit = time.monotonic()

    def _take_snapshot(self) -> None:
        """Take the whole state as it is now: what all series share, and series that changed."""
        partition = self.parts.partition
        if partition.next_offset > self._committed_to:
            self._commit()
        self._snapshot = taken(
            partition,
            self.parts.grouper,
            since=self._snapshot_clock,
            stored_to=self._stored_to,
            before=self._snapshot,
        )
        self._kept.update(series.name for series in self._snapshot.series)
        self._snapshot_clock = partition.clock
        self._since_snapshot = 0
        self._last_snapshot = time.monotonic()

    def _write_snapshot(self, snapshot: Snapshot) -> None:
        gone: set[bytes] = set()
        if len(self._kept) > self.parts.partition.live_series:
            gone = self._kept - self.parts.partition.names()
            self._kept -= gone
        self.parts.checkpoint.sweep(snapshot.series, sorted(gone), shared=snapshot.shared)
        self.snapshot_at = snapshot.offset
        self._snapshot = None
        self.parts.vitals.baseline_updates.inc(len(snapshot.series))
        self.parts.vitals.baselines.set(self.parts.partition.live_series)


def _size_of(item: Work) -> int:
    return 1 if item.batch is None else len(item.batch)


def _standing(happened: list[IncidentEvent]) -> list[Incident]:
    """Return each incident that something happened to, as it stands after it."""
    return list({event.incident.id: event.incident for event in happened}.values())
