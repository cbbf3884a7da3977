# cython: cdivision=True
"""Tukey's fences: how far a sample lies outside the middle half of its window."""
from libc.math cimport NAN


cdef inline double iqr_distance(double x, double q1, double q3) noexcept nogil:
    """Return the distance outside [q1, q3] in interquartile ranges; 0 inside.

    Tukey (1977), with type-7 quartiles.  A window whose middle half is one value (q1 = q3) gives 0
    for that value and NaN, "strange beyond any scale", for any other.
    """
    cdef double outside = x - q3
    cdef double width = q3 - q1
    outside = q1 - x if q1 - x > outside else outside
    if width > 0:
        outside /= width        # where x lies is a coin toss, so it is worked out without a branch
        return outside if outside > 0 else 0.0
    return NAN if outside > 0 else 0.0
