"""A snapshot: all that the engine holds at one position."""

import msgspec
from msgspec import Struct

from sentinel.alerting import GroupingRules
from sentinel.checkpoints.rows import SeriesRecord
from sentinel.engine import Partition
from sentinel.service.outlet import Outlet


class Shared(Struct, frozen=True, kw_only=True):
    """What a snapshot holds beside the series."""

    partition: bytes
    grouping: bytes
    grouping_rules: GroupingRules
    """By which alerts were grouped: they hold until the log says otherwise."""
    stored_to: int
    """The store had all rows below this when the snapshot was written."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """The state at one position, in memory until the store has the rows before it.

    Written earlier, a crash would lose those rows: nobody would make them again.
    """

    offset: int
    stored_to: int
    """The store's cursor once it has all rows that the state has seen."""
    series: list[SeriesRecord]
    """Those that changed; of two records of one series the later counts."""
    shared: bytes


def taken(
    partition: Partition, outlet: Outlet, *, since: int, stored_to: int, before: Snapshot | None
) -> Snapshot:
    """Return the state as it is now.

    Parameters
    ----------
    since
        T of the snapshot before: what had no sample from then on is as it was.
    before
        That snapshot, where it was not written yet; this one takes its place.
    """
    offset = partition.next_offset
    changed = [SeriesRecord(n, offset, record) for n, record in partition.named_records(since)]
    shared = Shared(
        partition=partition.shared_state(),
        grouping=outlet.save(),
        grouping_rules=outlet.rules,
        stored_to=stored_to,
    )
    return Snapshot(
        offset=offset,
        stored_to=stored_to,
        series=changed if before is None else [*before.series, *changed],
        shared=msgspec.msgpack.encode(shared),
    )
