"""The series of one partition: windows and votes, judged a batch at a time."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from sentinel._core.outcome cimport Outcome
from sentinel._core.step cimport Rules, Samples, Series
from sentinel._core.summary cimport Summary

cdef enum:
    CHUNK_BITS = 10
    CHUNK = 1 << CHUNK_BITS

cdef class Bank:
    cdef Rules rules
    cdef Outcome out
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t live
    cdef Series** series
    cdef Summary** summaries
    cdef Py_ssize_t reached         # slots below have been handed out at least once
    cdef int32_t* free_slots
    cdef Py_ssize_t free_count
    # Buffers that live from batch to batch
    cdef int64_t* order
    cdef int64_t* order_other
    cdef int32_t* verdict_of_sample
    cdef Py_ssize_t sample_room

    cdef Series* at(self, int32_t slot) noexcept nogil
    cdef Summary* summary_at(self, int32_t slot) noexcept nogil
    cdef int32_t take_slot(self, int32_t key, int metric) except? -1
    cdef void release(self, int32_t slot) noexcept nogil
    cdef void forget_batch(self) noexcept nogil
    cdef int run(self, const Samples* samples) noexcept nogil
    cdef int reserve_samples(self, Py_ssize_t n) noexcept nogil
