# cython: cdivision=True
"""Modified z-score: distance from the median in median absolute deviations."""
from libc.math cimport NAN


cdef inline double mad_score(double x, double median, double mad) noexcept nogil:
    """Return 0.6745 (x - median) / MAD, with the sign of the difference.

    Iglewicz & Hoaglin (1993); 0.6745 makes the MAD of normal data count as a standard deviation.
    MAD = 0 (more than half of the window is one value) gives 0 for that value and NaN, "strange
    beyond any scale", for any other.
    """
    if mad > 0:
        return 0.6745 * (x - median) / mad
    return 0.0 if x == median else NAN
