"""Reading a journal from one segment to the next, also while another process writes to it."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from sentinel.errors import Gap, InputError, StateError, TornState
from sentinel.sources.segments import (
    HEADER_BYTES,
    Record,
    first_offsets,
    is_damage,
    open_segment,
    path_of,
    whole_records,
)


class Recorded(NamedTuple):
    """A journal as it lies in a folder."""

    log_id: str
    first_offset: int
    records: Iterator[Record]


def read_folder(folder: Path, from_offset: int | None = None) -> Recorded:
    """Open a journal for reading; nothing is locked and nothing is changed.

    A record that a live journal is about to write may be among the last ones, and may be refused
    yet.  A tail that was cut short ends the reading, as it is no part of the log.

    Parameters
    ----------
    from_offset : int or None
        None: the first that is kept.

    Raises
    ------
    InputError
        There is no journal.
    Gap
        The offset is no longer kept.  Also while reading, when retention is faster.
    TornState, ForeignState
        A segment cannot be used.  Also while reading.
    """
    try:
        firsts = first_offsets(folder)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from error
    if not firsts:
        raise InputError(f"{folder}: no journal is in it", "expected files named by 20 digits")
    file, log_id = open_segment(folder, firsts[-1])
    os.close(file)
    start = firsts[0] if from_offset is None else from_offset
    return Recorded(log_id, firsts[0], read(folder, log_id, start))


def read(folder: Path, log_id: str, from_offset: int, to: int | None = None) -> Iterator[Record]:
    """Return the records from an offset up to another, or as far as there are whole ones.

    Raises
    ------
    Gap
        The offset is no longer kept.  Also while reading, when retention is faster.
    TornState
        While reading: a record is damaged that was durable once, or a segment is missing.
    """
    firsts = [first for first in first_offsets(folder) if first <= from_offset]
    if not firsts:
        raise Gap(f"{folder}: offset {from_offset} is not kept any more")
    return _read(folder, log_id, firsts[-1], from_offset, to)


def _read(
    folder: Path, log_id: str, first: int, from_offset: int, to: int | None
) -> Iterator[Record]:
    after: int | None = first
    while after is not None and (to is None or after < to):
        first = after
        file = _open(folder, log_id, first)
        try:
            after = yield from _read_segment(folder, file, first, from_offset, to)
        finally:
            os.close(file)


def _open(folder: Path, log_id: str, first: int) -> int:
    try:
        file, found = open_segment(folder, first)
    except FileNotFoundError as error:
        raise Gap(f"{folder}: offset {first} is not kept any more") from error
    except OSError as error:
        raise StateError(f"{path_of(folder, first)}: {error.strerror or error}") from error
    if found != log_id:
        os.close(file)
        raise TornState(f"{path_of(folder, first)}: is of log {found}, expected {log_id}")
    return file


def _read_segment(
    folder: Path, file: int, first: int, from_offset: int, to: int | None
) -> Generator[Record, None, int | None]:
    """Yield what a segment holds; return the first offset of the next one, or None at the end.

    A segment does not change any more once there is a later one, and a record not once there is a
    later group: so each is looked at again after that is known.
    """
    at, offset, damaged = HEADER_BYTES, first, False
    while True:
        start, sealed = at, _is_sealed(folder, first)
        for record, end in whole_records(file, at, offset):
            if record.offset == to:
                return None
            at, offset = end, record.offset + 1
            if record.offset >= from_offset:
                yield record
        if sealed:
            if offset > first and path_of(folder, offset).exists():
                return offset
            if not path_of(folder, first).exists():
                raise Gap(f"{folder}: offset {offset} is not kept any more")
            raise TornState(f"{path_of(folder, first)}: record {offset} is damaged or missing")
        if _is_sealed(folder, first):
            continue
        if damaged and at == start:
            raise TornState(f"{path_of(folder, first)}: record {offset} is damaged, byte {at}")
        damaged = is_damage(file, at, offset)
        if not damaged:
            return None


def _is_sealed(folder: Path, first: int) -> bool:
    return any(other > first for other in first_offsets(folder))
