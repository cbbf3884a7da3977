"""The event ids of the last minutes, each with the position that first brought it."""
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef struct Seen:
    uint64_t high
    uint64_t low
    int64_t clock           # T when it came
    int64_t offset
    int32_t index
    int32_t unused          # keeps the bytes of a saved entry defined

cdef class RecentIds:
    cdef readonly Py_ssize_t limit
    cdef readonly int64_t keep_ns
    cdef Seen* ring                 # a circle of `room` entries, oldest at `first`
    cdef uint64_t* table            # half of the hash, and place in the ring + 1; 0 is empty
    cdef Py_ssize_t room, first, count

    cdef bint is_repeat(self, uint64_t high, uint64_t low, int64_t clock, int64_t offset,
                        int32_t index) except -1
    cdef int enlarge(self) except -1
    cdef void expect(self, uint64_t high, uint64_t low) noexcept nogil
    cdef Py_ssize_t find(self, uint64_t high, uint64_t low) noexcept nogil
    cdef void drop_oldest(self) noexcept nogil
