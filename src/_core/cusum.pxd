# cython: cdivision=True
"""CUSUM: small deviations in one direction, added up until they are a change."""
from libc.math cimport NAN

cdef struct Cusum:
    double up
    double down


cdef inline double cusum_step(Cusum* c, double z, double drift, double threshold) noexcept nogil:
    """Add one standardised deviation and return the larger sum, negative where it is the lower one.

    Page (1954), two-sided: S+ = max(0, S+ + z - drift), S- = max(0, S- - z - drift).  Both start
    again from 0 when either passes the threshold.  A z of NaN (a window without spread, and another
    value) is an alarm by itself and returns NaN.
    """
    cdef double up, down
    if z != z:
        c.up = c.down = 0
        return NAN
    up = c.up + z - drift
    down = c.down - z - drift
    up = up if up > 0 else 0.0
    down = down if down > 0 else 0.0
    if up > threshold or down > threshold:
        c.up = c.down = 0
    else:
        c.up = up
        c.down = down
    return up if up >= down else -down
