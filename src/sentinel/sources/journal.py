"""The log on one machine: records in a folder of segments, durable before anybody is answered.

All that waits is written as one group with one fdatasync, so the more there is to do, the less each
record costs.  What a record means is not known here.
"""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from sentinel.errors import Gap, JournalFull, StateError
from sentinel.sources.journal_limits import DiskRoom, Limits, refusal_of
from sentinel.sources.journal_reader import Recorded, read, read_folder
from sentinel.sources.journal_tail import Segment, Tail, lock_folder, newest_at, open_tail
from sentinel.sources.segments import (
    CONTROL,
    EVENTS,
    FRAME,
    KINDS,
    TENANT_BYTES_MAX,
    TICK,
    Record,
    encode,
    path_of,
    sync_folder,
)

__all__ = [
    "CONTROL",
    "CRASH_POINTS",
    "EVENTS",
    "TICK",
    "Appended",
    "Journal",
    "Limits",
    "Record",
    "Recorded",
    "read_folder",
]

HOUR_NS: Final = 3_600_000_000_000

CRASH_POINTS: Final = ("append", "fsync", "answer", "roll")
"""Before the write; between write and fdatasync; before the answers; in a new segment."""


class Appended(NamedTuple):
    """A record that is durable now."""

    offset: int
    token: Any
    """What `append` was given with it."""
    record: Record


class _Calls(NamedTuple):
    """What the thread calls."""

    on_durable: Callable[[list[Appended]], None]
    on_failed: Callable[[list[Any], Exception], None]
    on_broken: Callable[[StateError], None]
    crash_point: Callable[[str], None]


class _Waiting(NamedTuple):
    kind: int
    payload: bytes
    received_at: int
    tenant: str
    token: Any
    nbytes: int


def _new_log_id() -> str:
    return str(uuid.uuid4())


def _go_on(_: str) -> None:
    """Pass a crash point."""


