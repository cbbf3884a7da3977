"""Coming back: the last snapshot, and everything the journal holds after it, judged again.

The middle is a pure function of snapshot and records, so judging them again gives the same ids.
What was told before the last commit is not told again; rows that the store has it drops itself.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from sentinel.checkpoints.contract import Checkpoint
from sentinel.engine import Partition
from sentinel.errors import ForeignState, Gap
from sentinel.intake import Intake
from sentinel.replay.records import batch_of
from sentinel.service.engine_loop import ROUND_EVENTS
from sentinel.service.outlet import Outlet
from sentinel.service.owner import Owner
from sentinel.service.snapshot import Shared
from sentinel.service.work import Work
from sentinel.sources.journal import CONTROL, EVENTS, Journal
from sentinel.sources.segments import Record
from sentinel.stores.duckdb import DuckDbStore

STORE_PAUSE_SECONDS = 0.02
"""What is judged again comes faster than the store writes: rows that wait are memory."""


class Recovered(Struct, frozen=True):
    """What was found."""

    snapshot_at: int
    """Offset of the snapshot; 0 where there was none."""
    committed_to: int
    judged_again: int
    """Records from the snapshot to the end of the journal."""


class Restored(NamedTuple):
    """Where things stood when the last process ended."""

    told_until: int
    """Offsets below this were committed: their alerts are in the outbox."""
    stored_to: int
    """The store has the rows below this, if its file is the one that the snapshot knew."""
    is_cold: bool
    """There is no state, and never was any where it is looked for."""


def restore(
    checkpoint: Checkpoint, partition: Partition, outlet: Outlet, journal: Journal
) -> Restored:
    """Take up the last snapshot, of a log that is a journal; without any, begin where that does.

    Raises
    ------
    StateError
        It is torn, or of another log, or the journal does not reach it.
    """
    restored = take_up(checkpoint, partition, outlet)
    if checkpoint.load() is None:
        partition.pass_over(journal.first_offset)
    begin, committed_to = partition.next_offset, restored.told_until
    if begin < journal.first_offset:
        raise Gap(
            f"the journal begins at {journal.first_offset:,}, the state stands at {begin:,}",
            "what lies between is lost; move the folder's state aside to start cold",
        )
    if journal.next_offset < max(begin, committed_to):
        raise Gap(
            f"the journal ends at {journal.next_offset:,}, the state stands at "
            f"{max(begin, committed_to):,}",
            "the journal lost records that were judged; restore it, or start cold",
        )
    return restored._replace(is_cold=restored.is_cold and journal.next_offset > 0)


def take_up(checkpoint: Checkpoint, partition: Partition, outlet: Outlet) -> Restored:
    """Take up the last snapshot.

    Raises
    ------
    StateError
        It is torn, or of another log.
    """
    loaded = checkpoint.load()
    stored_to = 0
    if loaded is not None and loaded.shared is not None:
        try:
            shared = msgspec.msgpack.decode(loaded.shared, type=Shared)
        except msgspec.MsgspecError as error:
            raise ForeignState(
                f"the snapshot is of another version: {error}",
                "start the version that wrote it, or move the folder's checkpoint aside: "
                "the journal is then judged from its start",
            ) from error
        series = list(checkpoint.series())
        partition.restore(shared.partition, [one.record for one in series])
        # What has been idle for too long starts again empty when it speaks.
        gone = {one.name for one in series} - partition.names()
        if gone:
            checkpoint.sweep([], sorted(gone))
        outlet.restore(shared.grouping)
        outlet.configure(msgspec.json.encode(shared.grouping_rules))
        stored_to = shared.stored_to
    # Who died before its first commit has left its epoch.
    is_cold = loaded is None and checkpoint.epoch == 1
    return Restored(checkpoint.committed_to(), stored_to, is_cold)


def judge_again(owner: Owner, store: DuckDbStore, journal: Journal, intake: Intake) -> Recovered:
    """Judge what the journal holds after the snapshot; before the engine's thread starts."""
    begin, told_until = owner.judged_to, owner.parts.told_until
    count = 0
    for round_ in _rounds(journal, intake, begin):
        owner.judge(round_)
        while store.is_behind and store.health().failure is None:
            time.sleep(STORE_PAUSE_SECONDS)
        count += len(round_)
    return Recovered(begin, told_until, count)


def _rounds(journal: Journal, intake: Intake, begin: int) -> Iterator[list[Work]]:
    """Yield records in rounds."""
    work: list[Work] = []
    events = 0
    for record in journal.read(begin):
        if events >= ROUND_EVENTS:
            yield work
            work, events = [], 0
        work.append(work_of(record, intake))
        events += work[-1].size
    if work:
        yield work


def work_of(record: Record, intake: Intake) -> Work:
    """Return a record of the log as the engine takes it."""
    batch = None
    if record.kind == EVENTS:
        batch = batch_of(record, intake)
        batch = msgspec.structs.replace(batch, kept=intake.kept(batch.events))
    return Work(
        offset=record.offset,
        kind=record.kind,
        received_at=record.received_at,
        batch=batch,
        payload=record.payload if record.kind == CONTROL else b"",
    )
