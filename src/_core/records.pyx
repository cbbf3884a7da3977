# cython: language_level=3, embedsignature=True
"""Series records: everything a series' next step reads, as bytes.

Layout, little-endian (docs/formats/series-record.md): a head of 12 bytes (`SNTS`, version u16,
metric u8, 0 u8, CRC-32 of everything else u32), then the body: offset at which the series stands
i64, T of its last sample i64, window size, n, head i32, moments and CUSUM 6 f64, tenant,
environment, service and model each as u16 length and UTF-8, and the n samples as they lie in the
ring, f64 each.
"""
import struct
import zlib

import numpy as np

from libc.stdint cimport int32_t

from sentinel._core.bank cimport Bank
from sentinel._core.moments cimport make_anew
from sentinel._core.step cimport METRICS, Series
from sentinel._core.summary cimport publish
from sentinel._core.window cimport append, grow, ring_of, tame

VERSION = 2
_HEAD = struct.Struct("<4sHBBI")
_BODY = struct.Struct("<qqiii6d")
_LENGTH = struct.Struct("<H")


class BadRecord(ValueError):
    """The bytes are no whole record of this version."""


def save(Bank bank not None, int32_t slot, key, long long offset):
    """Return the record of a series that has seen every event below `offset`."""
    cdef Series* s
    if not 0 <= slot < bank.reached or not bank.at(slot).live:
        raise IndexError(f"slot {slot} holds no series")
    s = bank.at(slot)
    body = bytearray(_BODY.pack(
        offset, s.last, bank.rules.size, s.window.n, s.window.head,
        s.moments.pivot, s.moments.sum, s.moments.squares, s.moments.floor,
        s.cusum.up, s.cusum.down))
    for name in key:
        text = name.encode()
        body += _LENGTH.pack(len(text)) + text
    if s.window.n:
        body += (<char*> ring_of(&s.window))[:s.window.n * sizeof(double)]
    head = _HEAD.pack(b"SNTS", VERSION, s.metric, 0, 0)
    return head[:-4] + _checksum(head, body).to_bytes(4, "little") + bytes(body)


def read(const unsigned char[::1] record):
    """Return (key, metric, offset, n) of a record without loading it.

    Raises
    ------
    BadRecord
        It is torn, or not a record of this version.
    """
    key, metric, fields, _ = _take_apart(record)
    return key, metric, fields[0], fields[3]


def load(Bank bank not None, int32_t slot, const unsigned char[::1] record, bint window_only=False):
    """Fill an open, empty series from a record; returns the offset at which it stands.

    A record of another window size keeps the newest samples that fit.

    Raises
    ------
    BadRecord
        It is torn, or not a record of this version.
    """
    cdef Series* s
    cdef Py_ssize_t i
    cdef int size = bank.rules.size
    if not 0 <= slot < bank.reached or not bank.at(slot).live or bank.at(slot).window.n:
        raise IndexError(f"slot {slot} holds no empty series")
    _, metric, fields, ring = _take_apart(record)
    offset, last, size_then, n, head, pivot, total, squares, floor, up, down = fields
    s = bank.at(slot)
    if metric != s.metric:
        raise BadRecord(f"expected a record of metric {s.metric}, got {metric}")
    cdef const double[::1] values = ring
    if size_then != size:
        start = head if n == size_then else 0
        newest = np.roll(ring, -start)[-size:]
        values = np.ascontiguousarray(newest)
    for i in range(values.shape[0]):
        if s.window.n == s.window.capacity and grow(&s.window, size) < 0:
            raise MemoryError
        append(&s.window, size, tame(values[i]))
    # Alone a window is of no time: it would be idle where T is weeks after it was made.
    s.last = 0 if window_only else last
    s.cusum.up = up
    s.cusum.down = down
    if size_then != size:
        if s.window.n:
            make_anew(&s.moments, &s.window)
    else:
        s.window.head = head
        s.moments.pivot = pivot
        s.moments.sum = total
        s.moments.squares = squares
        s.moments.floor = floor
    publish(bank.summary_at(slot), &s.window, &s.moments)
    return offset


def _checksum(head, body):
    return zlib.crc32(body, zlib.crc32(head[:8]))


def _take_apart(record):
    record = memoryview(record)
    if len(record) < _HEAD.size + _BODY.size:
        raise BadRecord(f"expected at least {_HEAD.size + _BODY.size} bytes, got {len(record)}")
    magic, version, metric, _, checksum = _HEAD.unpack_from(record)
    if magic != b"SNTS" or version != VERSION:
        raise BadRecord(f"expected a series record of version {VERSION}")
    body = record[_HEAD.size:]
    if _checksum(record[:_HEAD.size], body) != checksum:
        raise BadRecord("checksum differs: the record is torn or changed")
    fields = _BODY.unpack_from(body)
    at = _BODY.size
    names = []
    try:
        for _ in range(4):
            (length,) = _LENGTH.unpack_from(body, at)
            at += _LENGTH.size
            names.append(bytes(body[at:at + length]).decode())
            at += length
    except (struct.error, UnicodeDecodeError) as error:
        raise BadRecord("its names cannot be read") from error
    if (len(body) - at) % 8:
        raise BadRecord("lengths differ from what the record says")
    # A copy: names of any length leave the samples where a double may not stand.
    ring = np.frombuffer(bytes(body[at:]), "<f8")
    size, n, head = fields[2:5]
    if (metric >= METRICS or len(ring) != n or not 0 <= n <= size
            or not (0 <= head < n if n == size else head == n)):
        raise BadRecord("lengths differ from what the record says")
    if not (np.isfinite(ring).all() and np.isfinite(fields[5:11]).all()):
        raise BadRecord("a number is not finite")
    return tuple(names), metric, fields, ring
