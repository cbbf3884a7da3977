# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""What came of a batch, and what a series looks like now, as Python reads it."""
import numpy as np

from libc.math cimport NAN, fabs
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t

from sentinel._core.bank cimport Bank
from sentinel._core.outcome cimport Verdict
from sentinel._core.step cimport VOTE_IQR, VOTE_MAD, VOTE_ZSCORE, Rules, Series
from sentinel._core.summary cimport Summary, TURN_FENCE, TURN_LOAD, word_load
from sentinel._core.window cimport ring_of

cdef enum:
    SCORE_MAX = 1000        # of statistic / threshold, and the score of what has no scale
    VOTERS = 4              # detectors, in the order of their bits


cpdef double score_of(double statistic, double threshold) noexcept nogil:
    """Return |statistic| / threshold held to 1000; 1000 for NaN (no spread) and for threshold 0.

    >>> score_of(-4.5, 3.0), score_of(float("nan"), 3.0)
    (1.5, 1000.0)
    """
    cdef double score = fabs(statistic) / threshold if threshold > 0 else SCORE_MAX
    return score if score < SCORE_MAX else <double> SCORE_MAX


def votes(Bank bank not None):
    """Return the votes of the last batch that fired, ordered by event, metric and detector.

    event : int64[n]
    slot : int32[n]
    metric, detector : int8[n]
    samples : int64[n]
        Of the baseline.
    numbers : float64[n, 10]
        Value, statistic, threshold, score, z, mean, standard deviation, median, and the bounds of
        what this detector would have let pass.  Statistic and z are NaN where the baseline has no
        spread; so are the bounds of CUSUM, which are not those of one sample.
    """
    cdef Py_ssize_t i, n = 0, at = 0
    cdef int detector, bits
    cdef const Verdict* v
    cdef const Rules* r = &bank.rules
    for i in range(bank.out.verdict_count):
        bits = bank.out.verdicts[bank.out.order[i]].votes
        while bits:
            n += 1
            bits &= bits - 1
    event, slot, samples = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n, np.int64)
    codes, numbers = np.empty((2, n), np.int8), np.empty((n, 10))
    cdef int64_t[::1] of_event = event, of_samples = samples
    cdef int32_t[::1] of_slot = slot
    cdef int8_t[:, ::1] of_codes = codes
    cdef double[:, ::1] number = numbers
    cdef double* row
    for i in range(bank.out.verdict_count):
        v = &bank.out.verdicts[bank.out.order[i]]
        for detector in range(VOTERS):
            if not v.votes >> detector & 1:
                continue
            of_event[at], of_slot[at], of_samples[at] = v.event, v.slot, v.n
            of_codes[0, at], of_codes[1, at] = bank.at(v.slot).metric, detector
            row = &number[at, 0]
            row[0] = v.value
            read_vote(v, r, detector, row)
            row[3] = score_of(row[1], row[2])
            row[4], row[5], row[6], row[7] = v.z, v.mean, v.deviation, v.median
            at += 1
    return event, slot, codes[0], codes[1], samples, numbers


cdef inline void read_vote(const Verdict* v, const Rules* r, int detector,
                           double* row) noexcept nogil:
    """Put statistic and threshold of one detector into their places, and its bounds."""
    cdef double width
    if 1 << detector == VOTE_ZSCORE:
        width = r.zscore * v.deviation
        row[1], row[2], row[8], row[9] = v.z, r.zscore, v.mean - width, v.mean + width
    elif 1 << detector == VOTE_IQR:
        width = r.iqr * (v.q3 - v.q1)
        row[1], row[2], row[8], row[9] = v.iqr, r.iqr, v.q1 - width, v.q3 + width
    elif 1 << detector == VOTE_MAD:
        width = r.mad * v.spread / 0.6745
        row[1], row[2], row[8], row[9] = v.mad, r.mad, v.median - width, v.median + width
    else:
        row[1], row[2], row[8], row[9] = v.cusum, r.cusum, NAN, NAN


