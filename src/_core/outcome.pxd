# cython: cdivision=True
"""What comes of a batch: verdicts, in buffers that live from batch to batch."""
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, realloc

cdef struct Verdict:
    # One judged sample that somebody may want to read: it fired, or its event is watched.
    int32_t sample
    int32_t event
    int32_t slot
    int32_t n
    uint8_t votes
    uint8_t voters
    double value
    double z
    double iqr
    double mad
    double cusum
    double mean
    double deviation
    double q1
    double median
    double q3
    double spread           # the MAD

cdef struct Outcome:
    Verdict* verdicts
    int32_t* order          # verdicts in the order of their samples
    Py_ssize_t verdict_count
    Py_ssize_t verdict_room


cdef inline int keep_verdict(Outcome* out, const Verdict* verdict) noexcept nogil:
    """Keep a verdict; returns its number, or -1 where memory is out."""
    cdef Py_ssize_t room
    cdef Verdict* verdicts
    cdef int32_t* order
    if out.verdict_count == out.verdict_room:
        room = out.verdict_room * 2 if out.verdict_room else 64
        verdicts = <Verdict*> realloc(out.verdicts, <size_t> room * sizeof(Verdict))
        if verdicts == NULL:
            return -1
        out.verdicts = verdicts
        order = <int32_t*> realloc(out.order, <size_t> room * sizeof(int32_t))
        if order == NULL:
            return -1
        out.order = order
        out.verdict_room = room
    out.verdicts[out.verdict_count] = verdict[0]
    out.verdict_count += 1
    return <int> (out.verdict_count - 1)


cdef inline void free_outcome(Outcome* out) noexcept nogil:
    free(out.verdicts)
    free(out.order)
