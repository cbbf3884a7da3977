# cython: language_level=3, embedsignature=True
"""Subject records: everything that the next call of a subject is judged by, as bytes.

Layout, little-endian (docs/formats/subject-record.md): a head of 12 bytes (`SNTE`, version u16, 0
u16, CRC-32 of everything else u32), the sizes of the five structures u32 each, offset at which the
subject stands i64, tenant, environment, service and model each as u16 length and UTF-8 (0xffff: no
model, a service as a whole), then what it knows: counts, and as they lie in memory what each
channel has learned, fits, shares, rate, speakers with their rings and channels with their windows.
A build whose structures have other sizes does not read it, and none takes a number that cannot be.
"""
import struct
import zlib

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint32_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy

from sentinel._core.calibration cimport Channel
from sentinel._core.evidence cimport Evidence
from sentinel._core.findings cimport LEVEL_CHANNELS
from sentinel._core.levels cimport LEVELS, Levels
from sentinel._core.possible cimport (
    can_be_channel, can_be_rate, can_be_speakers, can_be_subject, can_be_window)
from sentinel._core.rates cimport NS, Rate
from sentinel._core.residual cimport Fit
from sentinel._core.shares cimport Share
from sentinel._core.speakers cimport SPEAKERS, Speakers
from sentinel._core.subject cimport FITS, Subject, begin_elsewhere, channel_of, restart_subject

VERSION = 3
MAGIC = b"SNTE"
_HEAD = struct.Struct("<4sHHI")
_SIZES = struct.Struct("<5I")
_OFFSET = struct.Struct("<q")
_LENGTH = struct.Struct("<H")
_COUNTS = struct.Struct("<qqqddqiid")
_WINDOW = struct.Struct("<BHHH")
_ABSENT = 0xffff
_CAPACITIES = (0, 125, 250, 500, LEVELS)

cdef enum:
    # Of a channel, what follows its window; of speakers, what follows their ring.
    PLAIN_CHANNEL = sizeof(Channel) - sizeof(Levels)
    PLAIN_SPEAKERS = sizeof(Speakers) - sizeof(uint32_t*)


class BadRecord(ValueError):
    """The bytes are no whole record of this version."""


class KnownSubject(Exception):
    """The subject of a record has seen calls already."""


def _sizes():
    return _SIZES.pack(
        PLAIN_CHANNEL, sizeof(Fit), sizeof(Share), sizeof(Rate), PLAIN_SPEAKERS)


cdef bytes memory(const void* start, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char*> start, size)


def save(Evidence evidence not None, key, long long offset):
    """Return the record of a subject that has seen every call below `offset`."""
    cdef Subject* s = evidence.at(evidence.numbers[key])
    cdef Channel* c
    cdef int i
    body = bytearray(_sizes() + _OFFSET.pack(offset))
    for name in key:
        if name is None:
            body += _LENGTH.pack(_ABSENT)
        else:
            text = name.encode()
            body += _LENGTH.pack(len(text)) + text
    body += _COUNTS.pack(s.last, s.touched, s.calls, s.week_calls, s.week_seconds, s.week_at,
                         s.week_new, s.parent, s.high)
    body += memory(s.learned, sizeof(s.learned))
    body += memory(s.fits, FITS * sizeof(Fit))
    body += memory(s.shares, 2 * sizeof(Share))
    body += memory(&s.rate, sizeof(Rate))
    for i in range(2):
        body += memory(&s.speakers[i].usual, PLAIN_SPEAKERS)
        if s.speakers[i].ring != NULL:
            body += memory(s.speakers[i].ring, SPEAKERS * sizeof(uint32_t))
    for i in range(LEVEL_CHANNELS):
        c = s.channels[i]
        if c == NULL:
            body += _WINDOW.pack(0, 0, 0, 0)
            continue
        body += _WINDOW.pack(1, c.window.n, c.window.capacity, c.window.head)
        body += memory(&c.waiting, PLAIN_CHANNEL)
        if c.window.capacity:
            body += memory(c.window.block, c.window.n * 2)
            body += memory(c.window.block + c.window.capacity, c.window.n * 2)
    head = _HEAD.pack(MAGIC, VERSION, 0, 0)
    return head[:-4] + zlib.crc32(body, zlib.crc32(head[:8])).to_bytes(4, "little") + bytes(body)


def read(const unsigned char[::1] record):
    """Return (key, offset, calls) of a record without loading it.

    Raises
    ------
    BadRecord
        It is torn, or not a record of this version.
    """
    key, offset, body = _take_apart(record)
    return key, offset, _COUNTS.unpack_from(body)[2]


