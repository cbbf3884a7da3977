"""The newest segment of a journal: where groups of records are written and made durable."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from sentinel.errors import ForeignState, StateError, TornState
from sentinel.sources.segments import (
    HEADER_BYTES,
    create_segment,
    first_offsets,
    is_damage,
    open_segment,
    path_of,
    sync_folder,
    whole_records,
    write_at,
)


class Segment(Struct):
    """What is known of a segment without reading it again."""

    first_offset: int
    nbytes: int
    newest_at: int | None
    """Largest `received_at` in it, nanoseconds; None: not read yet."""


class Tail:
    """The newest segment, open for appending; used by one thread.

    Attributes
    ----------
    next_offset : int
        Of the record after the last durable one.
    bytes_cut : int
        What a crash had left of a group that was never durable, and is gone.
    """

    def __init__(self, folder: Path, log_id: str, file: int, segment: Segment) -> None:
        self.log_id = log_id
        self.segment = segment
        self.next_offset = segment.first_offset
        self.bytes_cut = 0
        self.folder = folder
        self._file = file

    def check(self) -> None:
        """Read the segment that is there, cut what is no whole record, make the rest durable.

        A process that was killed may leave whole records that no sync has seen: they count from
        here on, so they are made durable before anybody reads them.

        Raises
        ------
        TornState
            A record is damaged that was durable once.
        """
        segment, newest_at = self.segment, 0
        for record, end in whole_records(self._file, HEADER_BYTES, segment.first_offset):
            segment.nbytes = end
            self.next_offset = record.offset + 1
            newest_at = max(newest_at, record.received_at)
        segment.newest_at = newest_at
        size = os.fstat(self._file).st_size
        if size > segment.nbytes:
            if is_damage(self._file, segment.nbytes, self.next_offset):
                raise TornState(
                    f"{path_of(self.folder, segment.first_offset)}: record {self.next_offset} is"
                    f" damaged, byte {segment.nbytes}, and later ones are whole",
                    "keep a copy; cut the file there to give up what follows",
                )
            os.ftruncate(self._file, segment.nbytes)
            self.bytes_cut = size - segment.nbytes
        os.fsync(self._file)
        sync_folder(self.folder)

    def append(
        self, data: bytes, *, count: int, newest_at: int, crash_point: Callable[[str], None]
    ) -> None:
        """Write a group of records and make it durable: one write, one fdatasync.

        Raises
        ------
        OSError
            Nothing of it is in the log.
        StateError
            It failed, and what is there of it could not be taken back: the log must be given up.
        """
        segment = self.segment
        crash_point("append")
        try:
            write_at(self._file, data, segment.nbytes)
            crash_point("fsync")
            os.fdatasync(self._file)
        except OSError:
            self._take_back()
            raise
        segment.nbytes += len(data)
        segment.newest_at = max(segment.newest_at or 0, newest_at)
        self.next_offset += count

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._file, self.segment.nbytes)
            os.fsync(self._file)
        except OSError as error:
            path = path_of(self.folder, self.segment.first_offset)
            raise StateError(f"{path}: {error.strerror or error}, after a failed write") from error

    def roll(self) -> Segment:
        """Go on in a new segment, and return what is known of it.

        Raises
        ------
        OSError
            It could not be made; the old one is as it was.
        StateError
            Nor could what there is of it be taken away: the log must be given up.
        """
        file = create_segment(self.folder, self.log_id, self.next_offset)
        os.close(self._file)
        self._file = file
        self.segment = Segment(self.next_offset, HEADER_BYTES, 0)
        return self.segment

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def lock_folder(folder: Path) -> int:
    """Return a file descriptor that keeps others out for as long as it is open.

    Raises
    ------
    StateError
        Another process is in.
    """
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise StateError(
            f"{folder}: another process has this journal open",
            "stop it, or give this one a data_dir of its own",
        ) from error
    return file


def open_tail(folder: Path, new_log_id: Callable[[], str]) -> tuple[Tail, list[Segment]]:
    """Return the tail of the journal in a folder, checked, and all its segments, oldest first.

    An empty folder gets a first segment, and with it the id of the log.

    Raises
    ------
    OSError
        The folder cannot be read or written.
    TornState, ForeignState
        A segment cannot be used, or is of another log.
    """
    for stray in folder.glob("*.new"):
        stray.unlink()
    firsts = first_offsets(folder)
    if not firsts:
        log_id = new_log_id()
        newest = Segment(0, HEADER_BYTES, 0)
        return Tail(folder, log_id, create_segment(folder, log_id, 0), newest), [newest]
    file, log_id = open_segment(folder, firsts[-1], os.O_RDWR)
    newest = Segment(firsts[-1], HEADER_BYTES, 0)
    tail = Tail(folder, log_id, file, newest)
    try:
        tail.check()
        return tail, [*(_known(folder, first, log_id) for first in firsts[:-1]), newest]
    except (OSError, StateError):
        tail.close()
        raise


def _known(folder: Path, first_offset: int, log_id: str) -> Segment:
    file, found = open_segment(folder, first_offset)
    size = os.fstat(file).st_size
    os.close(file)
    if found != log_id:
        raise ForeignState(f"{path_of(folder, first_offset)}: of log {found}, expected {log_id}")
    return Segment(first_offset, size, None)


def newest_at(folder: Path, first_offset: int) -> int:
    """Return the largest `received_at` in a segment, nanoseconds; reads all of it."""
    file, _ = open_segment(folder, first_offset)
    try:
        records = whole_records(file, HEADER_BYTES, first_offset)
        return max((record.received_at for record, _ in records), default=0)
    finally:
        os.close(file)
