"""Which series there are."""
from libc.stdint cimport int32_t, int64_t

from sentinel._core.bank cimport Bank

cdef class Roster:
    cdef readonly Bank bank
    cdef readonly Py_ssize_t max_series
    cdef dict key_numbers           # (tenant, environment, service, model) -> number
    cdef list keys                  # number -> that tuple, or None
    cdef list free_keys
    cdef int32_t* slots             # by number and metric; -1 where no series is
    cdef Py_ssize_t key_room
    cdef Py_ssize_t ordinary        # series that are not __other__
    cdef Py_ssize_t others          # and those that are
    cdef int64_t next_sweep
    cdef set leaving                # slots of series that went in this batch: still to be named
    cdef list leaving_keys

    cdef bint is_tight(self) noexcept
    cdef bint may_sweep(self, int64_t clock) noexcept
    cdef int number_of(self, key) except -1
    cdef int32_t open_series(self, key, int metric) except? -1
    cdef int forget_key(self, int number) except -1
    cdef int let_go(self) except -1
    cdef int forget_idle(self, int64_t clock) except -1
