# cython: cdivision=True
"""The normal score of a rank.

z = Phi^-1(p) by Wichura's rational approximations PPND7, about seven digits.

References
----------
Wichura, M. J. (1988), Algorithm AS 241: The Percentage Points of the Normal Distribution, Applied
Statistics 37(3).
"""
from libc.math cimport log, sqrt


cdef inline double probit(double p) noexcept nogil:
    """Return z with P(Z < z) = p for a standard normal Z; 0 < p < 1."""
    cdef double q = p - 0.5
    cdef double r, z
    if -0.425 <= q <= 0.425:
        r = 0.180625 - q * q
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) / (
            ((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    r = sqrt(-log(p if q < 0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        z = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) / (
            (0.12021132975 * r + 0.73700164250) * r + 1.0)
    else:
        r -= 5.0
        z = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) / (
            (0.012258202635 * r + 0.24197894225) * r + 1.0)
    return -z if q < 0 else z
