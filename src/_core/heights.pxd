# cython: cdivision=True
"""How high a sum of evidence rises by itself: what one nat of it is worth.

Where a test's model fits, the peaks of its sum beyond any height are exponential with a mean of one
nat, and H nats are as rare as exp(-H).  Where neighbours resemble each other, or what is usual
wanders, all peaks are higher by one factor: their mean excess.  The sum divided by it is rare again
as it should be.  An excursion that opened a test says nothing of what happens by itself.

References
----------
Siegmund, D. (1985), Sequential Analysis, Springer: the maximum of a random walk with negative drift
is exponential in its tail, with a rate that is 1 for log-likelihood ratios.
"""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    /* Lower peaks are of one or two samples, and no tail yet. */
    #define PEAK_LEAST 3.0
    /* So many peaks with a mean excess of 1 stand for what is promised. */
    #define PEAK_PRIOR 4
    #define PEAK_MEMORY 64
    """
    const double PEAK_LEAST
    const int PEAK_PRIOR
    const int PEAK_MEMORY

cdef struct Height:
    double excess           # mean of the peaks beyond PEAK_LEAST
    double top              # of the excursion under way
    int64_t peaks           # how many, up to PEAK_MEMORY


cdef inline void start_height(Height* h) noexcept nogil:
    h.excess = 1
    h.top = 0
    h.peaks = 0


cdef inline double worth_of(const Height* h) noexcept nogil:
    """Return by how much the sum is to be divided; no sum is worth more than it says."""
    return h.excess if h.excess > 1 else 1.0


cdef inline void follow_height(Height* h, double value, double most) noexcept nogil:
    """Follow a sum; when it is back at zero its peak is learned, as `most` where it was higher."""
    cdef double beyond
    if value > h.top:
        h.top = value
    if value > 0:
        return
    beyond = (h.top if h.top < most else most) - PEAK_LEAST
    h.top = 0
    if beyond > 0:
        h.peaks += h.peaks < PEAK_MEMORY
        h.excess += (beyond - h.excess) / (h.peaks + PEAK_PRIOR)
