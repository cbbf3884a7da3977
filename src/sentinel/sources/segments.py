"""Segments: the files of the journal, and how records lie in them.

Little-endian.  A segment is named by its first offset and begins with a header of 34 bytes: `SNTJ`,
version u16, log id 16 bytes, first offset u64, CRC-32 of these 30 bytes u32.  Records follow:

    length u32, CRC-32 u32 | offset u64, kind u8, received_at i64, tenant u16 and UTF-8, payload

Length and CRC speak of what stands right of the bar.  The high bit of the kind marks the first
record of a group.  A group is what was written and synced at once, and the next one is written only
after that, so a damaged record before the *last* group was durable once: that is damage.  In the
last group it is a write that a crash cut short, and nobody was told of it.
"""

import os
import re
import struct
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct

from sentinel.errors import ForeignState, StateError, TornState

EVENTS: Final = 1
"""The accepted events of one body, canonical NDJSON."""
TICK: Final = 2
"""Time passed; the payload is empty."""
CONTROL: Final = 3
"""What a person or another partition asked for."""
KINDS: Final = {EVENTS: "events", TICK: "tick", CONTROL: "control"}

HEADER: Final = struct.Struct("<4sH16sQ")
HEADER_BYTES: Final = HEADER.size + 4
FRAME: Final = struct.Struct("<IIQBqH")
"""A record up to its tenant: 27 bytes."""
TENANT_BYTES_MAX: Final = (1 << 16) - 1
CHUNK_BYTES: Final = 1 << 20

_MAGIC: Final = b"SNTJ"
_VERSION: Final = 1
_BODY: Final = struct.Struct("<QBqH")
_LEAD: Final = struct.Struct("<II")
_CHECKSUM: Final = struct.Struct("<I")
_BEGINS: Final = 0x80
_NAME: Final = re.compile(r"\d{20}\.log")


class Record(Struct, frozen=True):
    """One entry of the log."""

    offset: int
    """Counts records from 0."""
    kind: int
    received_at: int
    """Nanoseconds since 1970 UTC."""
    tenant: str
    payload: bytes


class Found(NamedTuple):
    """A whole record, and where the next one begins in its file."""

    record: Record
    end: int


def encode(record: Record, *, begins: bool) -> bytes:
    """Return what stands before the payload of a record; `begins`: it is the first of its group."""
    tenant = record.tenant.encode()
    kind = record.kind | _BEGINS if begins else record.kind
    body = _BODY.pack(record.offset, kind, record.received_at, len(tenant)) + tenant
    checksum = zlib.crc32(record.payload, zlib.crc32(body))
    return _LEAD.pack(len(body) + len(record.payload), checksum) + body


def decode(data: bytes, at: int, offset: int) -> Found | None:
    """Return the record at a place of `data`, or None where no whole record of this offset is.

    Raises
    ------
    ForeignState
        It is whole, but of a kind that this version does not know.
    """
    if len(data) - at < FRAME.size:
        return None
    length, checksum, found, kind, received_at, tenant_bytes = FRAME.unpack_from(data, at)
    tenant_at = at + FRAME.size
    payload_at = tenant_at + tenant_bytes
    end = at + _LEAD.size + length
    if found != offset or end > len(data) or payload_at > end:
        return None
    if zlib.crc32(memoryview(data)[at + _LEAD.size : end]) != checksum:
        return None
    kind &= ~_BEGINS
    if kind not in KINDS:
        raise ForeignState(f"record {offset} is of kind {kind}", "a newer sentinel wrote it")
    tenant = data[tenant_at:payload_at].decode()
    return Found(Record(offset, kind, received_at, tenant, data[payload_at:end]), end)


def whole_records(file: int, at: int, offset: int) -> Iterator[Found]:
    """Yield the records of an open segment from a place on, until there is no whole one.

    Parameters
    ----------
    at : int
        Where the record `offset` begins, bytes from the start of the file.
    """
    data, start, fresh = b"", at, False
    while True:
        found = decode(data, at - start, offset)
        if found is not None:
            at, offset, fresh = start + found.end, offset + 1, False
            yield Found(found.record, at)
        elif fresh:
            return
        else:
            data, start, fresh = _read(file, at), at, True


