# cython: cdivision=True
"""Who speaks: one user, or one session, that takes far more of the calls than its share.

A ring holds the speakers of the last thousand calls, as hashes.  The evidence of the one who speaks
is m KL(c/m || p) over the last 64 and the last 16 calls, where c of m are his and p is what may be
expected of him: his share of the calls before those, at its upper end, but no less than two in a
hundred, nor than twice the usual share of whoever speaks (people come in sessions).
"""
from libc.math cimport log, sqrt
from libc.stdint cimport int32_t, uint32_t, uint64_t

from sentinel._core.sums cimport ARMED, NO_TEST, Moment, Said, say_nothing

cdef extern from *:
    """
    /* A scan over all speakers and positions looks more than once: that many nats more. */
    #define SCAN_NATS 3.0
    #define EXPECTED_LEAST 0.02
    #define USUAL_MEMORY 2000.0
    """
    const double SCAN_NATS
    const double EXPECTED_LEAST
    const double USUAL_MEMORY

cdef enum:
    SPEAKERS = 1000
    MIDDLE = 64             # calls of the longer scan
    SHORT = 16              # and of the shorter one
    MIDDLE_LEAST = 10
    SHORT_LEAST = 6
    SPEAKER = 0

cdef struct Speakers:
    # After the ring nothing is padded: a record holds it as it lies.
    uint32_t* ring
    double[2] usual         # share of the last 64 and 16 calls that is the speaker's, mean
    uint64_t who            # the one that opened
    int32_t n
    int32_t head
    int32_t quiet_for
    int32_t hits            # of the window that opened
    int32_t hits_of
    int32_t open
    double expected
    double nats             # evidence at the last call


cdef inline int count_back(const Speakers* s, uint32_t who, int first, int last) noexcept nogil:
    """Count the calls of one speaker among those `first` to `last` - 1 calls ago, 0 the newest."""
    cdef int count = 0, i, at = s.head - last
    cdef const uint32_t* ring = s.ring
    if at < 0:
        at += SPEAKERS
    cdef int end = at + last - first
    cdef int wrap = end - SPEAKERS
    if wrap > 0:
        for i in range(wrap):
            count += ring[i] == who
        end = SPEAKERS
    for i in range(at, end):
        count += ring[i] == who
    return count


cdef inline double surplus(int count, int of, double expected) noexcept nogil:
    """Return of * KL(count / of || expected), 0 where the count is not above the expected."""
    cdef double f = count / <double> of
    if f <= expected:
        return 0.0
    if count == of:
        return -of * log(expected)
    return of * (f * log(f / expected) + (1 - f) * log((1 - f) / (1 - expected)))


cdef inline void speakers_step(Speakers* s, uint32_t who, double high, bint off, const Moment* at,
                               Said* said) noexcept nogil:
    """Judge who speaks now."""
    cdef int[2] count
    cdef int[2] of
    cdef int[2] least
    cdef int before, i
    cdef double expected, usual, best = 0, nats
    say_nothing(said)
    of[0], of[1] = MIDDLE, SHORT
    least[0], least[1] = MIDDLE_LEAST, SHORT_LEAST
    s.ring[s.head] = who
    s.head = s.head + 1 if s.head + 1 < SPEAKERS else 0
    s.n += s.n < SPEAKERS
    if s.n <= MIDDLE:
        return
    count[1] = count_back(s, who, 0, SHORT)
    count[0] = count[1] + count_back(s, who, SHORT, MIDDLE)
    before = s.n - MIDDLE
    if s.n >= ARMED + MIDDLE and (count[0] >= MIDDLE_LEAST or count[1] >= SHORT_LEAST):
        expected = (count_back(s, who, MIDDLE, s.n) + 1.0) / (before + 50.0)
        if expected < EXPECTED_LEAST:
            expected = EXPECTED_LEAST
        expected += sqrt(expected * (1 - expected) / before)
        for i in range(2):
            usual = 2 * s.usual[i] if s.usual[i] < 0.25 else 0.5
            if count[i] < least[i]:
                continue
            nats = surplus(count[i], of[i], usual if usual > expected else expected) - SCAN_NATS
            if nats > best:
                best = nats
                if s.open == NO_TEST:
                    s.hits = count[i]
                    s.hits_of = of[i]
                    s.expected = expected
    if best < 0.5 * high:
        for i in range(2):
            nats = (count[i] - 1.0) / (of[i] - 1.0) - s.usual[i]
            s.usual[i] += nats / (before if s.n < ARMED + MIDDLE else USUAL_MEMORY)
    s.nats = said.statistic = best
    said.hits, said.hits_of = s.hits, s.hits_of
    if s.open == NO_TEST:
        if best >= high and not off:
            s.open = SPEAKER
            s.who = who
            s.quiet_for = 0
            said.opened = SPEAKER
            said.since = at[0]
    else:
        s.quiet_for = 0 if best >= 0.5 * high else s.quiet_for + 1
        if s.quiet_for >= MIDDLE:
            s.open = NO_TEST
            said.closed = 1
