# cython: cdivision=True
"""Sums of log-likelihood ratios, and what a step of a test says.

S = max(0, S + l) over samples, held below a cap so that what is over can be seen to be over.

References
----------
Lorden, G. (1971), Procedures for Reacting to a Change in Distribution, Annals of Mathematical
Statistics 42(6): with calibrated ratios, S reaches H by chance at a sample with a probability of at
most exp(-H).
"""
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memset

cdef extern from *:
    """
    /* Evidence that it is over: exp(-4) is one chance in 55 of closing a test too early. */
    #define CLOSING 4.0
    #define EVIDENCE_CAP 1.5
    """
    const double CLOSING
    const double EVIDENCE_CAP

cdef enum:
    ARMED = 100             # samples before anything is judged
    LASTING = 400           # samples after which a shift is the new normal
    NO_TEST = -1

cdef struct Moment:
    # Where a sample stands: its time, and its position in the log.
    int64_t time
    int64_t offset
    int64_t index

cdef struct Sum:
    # One CUSUM, and the samples since it last left zero.
    double value
    Moment since
    int32_t n
    int32_t hits            # those that added to it

cdef struct Said:
    # What a step of a channel, of shares or of buckets says.
    int8_t opened           # test that opened, or NO_TEST
    int8_t closed           # 1: over; 2: lasting, accepted
    bint alone              # a single call: told, and nothing stays open
    double statistic
    double single           # -ln p of this call beyond the record, else 0
    double record           # what a single call has beaten
    Moment since
    int32_t hits
    int32_t hits_of


cdef inline void say_nothing(Said* said) noexcept nogil:
    memset(said, 0, sizeof(Said))
    said.opened = NO_TEST


cdef inline void add_to(Sum* s, double ratio, double cap, const Moment* at) noexcept nogil:
    """Add one log-likelihood ratio; a sum lies between 0 and its cap."""
    if s.value <= 0:
        s.since = at[0]
        s.n = s.hits = 0
    s.value += ratio
    s.n += 1
    s.hits += ratio > 0
    if s.value < 0:
        s.value = 0
    elif s.value > cap:
        s.value = cap