def _read(file: int, at: int) -> bytes:
    """Return a chunk that holds at least the record at `at`, as far as the file goes."""
    lead = os.pread(file, _LEAD.size, at)
    length = _LEAD.unpack(lead)[0] if len(lead) == _LEAD.size else 0
    left = max(0, os.fstat(file).st_size - at)
    return os.pread(file, min(left, max(CHUNK_BYTES, _LEAD.size + length)), at)


def is_damage(file: int, at: int, offset: int) -> bool:
    """Say whether a later group begins anywhere behind `at`, where record `offset` is not whole.

    The length of a damaged record cannot be trusted, so every byte is tried: about 10 ms a MiB.
    """
    size = os.fstat(file).st_size
    data = os.pread(file, max(0, size - at - 1), at + 1)
    places = len(data) - FRAME.size + 1
    for start in range(0, places, CHUNK_BYTES):
        count = min(CHUNK_BYTES, places - start)
        shape = (count,)
        offsets = np.ndarray(shape, "<u8", data, start + _LEAD.size, (1,))
        kinds = np.ndarray(shape, np.uint8, data, start + _LEAD.size + 8, (1,))
        likely = (offsets > offset) & (offsets < offset + size) & (kinds >= _BEGINS)
        for place in np.flatnonzero(likely):
            if decode(data, start + int(place), int(offsets[place])) is not None:
                return True
    return False


# Files


def path_of(folder: Path, first_offset: int) -> Path:
    """Return where the segment that begins with an offset lies."""
    return folder / f"{first_offset:020d}.log"


def first_offsets(folder: Path) -> list[int]:
    """Return the first offsets of the segments in a folder, ascending."""
    names = [path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(int(name.partition(".")[0]) for name in names)


def open_segment(folder: Path, first_offset: int, flags: int = os.O_RDONLY) -> tuple[int, str]:
    """Return a file descriptor of a segment, and its log id.

    Raises
    ------
    FileNotFoundError
        There is none.
    TornState
        Its header is not whole, or not that of this name.
    ForeignState
        It is of another format.
    """
    path = path_of(folder, first_offset)
    file = os.open(path, flags)
    try:
        return file, _log_id_of(path, os.pread(file, HEADER_BYTES, 0), first_offset)
    except (OSError, StateError):
        os.close(file)
        raise


def _log_id_of(path: Path, header: bytes, first_offset: int) -> str:
    if len(header) < HEADER_BYTES:
        raise TornState(f"{path}: expected a header of {HEADER_BYTES} bytes, got {len(header)}")
    magic, version, log, first = HEADER.unpack_from(header)
    if magic != _MAGIC:
        raise ForeignState(f"{path}: not a segment of a journal")
    if _CHECKSUM.unpack_from(header, HEADER.size)[0] != zlib.crc32(header[: HEADER.size]):
        raise TornState(f"{path}: the checksum of its header differs")
    if version != _VERSION:
        raise ForeignState(f"{path}: version {version}, expected {_VERSION}")
    if first != first_offset:
        raise TornState(f"{path}: its header says that it begins at {first}", "was it renamed?")
    return str(uuid.UUID(bytes=log))


def create_segment(folder: Path, log_id: str, first_offset: int) -> int:
    """Return a file descriptor of a new, durable, empty segment.

    Raises
    ------
    OSError
        It could not be made, and is not there.
    StateError
        It could not be made, and what there is of it could not be taken away.
    """
    path = path_of(folder, first_offset)
    beside = path.with_suffix(".new")
    header = HEADER.pack(_MAGIC, _VERSION, uuid.UUID(log_id).bytes, first_offset)
    header += _CHECKSUM.pack(zlib.crc32(header))
    file = -1
    try:
        file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        write_at(file, header, 0)
        os.fsync(file)
        beside.replace(path)
        sync_folder(folder)
    except OSError:
        if file >= 0:
            os.close(file)
        try:
            beside.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"{path}: {error.strerror or error}") from error
        raise
    return file


def write_at(file: int, data: bytes, at: int) -> None:
    """Write all of `data`; a write that comes out short is tried again, so that it says why."""
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, at)
        left, at = left[written:], at + written


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