class Journal:
    """Appends from any thread, one thread that writes, one owner of the folder."""

    def __init__(
        self,
        lock_file: int,
        tail: Tail,
        segments: list[Segment],
        limits: Limits,
        calls: _Calls,
    ) -> None:
        self.folder = tail.folder
        self.log_id = tail.log_id
        self.bytes_cut = tail.bytes_cut
        """What a crash had left of an unfinished group: cut when the journal was opened."""
        self.limits = limits
        self._lock_file = lock_file
        self._tail = tail
        self._segments = segments
        self._next_offset = tail.next_offset
        self._calls = calls
        self._wake = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._room = DiskRoom(tail.folder, limits.min_free_bytes)
        self._refusal: str | None = "is not started"
        self._stopping = self._broken = False
        self._thread: threading.Thread | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        limits: Limits | None = None,
        *,
        on_durable: Callable[[list[Appended]], None],
        on_failed: Callable[[list[Any], Exception], None],
        on_broken: Callable[[StateError], None],
        new_log_id: Callable[[], str] = _new_log_id,
        crash_point: Callable[[str], None] = _go_on,
    ) -> Self:
        """Open the journal in a folder, or make one; `start` it before appending.

        The thread calls the three callbacks, and they must neither block nor raise.

        Parameters
        ----------
        on_durable
            Once a group, in order of offsets.
        on_failed
            With the tokens of a group that could not be written, and a `JournalFull` or
            `StateError`.  None of it is in the log, except when the journal is broken: then it may
            be.  What is appended later can succeed.
        on_broken
            The journal refuses everything from now on, and the process must stop.
        new_log_id
            Makes the uuid of a new log.
        crash_point
            Called with each of `CRASH_POINTS` as it is passed.

        Raises
        ------
        StateError
            Another process has it open, or the folder cannot be used.
        TornState
            What was durable is damaged.
        ForeignState
            It is of another format.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock_file = lock_folder(folder)
            try:
                tail, segments = open_tail(folder, new_log_id)
            except (OSError, StateError):
                os.close(lock_file)
                raise
        except OSError as error:
            raise StateError(f"{folder}: {error.strerror or error}") from error
        calls = _Calls(on_durable, on_failed, on_broken, crash_point)
        return cls(lock_file, tail, segments, limits or Limits(), calls)

    def start(self) -> None:
        """Start the thread; from here on records can be appended."""
        self._refusal = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(
        self, kind: int, payload: bytes, *, received_at: int, tenant: str = "default", token: Any
    ) -> None:
        """Hand over a record; one of the callbacks gets the token, once.

        Safe from any thread, and does not wait for the disk.

        Parameters
        ----------
        kind
            EVENTS, TICK or CONTROL.
        received_at
            Nanoseconds since 1970 UTC.

        Raises
        ------
        JournalFull
            Too much waits, or the disk has less than `min_free_bytes` left.
        StateError
            The journal is not started, closed or broken.
        ValueError
            An argument does not fit its field.
        """
        name_bytes = len(tenant.encode())
        if kind not in KINDS or name_bytes > TENANT_BYTES_MAX or not 0 <= received_at < 1 << 63:
            raise ValueError(
                f"expected a kind of {list(KINDS)}, nanoseconds and a tenant of at most"
                f" {TENANT_BYTES_MAX} bytes; got {kind}, {received_at} and {name_bytes}"
            )
        nbytes = FRAME.size + name_bytes + len(payload)
        with self._wake:
            if self._refusal is not None:
                raise StateError(f"{self.folder}: the journal {self._refusal}")
            if self._waiting_bytes + nbytes > self.limits.max_waiting_bytes:
                raise JournalFull(
                    f"{self._waiting_bytes} bytes wait to be written, and {nbytes} more are over"
                    f" the limit of {self.limits.max_waiting_bytes}",
                    "send again later",
                )
            self._room.take(nbytes)
            self._waiting.append(_Waiting(kind, payload, received_at, tenant, token, nbytes))
            self._waiting_bytes += nbytes
            self._wake.notify()

    def read(self, from_offset: int) -> Iterator[Record]:
        """Return what is durable now, from an offset on.

        Raises
        ------
        Gap
            The offset is no longer kept, or was never reached.
        TornState
            While reading: what was durable is damaged.
        """
        to = self.next_offset
        if from_offset > to:
            raise Gap(f"{self.folder}: offset {from_offset} is behind the end of the log, {to}")
        return read(self.folder, self.log_id, from_offset, to)

    def retain(self, before_offset: int, now_ns: int, hours: float, nbytes: int) -> int:
        """Delete the oldest segments that are too old or too much; return the first offset kept.

        One goes only whole, and only when all its records lie before `before_offset`; the newest
        stays.  For one thread.

        Parameters
        ----------
        before_offset
            What has to stay: a later offset of the journal's readers.
        hours
            Age of the newest record of a segment at `now_ns`, from which on it goes.
        nbytes
            Of all segments, above which the oldest goes.

        Raises
        ------
        StateError
            A segment cannot be read or deleted.
        """
        deleted = False
        try:
            while (oldest := self._spare(before_offset)) is not None:
                if self.nbytes <= nbytes:
                    if oldest.newest_at is None:
                        oldest.newest_at = newest_at(self.folder, oldest.first_offset)
                    if now_ns - oldest.newest_at <= hours * HOUR_NS:
                        break
                path_of(self.folder, oldest.first_offset).unlink()
                deleted = True
                with self._wake:
                    del self._segments[0]
            if deleted:
                sync_folder(self.folder)
        except OSError as error:
            raise StateError(f"{self.folder}: {error.strerror or error}") from error
        return self.first_offset

    def _spare(self, before_offset: int) -> Segment | None:
        """Return the oldest segment if nobody needs it."""
        with self._wake:
            if len(self._segments) > 1 and self._segments[1].first_offset <= before_offset:
                return self._segments[0]
        return None

    @property
    def first_offset(self) -> int:
        """The first offset that is kept."""
        return self._segments[0].first_offset

    @property
    def next_offset(self) -> int:
        """The offset after the last durable record."""
        return self._next_offset

    @property
    def nbytes(self) -> int:
        """Bytes of all segments."""
        with self._wake:
            return sum(segment.nbytes for segment in self._segments)

    @property
    def broken(self) -> bool:
        """Whether it refuses everything for good: the process must stop."""
        return self._broken

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not durable yet."""
        return self._waiting_bytes

    def close(self) -> None:
        """Make durable what waits, and let go of the folder; a second time does nothing."""
        if self._lock_file < 0:
            return
        with self._wake:
            self._stopping = True
            if not self._broken:
                self._refusal = "is closed"
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self._tail.close()
        os.close(self._lock_file)
        self._lock_file = -1

    # The thread

    def _run(self) -> None:
        ended_well = False
        try:
            while (group := self._take()) and self._write(group):
                pass
            ended_well = True
        finally:
            if not ended_well:
                self._break(StateError(f"{self.folder}: a callback of the journal raised"))

    def _take(self) -> list[_Waiting]:
        """Wait for records and take all that wait; none: it is time to end."""
        with self._wake:
            while not self._waiting and not self._stopping:
                self._wake.wait()
            group, self._waiting = self._waiting, []
            return group

    def _write(self, group: list[_Waiting]) -> bool:
        """Make a group durable and tell of it; False: the journal is broken."""
        offset = self._next_offset
        appended: list[Appended] = []
        parts: list[bytes] = []
        for item in group:
            record = Record(offset, item.kind, item.received_at, item.tenant, item.payload)
            parts += (encode(record, begins=not appended), item.payload)
            appended.append(Appended(offset, item.token, record))
            offset += 1
        error: Exception | None = None
        broken: StateError | None = None
        try:
            if self._tail.segment.nbytes >= self.limits.segment_bytes:
                self._roll()
            self._tail.append(
                b"".join(parts),
                count=len(group),
                newest_at=max(item.received_at for item in group),
                crash_point=self._calls.crash_point,
            )
        except OSError as cause:
            error = refusal_of(self.folder, cause)
        except StateError as cause:
            error = broken = cause
        if error is None:
            self._calls.crash_point("answer")
        with self._wake:
            self._next_offset = self._tail.next_offset
            self._waiting_bytes -= sum(item.nbytes for item in group)
        if error is None:
            self._calls.on_durable(appended)
            return True
        self._calls.on_failed([item.token for item in group], error)
        if broken is not None:
            self._break(broken)
        return broken is None

    def _roll(self) -> None:
        segment = self._tail.roll()
        with self._wake:
            self._segments.append(segment)
        self._calls.crash_point("roll")

    def _break(self, error: StateError) -> None:
        """Refuse everything from now on, what waits included."""
        with self._wake:
            self._broken = True
            self._refusal = f"is broken: {error}"
            tokens = [item.token for item in self._waiting]
            self._waiting, self._waiting_bytes = [], 0
        try:
            if tokens:
                self._calls.on_failed(tokens, error)
        finally:
            self._calls.on_broken(error)
