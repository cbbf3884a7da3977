# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Whether any row of a batch needs a second look: most batches have none."""
from libc.stdint cimport int64_t, uint16_t


def is_odd(const uint16_t[::1] fault not None, const int64_t[::1] time not None,
           const double[:, ::1] values not None, const double[::1] upper not None,
           int least_of, double least, int64_t latest):
    """Tell whether a row is at fault, is later than `latest`, or has a value outside its limits.

    A value lies outside above its `upper`, one a column, and that of column `least_of` below
    `least`.  NaN lies inside.
    """
    cdef Py_ssize_t i, k, n = time.shape[0], columns = upper.shape[0]
    cdef bint odd = False
    if not (fault.shape[0] == values.shape[0] == n and values.shape[1] == columns > least_of >= 0):
        raise ValueError("expected columns of one length, a limit for each value")
    with nogil:
        for i in range(n):
            odd |= fault[i] != 0 or time[i] > latest or values[i, least_of] < least
            for k in range(columns):
                odd |= values[i, k] > upper[k]
    return odd
