# cython: cdivision=True
"""Which numbers a subject record can hold.

One that was written with care to do harm must not make the tests read or write elsewhere, add up
what is no number, or close buckets for hours.
"""
from libc.math cimport isfinite
from libc.stdint cimport int16_t, int64_t

from sentinel._core.calibration cimport (
    BLOCK, DENSE, EPOCH, EXCESSES, GUARD, OLDER, OWN, SUMS, Channel)
from sentinel._core.findings cimport CHANNELS
from sentinel._core.heights cimport PEAK_MEMORY, Height
from sentinel._core.levels cimport LEVELS, Levels
from sentinel._core.rates cimport (
    BUCKET_GRID, GRID, HOUR, HOURS, NS, OPEN_BUCKETS, SILENCE, WEEK, Rate)
from sentinel._core.residual cimport TERMS, is_sound
from sentinel._core.speakers cimport SPEAKERS, Speakers
from sentinel._core.subject cimport FITS, Subject
from sentinel._core.sums cimport ARMED, NO_TEST, Sum

cdef extern from *:
    """
    /* 2200-01-01, beyond which no event is admitted. */
    #define LAST_SECOND 7258118400LL
    #define CALLS_MAX (1LL << 60)
    """
    const int64_t LAST_SECOND
    const int64_t CALLS_MAX

cdef enum:
    # Numbers that stand together: from `closing` to `after_n`, from `calls` to `recent`.
    CHANNEL_REALS = 26
    SHARE_REALS = 9
    BLOCKS_MAX = 48
    PAIRS_MAX = 256
    COUNT_MAX = 1 << 30


cdef inline bint are_finite(const double* first, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if not isfinite(first[i]):
            return False
    return True


cdef inline bint can_be_sums(const Sum* first, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if not isfinite(first[i].value) or not (
                0 <= first[i].n < COUNT_MAX and 0 <= first[i].hits < COUNT_MAX):
            return False
    return True


cdef inline bint can_be_heights(const Height* first, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if not (isfinite(first[i].excess) and isfinite(first[i].top)
                and 0 <= first[i].peaks <= PEAK_MEMORY):
            return False
    return True


cdef inline bint can_be_window(const Levels* w) except -1:
    """Say whether both halves hold the same codes, the first in order of value."""
    cdef int i
    for i in range(1, w.n):
        if w.block[i - 1] > w.block[i]:
            return False
    return (w.n == 0 or sorted([(<int16_t*> w.block + w.capacity)[i] for i in range(w.n)])
            == [w.block[i] for i in range(w.n)])


cdef inline bint can_be_channel(const Channel* c) noexcept nogil:
    return (0 <= c.waiting_n <= GUARD and 0 <= c.waiting_at < GUARD
            and NO_TEST <= c.open <= DENSE and (c.open == NO_TEST or c.window.n >= ARMED)
            and 0 <= c.epoch_n < EPOCH and 0 <= c.epochs <= 1 + OLDER
            and 0 <= c.blocks <= BLOCKS_MAX and 0 <= c.pairs <= PAIRS_MAX
            and 0 <= c.block_n < BLOCK and 0 <= c.since_refresh < COUNT_MAX
            and 0 <= c.open_for < COUNT_MAX
            and 0 < c.tail_share <= 1 and 0 <= c.borrowed <= LEVELS and 0 <= c.own <= OWN
            and (c.borrowed == 0 or c.own < OWN) and 0 <= c.excess_n <= EXCESSES
            and 0 <= c.after <= c.after_n <= EXCESSES + 1
            and can_be_sums(c.sums, SUMS) and are_finite(&c.closing, CHANNEL_REALS))


cdef inline bint can_be_speakers(const Speakers* p) noexcept nogil:
    return (0 <= p.n <= SPEAKERS and 0 <= p.head < SPEAKERS
            and (p.n == SPEAKERS or p.head == p.n) and NO_TEST <= p.open <= 0
            and 0 <= p.quiet_for < COUNT_MAX and are_finite(p.usual, 2)
            and are_finite(&p.expected, 2))


cdef inline bint can_be_subject(const Subject* s) noexcept nogil:
    cdef int i
    for i in range(FITS):
        if not (0 <= s.fits[i].n < CALLS_MAX and is_sound(&s.fits[i])
                and are_finite(s.fits[i].theta, TERMS + TERMS * TERMS + 1)):
            return False
    for i in range(2):
        if not (can_be_sums(s.shares[i].sums, 2) and are_finite(&s.shares[i].calls, SHARE_REALS)
                and 0 <= s.shares[i].calls < COUNT_MAX
                and NO_TEST <= s.shares[i].open <= 0 and 0 <= s.shares[i].open_for < COUNT_MAX
                and 0 <= s.shares[i].since_refresh < COUNT_MAX
                and 0 <= s.shares[i].open_hits <= s.shares[i].open_for):
            return False
    for i in range(CHANNELS):
        if not 0 <= s.learned[i] < COUNT_MAX:
            return False
    return (0 <= s.last < LAST_SECOND * NS and 0 <= s.week_at < LAST_SECOND * NS
            and 0 <= s.touched < (LAST_SECOND + WEEK * HOUR) * NS and 0 <= s.calls < CALLS_MAX
            and 0 <= s.parent <= 2 and 0 <= s.week_new < COUNT_MAX
            and are_finite(&s.week_calls, 2) and isfinite(s.high))


cdef inline bint can_be_length(int64_t length) noexcept nogil:
    """Say whether a bucket can be so long; 0: its length is not chosen yet."""
    cdef int i
    for i in range(GRID):
        if length == BUCKET_GRID[i]:
            return True
    return length == 0


cdef inline bint can_be_rate(const Rate* r, int64_t last) noexcept nogil:
    """Say whether a rate is possible; `last`: second of the last call."""
    cdef int i
    for i in range(OPEN_BUCKETS):
        if not 0 <= r.counts[i] < COUNT_MAX:
            return False
    for i in range(WEEK):
        if not isfinite(r.week[i]) or not isfinite(r.day[i % HOURS]):
            return False
    return (can_be_length(r.length)
            and -1 <= r.bucket <= LAST_SECOND and r.bucket * r.length <= LAST_SECOND
            # Fewer than a week's buckets are due.
            and (r.bucket < 0 or r.length == 0 or r.bucket * r.length > last - WEEK * HOUR)
            and 0 <= r.since <= LAST_SECOND and 0 <= r.silent_from <= LAST_SECOND
            and 0 <= r.longest[1] <= r.longest[0] <= LAST_SECOND
            and 0 <= r.calls < CALLS_MAX and 0 < r.next_choice < CALLS_MAX
            and 0 <= r.run_calls < CALLS_MAX and 0 <= r.run_buckets < CALLS_MAX
            and -1 <= r.hour <= LAST_SECOND and 0 <= r.hour_seconds <= 2 * HOUR
            and -1 <= r.buckets < COUNT_MAX and 0 <= r.blocks < COUNT_MAX and 0 <= r.block_n < 4
            and 0 <= r.open_for < COUNT_MAX and NO_TEST <= r.open <= SILENCE
            and can_be_sums(r.sums, 2) and can_be_heights(r.heights, 2) and are_finite(&r.level, 6)
            and are_finite(&r.run_expected, 3))
