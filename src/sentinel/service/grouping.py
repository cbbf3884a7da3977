"""Grouping over all partitions: one stage with one owner, after everything else.

It takes the incident events that partitions have committed, writes down the order in which it took
them together with what is to be told, and only then lets the partitions forget them.  What it
remembers is a pure function of that order: a snapshot, and the events taken since.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from sentinel.alerting import Grouper, GroupingRules
from sentinel.checkpoints.contract import Checkpoint, Checkpoints
from sentinel.checkpoints.rows import OutboxRow
from sentinel.errors import ForeignState
from sentinel.model.incident import IncidentEvent
from sentinel.service.outlet import GROUPING, ToChannels
from sentinel.vitals.inventory import Vitals

CRASH_POINTS: Final = ("grouping_take", "grouping_taken", "grouping_fold")
"""With events in hand; committed, and not forgotten by their partitions; before a snapshot."""
ORDER: Final = "order"
"""The destination of the events that were taken: the stage itself, when it starts again."""
NAME: Final = "grouping"
"""Under which its state is kept, beside those of the partitions."""
TAKE_ROWS: Final = 200
"""Events taken from one partition at once."""
FOLD_EVENTS: Final = 1_000
FOLD_SECONDS: Final = 60.0
"""A snapshot is taken after so many events, or when the oldest is that old."""
ALL: Final = 1 << 40


class _Taken(Struct, frozen=True):
    """One event in the order in which they were taken."""

    number: int
    event: IncidentEvent | None = None
    rules: GroupingRules | None = None
    """Instead of an event: the rules that hold from here on."""


class _Folded(Struct, frozen=True, kw_only=True):
    """A snapshot."""

    next_number: int
    rules: GroupingRules
    grouping: bytes


class GroupingStage:
    """Owns what has been told; for one thread, but for `checkpoint`.

    Parameters
    ----------
    destinations
        Names of the channels.
    partitions
        Returns under which names the states of all partitions are kept.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        checkpoints: Checkpoints,
        vitals: Vitals,
        *,
        rules: GroupingRules,
        destinations: list[str],
        partitions: Callable[[], list[str]],
        crash_point: Callable[[str], None],
    ) -> None:
        self.checkpoint = checkpoint
        self._checkpoints, self._partitions = checkpoints, partitions
        self._crash_point = crash_point
        self._outlet = ToChannels(Grouper(GroupingRules()), destinations, vitals)
        self._since_fold: list[str] = []
        """Ids of the events taken since the snapshot: what a partition still has of them is old."""
        self._folded_at = time.monotonic()
        self.stopped = threading.Event()
        self._take_up()
        self._rule(rules)

    def _take_up(self) -> None:
        """Take up the last snapshot and the events taken since."""
        loaded = self.checkpoint.load()
        self._next = 0
        if loaded is not None and loaded.shared is not None:
            try:
                folded = msgspec.msgpack.decode(loaded.shared, type=_Folded)
            except msgspec.MsgspecError as error:
                raise ForeignState(f"what has been told is of another version: {error}") from error
            self._outlet.configure(msgspec.json.encode(folded.rules))
            self._outlet.restore(folded.grouping)
            self._next = folded.next_number
        for row in self.checkpoint.outbox(ORDER, ALL):
            taken = msgspec.json.decode(row.body, type=_Taken)
            self._since_fold.append(row.id)
            if taken.number < self._next:
                continue
            self._next = taken.number + 1
            if taken.rules is not None:
                self._outlet.configure(msgspec.json.encode(taken.rules))
            if taken.event is not None:
                self._outlet.tell([taken.event])

    def _rule(self, rules: GroupingRules) -> None:
        """Write down the rules that hold from now on, where they are others."""
        if self._outlet.rules == rules:
            return
        self._outlet.configure(msgspec.json.encode(rules))
        row = OutboxRow(
            f"rules-{self._next}", ORDER, msgspec.json.encode(_Taken(self._next, rules=rules))
        )
        self.checkpoint.commit(self._next, self._next + 1, [row])
        self._next += 1
        self._since_fold.append(row.id)

    def turn(self) -> bool:
        """Take what waits in every partition; says whether there is anything new to tell.

        Raises
        ------
        StateError
            The state cannot be read or written; as `Fenced` or `Gap`: somebody else owns it.
        """
        told = False
        known = set(self._since_fold)
        for partition in self._partitions():
            rows = self._checkpoints.waiting(partition, GROUPING, TAKE_ROWS)
            if not rows:
                continue
            fresh = [row for row in rows if row.id not in known]
            if fresh:
                told |= self._take(fresh)
                known.update(row.id for row in fresh)
            self._crash_point("grouping_taken")
            self._checkpoints.taken(partition, [row.id for row in rows], GROUPING)
        old = time.monotonic() - self._folded_at >= FOLD_SECONDS
        if len(self._since_fold) >= FOLD_EVENTS or (self._since_fold and old):
            self._fold()
        return told

    def _take(self, rows: list[OutboxRow]) -> bool:
        """Write down the order and what is to be told, in one commit."""
        out: list[OutboxRow] = []
        told: list[OutboxRow] = []
        for number, row in enumerate(rows, self._next):
            event = msgspec.json.decode(row.body, type=IncidentEvent)
            out.append(OutboxRow(row.id, ORDER, msgspec.json.encode(_Taken(number, event))))
            told += self._outlet.tell([event])
        self._crash_point("grouping_take")
        self.checkpoint.commit(self._next, self._next + len(rows), [*out, *told])
        self._next += len(rows)
        self._since_fold += [row.id for row in rows]
        return bool(told)

    def _fold(self) -> None:
        """Take a snapshot, and forget the events before it: no partition has them any more."""
        folded = _Folded(
            next_number=self._next, rules=self._outlet.rules, grouping=self._outlet.save()
        )
        self._crash_point("grouping_fold")
        self.checkpoint.sweep([], shared=msgspec.msgpack.encode(folded))
        self.checkpoint.delivered(self._since_fold, ORDER)
        self._since_fold = []
        self._folded_at = time.monotonic()
