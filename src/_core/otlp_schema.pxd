"""Which messages OTLP is made of: see the .pyx."""
from sentinel._core.wire cimport Piece

cdef enum:
    # The three requests, as `is_whole` knows them.
    TRACES = 0, LOGS = 1, METRICS = 2

cdef bint is_whole(int message, Piece piece, int depth) noexcept nogil
