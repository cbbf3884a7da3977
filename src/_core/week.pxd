# cython: cdivision=True
"""How often a service speaks, and so how much evidence its tests must have.

A likelihood-ratio CUSUM over calibrated scores raises a false alarm at a sample with a probability
of at most exp(-H), so H = max(10, ln(calls a week x tests / allowed)).  Calls and seconds are
counted with forgetting over a week, and looked at every 64 calls.

References
----------
Lorden, G. (1971), Procedures for Reacting to a Change in Distribution, Annals of Mathematical
Statistics 42(6).
"""
from libc.math cimport exp, log
from libc.stdint cimport int64_t

from sentinel._core.rates cimport NS
from sentinel._core.subject cimport Laws, Subject

cdef extern from *:
    """
    #define WEEK_SECONDS 604800.0
    #define THRESHOLD_LEAST 10.0
    /* Tests of a service with two models: what one allowance is shared among. */
    #define TESTS_A_SERVICE 22.0
    """
    const double WEEK_SECONDS
    const double THRESHOLD_LEAST
    const double TESTS_A_SERVICE

cdef enum:
    WEEK_CALLS = 64         # calls between two looks at how often a service speaks


cdef inline double first_threshold(const Laws* laws) noexcept nogil:
    """Return the threshold before it is known how often a service speaks."""
    return (laws.fixed if laws.fixed > 0 else THRESHOLD_LEAST) - laws.lean


cdef inline void learn_week(Subject* s, const Laws* laws, int64_t clock) noexcept nogil:
    """Count a call of a service, and set its threshold from how often it speaks."""
    cdef double seconds, keep, high = laws.fixed
    s.week_new += 1
    if s.week_at == 0:
        s.week_at = clock
    if s.week_new < WEEK_CALLS:
        return
    seconds = (clock - s.week_at) / <double> NS
    keep = exp(-seconds / WEEK_SECONDS)
    s.week_calls = s.week_calls * keep + s.week_new
    s.week_seconds = s.week_seconds * keep + seconds
    s.week_new = 0
    s.week_at = clock
    if high <= 0:
        seconds = s.week_seconds if s.week_seconds > 1 else 1
        high = log(s.week_calls / seconds * WEEK_SECONDS * TESTS_A_SERVICE / laws.allowed)
        if high < THRESHOLD_LEAST:
            high = THRESHOLD_LEAST
    s.high = high - laws.lean