def verdicts(Bank bank not None):
    """Return the verdicts of the last batch as columns, in the order of its samples.

    There is one for each sample that fired, or whose event is watched.  `sample` (of its run),
    `event`, `slot`, `metric`, `n` (samples of the baseline), `votes` and `voters` (bits: zscore 1,
    iqr 2, mad 4, cusum 8), `value`, the statistics `zscore`, `iqr`, `mad`, `cusum` (NaN: no spread,
    and another value), and the baseline: `mean`, `stddev`, `q1`, `median`, `q3`, `spread` (the
    MAD).
    """
    cdef Py_ssize_t i, n = bank.out.verdict_count
    cdef const Verdict* v
    whole = np.empty((5, n), np.int32)
    bits = np.empty((2, n), np.uint8)
    real = np.empty((11, n), np.float64)
    cdef int32_t[:, ::1] w = whole
    cdef uint8_t[:, ::1] b = bits
    cdef double[:, ::1] r = real
    for i in range(n):
        v = &bank.out.verdicts[bank.out.order[i]]
        w[0, i] = v.sample
        w[1, i] = v.event
        w[2, i] = v.slot
        w[3, i] = v.n
        w[4, i] = bank.at(v.slot).metric
        b[0, i] = v.votes
        b[1, i] = v.voters
        r[0, i] = v.value
        r[1, i] = v.z
        r[2, i] = v.iqr
        r[3, i] = v.mad
        r[4, i] = v.cusum
        r[5, i] = v.mean
        r[6, i] = v.deviation
        r[7, i] = v.q1
        r[8, i] = v.median
        r[9, i] = v.q3
        r[10, i] = v.spread
    columns = dict(zip(("sample", "event", "slot", "n", "metric"), whole))
    columns.update(zip(("votes", "voters"), bits))
    columns.update(zip(("value", "zscore", "iqr", "mad", "cusum", "mean", "stddev", "q1", "median",
                        "q3", "spread"), real))
    return columns


def summary(Bank bank not None, int32_t slot):
    """Return (n, mean, stddev, q1, median, q3, mad, p95, p99) of a series' window.

    Safe from any thread while another judges: all nine belong to one moment.  None where the slot
    holds no samples.
    """
    cdef const Summary* p
    cdef uint32_t turn
    cdef int n
    cdef double mean, deviation, q1, median, q3, mad, p95, p99
    if not 0 <= slot < bank.reached:
        raise IndexError(f"slot {slot} holds no series")
    p = bank.summary_at(slot)
    with nogil:
        while True:
            turn = TURN_LOAD(p)
            if turn & 1:
                continue
            n = p.n
            mean = word_load(&p.mean)
            deviation = word_load(&p.deviation)
            q1 = word_load(&p.q1)
            median = word_load(&p.median)
            q3 = word_load(&p.q3)
            mad = word_load(&p.mad)
            p95 = word_load(&p.p95)
            p99 = word_load(&p.p99)
            TURN_FENCE()
            if TURN_LOAD(p) == turn:
                break
    return (n, mean, deviation, q1, median, q3, mad, p95, p99) if n else None


def samples(Bank bank not None, int32_t slot):
    """Return the window's samples, oldest first, as float64[n].  For the judging thread only."""
    cdef Series* s
    cdef Py_ssize_t i
    cdef int start
    if not 0 <= slot < bank.reached:
        raise IndexError(f"slot {slot} holds no series")
    s = bank.at(slot)
    out = np.empty(s.window.n, np.float64)
    cdef double[::1] view = out
    start = s.window.head if s.window.n == bank.rules.size else 0
    for i in range(s.window.n):
        view[i] = ring_of(&s.window)[(start + i) % s.window.n]
    return out


def last_of(Bank bank not None, int32_t slot):
    """Return T at the last sample of a series."""
    if not 0 <= slot < bank.reached:
        raise IndexError(f"slot {slot} holds no series")
    return bank.at(slot).last
