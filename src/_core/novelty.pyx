# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""One series that is judged by its novelty, and its state as bytes.

Record, little-endian (docs/formats/novelty-record.md): a head of 12 bytes (`SNTN`, version u16, 0
u16, CRC-32 of everything else u32), then samples i64, origin, level, low, high f64, habit, peak
f64, calm samples i64, open u8, the six streams (samples, maxima i64, total, top, last, mean,
variance f64), the recent means, 248 f64, and for each scale the number of its blocks u16 and the
blocks, f32 each, oldest first.
"""
import struct
import zlib

import numpy as np

from libc.math cimport exp, isfinite
from libc.stdlib cimport free
from libc.string cimport memcpy

from sentinel._core.window cimport tame

VERSION = 1
_HEAD = struct.Struct("<4sHHI")
_BODY = struct.Struct("<q4d2dqB")
_STREAM = struct.Struct("<2q5d")
_COUNT = struct.Struct("<H")


class BadRecord(ValueError):
    """The bytes are no whole record of this version."""


cdef class Novelty:
    """Judges one series, sample by sample: how unlike all of its own past is the last stretch?

    Values beyond 1e100 in size count as 1e100, those below 1e-100 as 0.  A sample costs a few
    microseconds, without the GIL; a series takes 2 kB and 4 bytes a block that it remembers, 18 kB
    in all.

    Examples
    --------
    >>> wave = np.sin(np.arange(3000) / 20)
    >>> wave[2000] = 3.0
    >>> np.flatnonzero(Novelty().score(wave) >= 1).tolist()
    [2000]
    """

    cdef State state
    cdef readonly double statistic
    """Mean surprise of the sample that was scored last by this object, 0 before one."""

    def __dealloc__(self):
        cdef int j
        for j in range(SCALES):
            free(self.state.shapes[j].blocks)

    @property
    def samples(self):
        """How many samples it has seen."""
        return self.state.samples

    @property
    def limit(self):
        """The threshold that this sample was held against, raised by habit."""
        return self.state.episode.limit

    def score(self, const double[::1] values not None, double threshold=0.85):
        """Judge the next samples of the series, each against what came before it.

        Parameters
        ----------
        values : float64[n]
        threshold : float
            Mean surprise at which a series that has been calm so far alarms.

        Returns
        -------
        float64[n]
            At least 1 where an alarm is raised, which is one sample an episode (and one more
            where it becomes three times as bad), less than 1 elsewhere.

        Raises
        ------
        ValueError
            A value is not finite, or the threshold not above 0; then nothing has been judged.
        """
        cdef Py_ssize_t i, n = values.shape[0]
        cdef double found
        if not threshold > 0:
            raise ValueError("expected a threshold above 0")
        for i in range(n):
            if not isfinite(values[i]):
                raise ValueError(f"value {i} is not finite")
        scores = np.empty(n)
        cdef double[::1] out = scores
        cdef bint full = False
        with nogil:
            found = self.statistic
            for i in range(n):
                if novelty_step(&self.state, tame(values[i]), &found) < 0:
                    full = True
                    break
                out[i] = alarm_step(&self.state.episode, found, threshold)
        if full:
            raise MemoryError
        self.statistic = found
        return scores

    def remembered(self):
        """Return the last samples, at most 700, as the shapes of the finest scale keep them."""
        cdef const Shapes* finest = &self.state.shapes[0]
        cdef int i, have = min(finest.kept, MEMORY)
        samples = np.empty(have)
        cdef double[::1] out = samples
        for i in range(have):
            out[i] = self.state.origin + finest.blocks[finest.kept - have + i]
        return samples

    def save(self):
        """Return everything that the next sample is judged by, as bytes."""
        cdef const State* s = &self.state
        cdef const Stream* stream
        cdef int j, have
        body = bytearray(_BODY.pack(
            s.samples, s.origin, s.level, s.low, s.high,
            s.episode.habit, s.episode.peak, s.episode.calm_for, s.episode.open))
        for j in range(SCALES + 1):
            stream = &s.streams[j]
            body += _STREAM.pack(stream.samples, stream.maxima, stream.total, stream.top,
                                 stream.last, stream.mean, stream.variance)
        body += (<const char*> s.recent)[:RECENT * sizeof(double)]
        for j in range(SCALES):
            have = min(s.shapes[j].kept, MEMORY)
            body += _COUNT.pack(have)
            if have:
                body += (<char*> (s.shapes[j].blocks + s.shapes[j].kept - have))[
                    :have * sizeof(float)]
        head = _HEAD.pack(b"SNTN", VERSION, 0, 0)
        return head[:-4] + _checksum(head, body).to_bytes(4, "little") + bytes(body)

    @staticmethod
    def load(const unsigned char[::1] record not None):
        """Return the series that `save` was called on.

        Raises
        ------
        BadRecord
            It is torn, or not a record of this version.
        """
        fields, streams, recent, blocks = _take_apart(record)
        cdef Novelty series = Novelty()
        cdef State* s = &series.state
        cdef Stream* stream
        cdef const double[::1] means = recent
        cdef const float[::1] of_scale
        cdef int j
        cdef Py_ssize_t i
        (s.samples, s.origin, s.level, s.low, s.high,
         s.episode.habit, s.episode.peak, s.episode.calm_for, s.episode.open) = fields
        for j in range(SCALES + 1):
            stream = &s.streams[j]
            (stream.samples, stream.maxima, stream.total, stream.top, stream.last, stream.mean,
             stream.variance) = streams[j]
            stream.usual = exp(stream.mean) if stream.maxima else 0
        memcpy(s.recent, &means[0], RECENT * sizeof(double))
        for j in range(SCALES):
            of_scale = blocks[j]
            for i in range(of_scale.shape[0]):
                if remember(&s.shapes[j], of_scale[i]) < 0:
                    raise MemoryError
        return series


def _checksum(head, body):
    return zlib.crc32(body, zlib.crc32(head[:8]))


def _take_apart(record):
    record = memoryview(record)
    if len(record) < _HEAD.size:
        raise BadRecord(f"expected at least {_HEAD.size} bytes, got {len(record)}")
    magic, version, _, checksum = _HEAD.unpack_from(record)
    if magic != b"SNTN" or version != VERSION:
        raise BadRecord(f"expected a novelty record of version {VERSION}")
    body = bytes(record[_HEAD.size:])
    if _checksum(bytes(record[:_HEAD.size]), body) != checksum:
        raise BadRecord("checksum differs: the record is torn or changed")
    blocks = []
    try:
        fields = _BODY.unpack_from(body)
        at = _BODY.size
        streams = [_STREAM.unpack_from(body, at + j * _STREAM.size) for j in range(SCALES + 1)]
        at += (SCALES + 1) * _STREAM.size
        recent = np.frombuffer(body, "<f8", RECENT, at)
        at += RECENT * 8
        for _ in range(SCALES):
            (count,) = _COUNT.unpack_from(body, at)
            blocks.append(np.frombuffer(body, "<f4", count, at + _COUNT.size))
            at += _COUNT.size + 4 * count
    except (struct.error, ValueError) as error:
        raise BadRecord("lengths differ from what the record says") from error
    _check(fields, streams, recent, blocks)
    if at != len(body):
        raise BadRecord("lengths differ from what the record says")
    return fields, streams, np.array(recent), [np.array(of_scale) for of_scale in blocks]


def _check(fields, streams, recent, blocks):
    """Refuse what no series can have come to: the next step trusts these numbers."""
    samples = fields[0]
    counts = [min(samples >> j, MEMORY) for j in range(SCALES)]
    if samples < 0 or [len(of_scale) for of_scale in blocks] != counts:
        raise BadRecord("blocks do not fit the number of samples")
    numbers = [*fields, *(number for stream in streams for number in stream)]
    if not (np.isfinite(numbers).all() and np.isfinite(recent).all()
            and all(np.isfinite(of_scale).all() for of_scale in blocks)):
        raise BadRecord("a number is not finite")
    if any(not 0 <= s[0] <= samples or s[1] != s[0] // MAXIMUM_OF for s in streams):
        raise BadRecord("streams do not fit the number of samples")
