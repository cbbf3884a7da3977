"""The one thread that writes: it collects what is put, and writes it with its cursor."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from sentinel.errors import StateError
from sentinel.stores.rows import ArrowRows, Block, Place, Rows, Waiting
from sentinel.stores.tables import Retention

_GROUPS_MAX: Final = 4
"""Row groups that one transaction fills at most: 50 ms of work each."""
_WAIT_SECS: Final = 0.5
"""Longest that a row waits for others; it is seen within 2 s on a machine that is busy, too."""
_GULP_ROWS: Final = 4_096
_GULP_BYTES: Final = 8 << 20
"""What is turned into columns at once: columns take a third of what events do."""
_RETRY_SECS: Final = (0.5, 30.0)
"""First and longest pause after a failure; each is twice the one before."""


def do_nothing(_: object) -> None:
    """Stand in for a callback that nobody gave."""


class Tables(Protocol):
    """What the writer writes to; every method raises StateError when the file fails."""

    def cursors(self) -> dict[str, Place]: ...  # noqa: D102

    def newest(self) -> int: ...  # noqa: D102

    def write(self, blocks: Sequence[Block]) -> None: ...  # noqa: D102

    def forget(self, newest: int, retention: Retention) -> None: ...  # noqa: D102


class Writer:
    """Queue and thread.  Rows are kept until they are committed, whatever fails."""

    def __init__(
        self,
        tables: Tables,
        *,
        group_rows: int,
        retention: Retention,
        backlog_bytes_max: int,
        tidy_interval_secs: float,
        on_failure: Callable[[StateError], None],
    ) -> None:
        self._tables = tables
        self._group_rows = group_rows
        self._retention = retention
        self._backlog_bytes_max = backlog_bytes_max
        self._tidy_interval_secs = tidy_interval_secs
        self._on_failure = on_failure
        # Everything up to the thread is guarded by `_changed`.
        self._changed = threading.Condition()
        self._queue: deque[Waiting] = deque()
        self._queued_rows = 0
        self._queued_bytes = 0
        self._blocks: list[Block] = []
        # By log.
        self._accepted: dict[str, Place] = {}
        self._committed: dict[str, Place] = {}
        self._hurry: dict[str, Place] = {}
        self.commits = 0
        self._state = "not open"
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        # The thread's own.
        self._retry_at = 0.0
        self._retry_secs = _RETRY_SECS[0]
        self._tidy_at = 0.0
        self._newest = 0

    def start(self) -> None:
        """Begin where the tables stand."""
        self._arrow = ArrowRows()
        self._committed = self._tables.cursors()
        self._accepted = dict(self._committed)
        self._newest = self._tables.newest()
        self._state = "open"
        self._thread.start()

    def stop(self, timeout_secs: float) -> bool:
        """Write what waits and end the thread; tell whether all was written in time."""
        if self._state == "not open":
            return True
        done = self.flush(timeout_secs) if self._state == "open" else False
        with self._changed:
            self._state = "closed" if self._state == "open" else self._state
            self._changed.notify_all()
        self._thread.join()
        return done

    def put(self, log: str, rows: Rows) -> None:
        """Queue what of the rows is new."""
        with self._changed:
            if self._state != "open":
                raise StateError(f"the store is {self._state}")
            accepted = self._accepted.get(log, (0, 0))
            if rows.next_offset <= accepted[0]:
                return
            waits = bool(self._queue)
            self._queue.append(Waiting(log, rows, accepted, time.monotonic()))
            self._accepted[log] = (rows.next_offset, 0)
            self._queued_rows += len(rows.batch)
            self._queued_bytes += rows.size_bytes()
            if not waits or self._is_gulp():
                self._changed.notify_all()

    def flush(self, timeout_secs: float) -> bool:
        """Wait until all that was put is committed; tell whether it is."""
        with self._changed:
            target = self._hurry = dict(self._accepted)
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._reached(target) or self._state != "open", timeout_secs
            )
            return self._reached(target)

    def _reached(self, target: dict[str, Place]) -> bool:
        return all(self._committed.get(log, (0, 0)) >= place for log, place in target.items())

    def cursor(self, log: str) -> int:
        """Offset up to which rows of a log are committed."""
        return self._committed.get(log, (0, 0))[0]

    @property
    def backlog_bytes(self) -> int:
        """About how much memory waits."""
        with self._changed:
            return self._queued_bytes + sum(block.size_bytes for block in self._blocks)

    @property
    def is_behind(self) -> bool:
        """Whether more waits than should."""
        return self.backlog_bytes >= self._backlog_bytes_max

    # The thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            error: Any = sys.exception()
            if error is not None:
                self._break(error)

    def _break(self, error: BaseException) -> None:
        """Say that an invariant is broken: whoever waits or puts must not go on."""
        with self._changed:
            self._state, self.failure = "broken", error
            self._changed.notify_all()
        self._on_failure(StateError(f"the store's writer stopped: {error}"))

    def _turn(self) -> bool:
        """Wait for something to do and do it; False at the end."""
        with self._changed:
            while True:
                if self._state == "closed":
                    return False
                pause = self._pause(time.monotonic())
                if pause <= 0 or self._is_gulp():
                    break
                self._changed.wait(pause if pause < threading.TIMEOUT_MAX else None)
            taken = self._take()
        if taken:
            by_log: dict[str, list[Waiting]] = {}
            for one in taken:
                by_log.setdefault(one.log, []).append(one)
            blocks = [self._arrow.block(of_log) for of_log in by_log.values()]
            with self._changed:
                self._blocks += blocks
                self._queued_rows -= sum(len(one.rows.batch) for one in taken)
                self._queued_bytes -= sum(one.rows.size_bytes() for one in taken)
        if pause <= 0:
            self._write()
        return True

    def _is_gulp(self) -> bool:
        return self._queued_rows >= _GULP_ROWS or self._queued_bytes >= _GULP_BYTES

    def _take(self) -> list[Waiting]:
        taken: list[Waiting] = []
        rows = 0
        while self._queue and rows < self._group_rows:
            taken.append(self._queue.popleft())
            rows += len(taken[-1].rows.batch)
        return taken

    def _pause(self, now: float) -> float:
        """Return the seconds until something is to be written, not above 0 when it is."""
        if not self._queue and not self._blocks:
            return threading.TIMEOUT_MAX
        rows = self._queued_rows + sum(len(block.offset) for block in self._blocks)
        since = self._blocks[0].since if self._blocks else self._queue[0].since
        due = since + _WAIT_SECS
        if rows >= self._group_rows or not self._reached(self._hurry):
            due = now
        return max(due, self._retry_at) - now

    def _write(self) -> None:
        """Write whole row groups, or all that waits where that fills none."""
        blocks = self._cut()
        if not blocks:
            return
        try:
            self._tables.write(blocks)
        except StateError as error:
            self._failed(error)
            return
        self._newest = max(self._newest, *(block.newest for block in blocks))
        self._retry_secs = _RETRY_SECS[0]
        with self._changed:
            del self._blocks[: len(blocks)]
            self._committed = self._committed | {block.log: block.end for block in blocks}
            self.commits += 1
            self.failure = None
            self._changed.notify_all()
        self._tidy()

    def _cut(self) -> list[Block]:
        """Return the blocks to write, the last of them cut where a row group is full."""
        waiting = sum(len(block.offset) for block in self._blocks)
        groups = min(waiting // self._group_rows, _GROUPS_MAX)
        left = groups * self._group_rows or waiting + 1
        blocks: list[Block] = []
        for number, block in enumerate(self._blocks):
            if len(block.offset) > left:
                with self._changed:
                    self._blocks[number : number + 1] = block.split(left)
                blocks.append(self._blocks[number])
                break
            blocks.append(block)
            left -= len(block.offset)
            if left == 0:
                break
        return blocks

    def _tidy(self) -> None:
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + self._tidy_interval_secs
        try:
            self._tables.forget(self._newest, self._retention)
        except StateError as error:
            self._failed(error)

    def _failed(self, error: StateError) -> None:
        """Pause before the next attempt, twice as long each time, and tell the owner."""
        self._retry_at = time.monotonic() + self._retry_secs
        self._retry_secs = min(2 * self._retry_secs, _RETRY_SECS[1])
        with self._changed:
            self.failure = error
        self._on_failure(error)
