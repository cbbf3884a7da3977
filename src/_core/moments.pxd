# cython: cdivision=True
"""Mean and standard deviation of a sliding window, stable while samples leave.

Sums of (x - pivot) and its square are carried along and made anew from the window, in two passes
about a fresh pivot, when the ring wraps and whenever carrying them has cost digits.  Two signs
tell: the spread fell to a thousandth of what it was since the sums were last made (what left was
far larger than what stayed, so the difference of sums is mostly rounding), or the mean moved so far
from the pivot that its square outweighs the spread.  The relative error of the standard deviation
stays below 1e-9 where plain sums, and Welford's update with its downdate, lose every digit
(bench/core and tests/property hold both to it).
"""
from libc.math cimport sqrt

from sentinel._core.window cimport Ranks, Window, ring_of

cdef enum:
    # (mean - pivot)^2 may outweigh the variance this many times: six bits of the 53.
    PIVOT_RATIO = 64

cdef extern from *:
    """
    #define SPREAD_FALL 1e-3            /* ten bits of the 53 */
    """
    const double SPREAD_FALL

cdef struct Moments:
    double pivot
    double sum              # of x - pivot
    double squares          # of (x - pivot)^2
    double floor            # make the sums anew when the spread falls below this


cdef inline double mean_of(const Moments* m, const Ranks* r) noexcept nogil:
    """Return the mean."""
    return m.pivot + m.sum * r.per_n


cdef inline double distance_of(const Moments* m, const Ranks* r, double x) noexcept nogil:
    """Return x - mean without rounding the mean first: exact where both are large and close."""
    return (x - m.pivot) - m.sum * r.per_n


cdef inline double deviation_of(const Moments* m, const Ranks* r) noexcept nogil:
    """Return the standard deviation (n - 1) of samples that are not all equal."""
    cdef double spread = m.squares - m.sum * m.sum * r.per_n
    return sqrt(spread * r.per_n_less_1) if spread > 0 else 0.0


cdef inline void add_sample(Moments* m, double x) noexcept nogil:
    """Count one sample more."""
    cdef double y = x - m.pivot
    m.sum += y
    m.squares += y * y


cdef inline void make_anew(Moments* m, const Window* w) noexcept nogil:
    """Make the sums from the window's samples, about their mean.

    The first pass is about the median: about an older pivot it would lose every digit where that
    still carries an outlier, now gone, that was a power of ten beyond what a double resolves.
    """
    cdef const double* ring = ring_of(w)
    cdef int n = w.n
    cdef double even = 0, odd = 0, even_squares = 0, odd_squares = 0, y, u
    cdef double mean = w.block[n >> 1]
    cdef int i
    for i in range(0, n - 1, 2):            # two chains of additions run side by side
        even += ring[i] - mean
        odd += ring[i + 1] - mean
    if n & 1:
        even += ring[n - 1] - mean
    mean += (even + odd) / n
    even = odd = 0
    for i in range(0, n - 1, 2):
        y = ring[i] - mean
        u = ring[i + 1] - mean
        even += y
        odd += u
        even_squares += y * y
        odd_squares += u * u
    if n & 1:
        y = ring[n - 1] - mean
        even += y
        even_squares += y * y
    m.pivot = mean
    m.sum = even + odd
    m.squares = even_squares + odd_squares
    m.floor = m.squares * SPREAD_FALL


cdef inline void swap_sample(Moments* m, const Window* w, const Ranks* r, double old,
                             double x) noexcept nogil:
    """Count x in and `old` out of a full window that already holds x."""
    cdef double y = x - m.pivot
    cdef double y_old = old - m.pivot
    cdef double difference = y - y_old
    cdef double offset, spread
    m.sum += difference
    m.squares += difference * (y + y_old)
    offset = m.sum * m.sum * r.per_n
    spread = m.squares - offset
    if w.head == 0 or not (spread >= m.floor and offset <= PIVOT_RATIO * spread):
        make_anew(m, w)
    elif spread * SPREAD_FALL > m.floor:
        m.floor = spread * SPREAD_FALL