def load(Evidence evidence not None, const unsigned char[::1] record, bint elsewhere=False):
    """Make a subject from a record; it must be new.  Returns the offset at which it stands.

    `elsewhere`: it is of another log, so what was learned counts, and nothing of when.

    Raises
    ------
    BadRecord
        It is torn, or not a record of this version.
    KnownSubject
        It has seen calls already.
    """
    cdef Subject* s
    key, offset, body = _take_apart(record)
    number = evidence.numbers.get(key)
    if number is not None and evidence.at(number).calls:
        raise KnownSubject(f"that of {key[2]} is here already")
    number = evidence.whole_of(key) if key[3] is None else evidence.subject_of(key)
    s = evidence.at(number)
    try:
        fill(s, body)
    except BadRecord:
        restart_subject(s, s.high)
        raise
    if elsewhere:
        begin_elsewhere(s)
    evidence.expect(number)
    return offset


cdef int fill(Subject* s, bytes body) except -1:
    """Fill an empty subject from what follows the names."""
    cdef Channel* c
    cdef const unsigned char[::1] rest = body
    cdef Py_ssize_t at
    cdef int i
    if len(body) < _COUNTS.size:
        raise BadRecord("lengths differ from what the record says")
    (s.last, s.touched, s.calls, s.week_calls, s.week_seconds, s.week_at, s.week_new,
     s.parent, s.high) = _COUNTS.unpack_from(body)
    at = _COUNTS.size
    at = copy(s.learned, rest, at, sizeof(s.learned))
    at = copy(s.fits, rest, at, FITS * sizeof(Fit))
    at = copy(s.shares, rest, at, 2 * sizeof(Share))
    at = copy(&s.rate, rest, at, sizeof(Rate))
    for i in range(2):
        at = copy(&s.speakers[i].usual, rest, at, PLAIN_SPEAKERS)
        if not can_be_speakers(&s.speakers[i]):
            raise BadRecord("a number is not possible")
        if s.speakers[i].n:
            s.speakers[i].ring = <uint32_t*> calloc(SPEAKERS, sizeof(uint32_t))
            if s.speakers[i].ring == NULL:
                raise MemoryError
            at = copy(s.speakers[i].ring, rest, at, SPEAKERS * sizeof(uint32_t))
    for i in range(LEVEL_CHANNELS):
        if at + _WINDOW.size > rest.shape[0]:
            raise BadRecord("lengths differ from what the record says")
        there, n, capacity, first = _WINDOW.unpack_from(body, at)
        at += _WINDOW.size
        if not there:
            continue
        if capacity not in _CAPACITIES or n > capacity or first > (n - 1 if n == LEVELS else 0):
            raise BadRecord("lengths differ from what the record says")
        c = channel_of(s, i)
        if c == NULL:
            raise MemoryError
        at = copy(&c.waiting, rest, at, PLAIN_CHANNEL)
        if capacity:
            c.window.block = <int16_t*> calloc(2 * capacity, sizeof(int16_t))
            if c.window.block == NULL:
                raise MemoryError
            c.window.n, c.window.capacity, c.window.head = n, capacity, first
            at = copy(c.window.block, rest, at, n * 2)
            at = copy(c.window.block + <int> capacity, rest, at, n * 2)
        if not can_be_window(&c.window) or not can_be_channel(c):
            raise BadRecord("a number is not possible")
    if at != rest.shape[0]:
        raise BadRecord("lengths differ from what the record says")
    if not can_be_subject(s) or not can_be_rate(&s.rate, s.last // NS):
        raise BadRecord("a number is not possible")
    return 0


cdef Py_ssize_t copy(void* to, const unsigned char[::1] body, Py_ssize_t at,
                     Py_ssize_t size) except -1:
    """Copy `size` bytes out of the body; returns where the next part begins."""
    if at + size > body.shape[0]:
        raise BadRecord("lengths differ from what the record says")
    if size:
        memcpy(to, &body[at], size)
    return at + size


def _take_apart(record):
    record = memoryview(record)
    if len(record) < _HEAD.size + _SIZES.size + _OFFSET.size:
        raise BadRecord("the record is too short")
    magic, version, _, checksum = _HEAD.unpack_from(record)
    body = record[_HEAD.size:]
    if magic != MAGIC or version != VERSION or bytes(body[:_SIZES.size]) != _sizes():
        raise BadRecord(f"expected a subject record of version {VERSION}")
    if zlib.crc32(body, zlib.crc32(record[:8])) != checksum:
        raise BadRecord("checksum differs: the record is torn or changed")
    (offset,) = _OFFSET.unpack_from(body, _SIZES.size)
    at = _SIZES.size + _OFFSET.size
    names = []
    try:
        for _ in range(4):
            (length,) = _LENGTH.unpack_from(body, at)
            at += _LENGTH.size
            if length == _ABSENT:
                names.append(None)
                continue
            names.append(bytes(body[at:at + length]).decode())
            at += length
    except (struct.error, UnicodeDecodeError) as error:
        raise BadRecord("its names cannot be read") from error
    return tuple(names), offset, bytes(body[at:])
