# cython: cdivision=True
"""Z-score: how many standard deviations a sample lies from the mean of its window."""
from libc.math cimport NAN


cdef inline double zscore(double distance, double deviation) noexcept nogil:
    """Return distance / deviation, with the sign of the distance x - mean.

    Estimator: arithmetic mean and standard deviation with n - 1.  A window without spread
    (deviation 0) gives 0 for its own value and NaN, which means "strange beyond any scale", for any
    other.  Both arguments are finite.
    """
    if deviation > 0:
        return distance / deviation
    return 0.0 if distance == 0 else NAN
