"""What belongs to one partition: its state, its commits, its snapshots.

Judges records in order, hands rows to the store and what is to be told to the next commit, and now
and then commits, or takes a snapshot.  Records come from a log, so all that is done here can be
done again from a snapshot and the log, with the same result.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sentinel.checkpoints.contract import Checkpoint, go_on
from sentinel.checkpoints.rows import OutboxRow
from sentinel.engine import Partition
from sentinel.errors import StateError
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import NOTHING, Batch, Key, concatenated
from sentinel.model.control import Control
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.model.votes import NO_VOTES
from sentinel.service.outlet import Outlet
from sentinel.service.snapshot import Snapshot, taken
from sentinel.service.sweeping import Sweeper
from sentinel.service.votes import of_open_incidents
from sentinel.service.work import Told, Work
from sentinel.sources.segments import CONTROL, EVENTS, TICK
from sentinel.stores.duckdb import LogRows
from sentinel.stores.rows import Rows
from sentinel.stores.tables import SPLIT
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

CRASH_POINTS: Final = ("decoded", "judged", "committed")
"""Before records are judged; before what came of them is kept; before those who tell are woken."""
NS = 1_000_000_000
COMMIT_SECONDS = 0.25
COMMIT_EVENTS = 65_536
RETRY_SECONDS = 1.0
"""Between attempts to keep the state while the disk is full."""
FLUSH_SECONDS = 10.0
"""How long the store may take at the end."""
SUSPECT_RECORDS: Final = 10_000
"""What is judged at once at most: the record that stopped us lies within."""
SNAPSHOT_EVENTS = 500_000
"""A re-run after a crash judges no more than this and what came since the last commit."""


class Parts(Struct):
    """What an owner holds."""

    partition: Partition
    outlet: Outlet
    checkpoint: Checkpoint
    store: LogRows
    vitals: Vitals
    votes_of_incidents_only: bool
    """Whether only the votes of open incidents become rows; all of them are counted and told."""
    told_until: int
    """Offsets below this were committed before: what came of them is in the outbox already."""
    passed: Callable[[], bool] = lambda: True
    """Whether all that was refused below our position is safe elsewhere: else nothing is
    committed."""
    suspect: int | None = None
    """A position at or behind which the process has stopped; from there on records are judged one
    by one for a while, so that the one that does it is found."""
    is_split: Callable[[Key], bool] | None = None
    """Whether the calls of a service lie on other partitions, too."""


class Owner:
    """Owns the state of one partition; for one thread at a time.

    `read` makes records of what waits for the partition, where that is something else.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        snapshot_secs: float,
        publish: Callable[[Told], None],
        committed: Callable[[], None],
        read: Callable[[list[Any]], list[Work]] = list,
        crash_point: Callable[[str], None] = go_on,
    ) -> None:
        self.parts = parts
        self._read, self._crash_point = read, crash_point
        self._unsure: tuple[int, int] | None = None
        """Position and outbox rows of a commit that may have come through, though it failed."""
        self._publish, self._committed = publish, committed
        self.snapshot_secs = snapshot_secs
        self._outbox: list[OutboxRow] = []
        self._since_commit = self._since_snapshot = 0
        self._last_commit = self._last_snapshot = time.monotonic()
        self.committed_to = parts.told_until
        self._snapshot_clock = parts.partition.clock
        self._snapshot: Snapshot | None = None
        self._sweeper = Sweeper(parts)
        self._stored_to = 0
        self._retry_at = 0.0
        self.snapshot_at = parts.partition.next_offset
        """Where the snapshot on disk stands: the next start reads the log from there."""
        self.stuck = ""
        """Why state cannot be kept for now, or an empty text."""
        self.open_incidents: dict[str, Incident] = {
            incident.id: incident for incident in parts.partition.open_incidents()
        }
        """As they stood after the last round; replaced, never changed: safe to read."""
        self.votes = 0
        """Votes that fired since the process began."""
        self.judged_to = parts.partition.next_offset

    def keep_soon(self) -> None:
        """Take a snapshot with the next commit: what was passed is not to be met again."""
        self._last_snapshot = -self.snapshot_secs
        self._since_snapshot += 1

    def begin(self) -> None:
        """Write down where a new partition starts, and by which rules it judges."""
        self._take_snapshot()
        assert self._snapshot is not None, "a new partition stands at its commit"
        self._sweeper.begin(self._snapshot)
        self._meet_sweep(wait=True)

    @property
    def name(self) -> str:
        """Of the partition, for people."""
        partition = self.parts.partition
        return f"{partition.log_id}/{partition.partition}"

    def take(self, items: list[Any]) -> None:
        """Judge what waited for this partition."""
        for portion in self._portions(items):
            work = self._read(portion)
            self._crash_point("decoded")
            self.judge(work)
        self._crash_point("judged")

    def _portions(self, items: list[Any]) -> Iterator[list[Any]]:
        """Yield what is judged at once: everything, or near a suspect record each by itself."""
        suspect = self.parts.suspect
        if suspect is None or self.judged_to > suspect + SUSPECT_RECORDS:
            yield items
            return
        for item in items:
            for single in item.singles():
                yield [single]

    def stopped(self) -> None:
        """Take note, for the next process, that judging stopped here."""
        at = max(self.judged_to, self.committed_to)
        count = self.parts.checkpoint.attempt(at)
        log.error("partition.stopped_at", partition=self.name, offset=at, times=count)

    def judge(self, work: list[Work]) -> None:
        """Judge records in order; batches that follow each other are judged as one."""
        run: list[Work] = []
        for item in work:
            if item.kind == EVENTS:
                if run and item.offset >= self.parts.told_until > run[0].offset:
                    # What lies before the last commit is parted from what lies behind it.
                    self._judge_events(run)
                    run = []
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
        self._since_commit += sum(item.span for item in work)
        self._since_snapshot += sum(item.size for item in work)

    def _judge_events(self, run: list[Work]) -> None:
        if not run:
            return
        parts = self.parts
        after = run[-1].end
        batches = [item.batch for item in run if item.batch is not None and len(item.batch)]
        if not batches:
            parts.partition.pass_over(after)
            return
        batch = concatenated(batches)
        judgement = parts.partition.judge(batch)
        parts.partition.pass_over(after)
        kept = judgement.anomalies.columns
        if parts.votes_of_incidents_only:
            kept = of_open_incidents(judgement, self.open_incidents.values())
        self._tell(judgement.incident_events, judgement.anomalies, after)
        self._store(
            Rows(
                next_offset=after,
                batch=msgspec.structs.replace(batch, events=()),
                stored=judgement.stored(),
                state=judgement.state | self._split_of(batch),
                votes=kept,
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
        vitals.count_anomalies(judgement.anomalies.columns)
        self.votes += len(judgement.anomalies)
        for state, count in judgement.counts().items():
            vitals.event_states.labels(state).inc(count)

    def _split_of(self, batch: Batch) -> NDArray[np.uint8] | np.uint8:
        """Return the flag of each event whose service lies on several partitions."""
        is_split = self.parts.is_split
        if is_split is None:
            return np.uint8(0)
        of_keys = np.array([SPLIT if is_split(key) else 0 for key in batch.keys], np.uint8)
        flags: NDArray[np.uint8] = of_keys[batch.key]
        return flags

    def _do(self, item: Work) -> None:
        """Let time pass, or do what a person asked."""
        partition, after = self.parts.partition, item.end
        if item.kind == TICK:
            happened = partition.advance(item.received_at, after)
        elif item.kind == CONTROL:
            control = msgspec.json.decode(item.payload, type=Control)
            happened = partition.act(control, item.received_at, after)
            if control.kind == "configure":
                self.parts.outlet.configure(control.grouping)
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
                    votes=NO_VOTES,
                    incidents=_standing(happened),
                )
            )
        if item.done is not None:
            item.done(happened)

    def _store(self, rows: Rows) -> None:
        self.parts.store.put(rows)
        self._stored_to = rows.next_offset

    def _tell(
        self, happened: list[IncidentEvent], anomalies: Sequence[Anomaly], next_offset: int
    ) -> None:
        """Pass on what happened: to the outbox of the next commit, and to those who watch."""
        if happened:
            # The outlet hears of what was told before, too: it remembers.
            rows = self.parts.outlet.tell(happened)
            if next_offset > self.parts.told_until:
                self._outbox += rows
            self._remember(happened)
        if happened or anomalies:
            self._publish(Told(anomalies, happened))

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

    # Keeping it

    def save(self, *, force: bool) -> None:
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
        self._meet_sweep(wait=force)
        due = (
            now - self._last_snapshot >= self.snapshot_secs
            or self._since_snapshot >= SNAPSHOT_EVENTS
        )
        if self._since_snapshot and ((due and self._snapshot is None) or force):
            self._take_snapshot()
        if force and self._snapshot is not None:
            self.parts.store.flush(FLUSH_SECONDS)
        if self._snapshot is not None and self.parts.store.cursor >= self._snapshot.stored_to:
            self._sweeper.begin(self._snapshot)
            self._meet_sweep(wait=force)

    def _commit(self) -> None:
        next_offset = self.parts.partition.next_offset
        if not self.parts.passed():
            return
        self._look_back()
        if next_offset > self.committed_to:
            self._unsure = (next_offset, len(self._outbox))
            self.parts.checkpoint.commit(self.committed_to, next_offset, self._outbox)
            self._unsure = None
            self.committed_to = next_offset
            self.parts.vitals.commits.inc()
            self._crash_point("committed")
            told, self._outbox = bool(self._outbox), []
            if told:
                self._committed()
        self._since_commit = 0
        self._last_commit = time.monotonic()

    def _look_back(self) -> None:
        """Find out whether a commit whose answer was lost has come through."""
        if self._unsure is None:
            return
        position, rows = self._unsure
        if self.parts.checkpoint.committed_to() == position:
            self.committed_to = position
            del self._outbox[:rows]
            if rows:
                self._committed()
        self._unsure = None

    def _take_snapshot(self) -> None:
        """Take the whole state as it is now: what all series share, and series that changed."""
        partition = self.parts.partition
        if partition.next_offset > self.committed_to:
            self._commit()
        if partition.next_offset > self.committed_to:
            return
        self._snapshot = taken(
            partition,
            self.parts.outlet,
            since=self._snapshot_clock,
            stored_to=self._stored_to,
            before=self._snapshot,
        )
        self._snapshot_clock = partition.clock
        self._since_snapshot = 0
        self._last_snapshot = time.monotonic()

    def _meet_sweep(self, *, wait: bool) -> None:
        """Take note that a snapshot lies where it belongs, once it does."""
        snapshot = self._snapshot
        if snapshot is None or not self._sweeper.is_busy or not self._sweeper.is_done(wait=wait):
            return
        self.snapshot_at = snapshot.offset
        self._snapshot = None
        self.parts.vitals.baseline_updates.inc(len(snapshot.series))

    def due_in(self, now: float) -> float | None:
        """Return the seconds until `save` has something to do; None: not before more comes."""
        if self.stuck:
            return max(0.0, self._retry_at - now)
        if self._snapshot is not None:
            return COMMIT_SECONDS
        if self._since_commit == 0:
            return None
        return max(0.0, self._last_commit + COMMIT_SECONDS - now)


def _standing(happened: list[IncidentEvent]) -> list[Incident]:
    """Return each incident that something happened to, as it stands after it."""
    return list({event.incident.id: event.incident for event in happened}.values())
