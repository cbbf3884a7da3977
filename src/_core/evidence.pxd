"""The subjects of one partition, and what is found of them a batch at a time."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from sentinel._core.findings cimport Findings
from sentinel._core.lenders cimport Lenders
from sentinel._core.subject cimport Laws, Subject

cdef enum:
    SUBJECT_BITS = 8
    SUBJECT_CHUNK = 1 << SUBJECT_BITS

cdef struct Calls:
    # Columns of one run, by event; `subject` is negative where an event is not to be judged.
    Py_ssize_t n
    const int32_t* subject
    const double* values
    const int64_t* time
    const int64_t* counted_at
    const int64_t* clock
    const int64_t* offset
    const int32_t* index
    const uint8_t* finish
    const uint32_t* user
    const uint32_t* session
    uint8_t* watched            # out: 1 where something was found at an event

cdef class Evidence:
    cdef Laws laws
    cdef Findings out
    cdef Subject** subjects
    cdef Py_ssize_t chunk_count
    cdef Py_ssize_t reached
    cdef Lenders lenders
    cdef dict numbers           # key -> number; a service as a whole has None for a model
    cdef list keys
    cdef list free_numbers
    cdef object zone_at
    cdef object zone_offset
    cdef int64_t next_due       # second of T at which some bucket is to be closed

    cdef Subject* at(self, int32_t number) noexcept nogil
    cdef int32_t take(self, key, int32_t service) except -1
    cdef int32_t subject_of(self, key) except -1
    cdef int32_t whole_of(self, key) except -1
    cdef int expect(self, int32_t number) except -1
    cdef void note_due(self, const Subject* s) noexcept nogil
    cdef int run(self, const Calls* calls, int base) noexcept nogil
    cdef int find_parent(self, Subject* s, int64_t clock) noexcept nogil
    cdef int step(self, const Calls* c, Py_ssize_t i) noexcept nogil
    cdef int close_all(self, int64_t clock, const Calls* c) noexcept nogil
    cdef int forget_idle(self, int64_t clock) except -1
    cdef void forget_batch(self) noexcept nogil
