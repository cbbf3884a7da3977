# cython: cdivision=True
"""What comes of a batch: verdicts and cases, in buffers that live from batch to batch."""
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, realloc

from sentinel._core.oldtests cimport Case

cdef struct Verdict:
    # One judged sample that somebody may want to read: it fired, it is a hit, or it is watched.
    int32_t sample
    int32_t event
    int32_t slot
    int32_t n
    uint8_t votes
    uint8_t voters
    bint hit                # a test counts it against the series
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
    Case* cases
    Py_ssize_t case_count
    Py_ssize_t case_room


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


cdef inline Case* room_for_cases(Outcome* out, int more) noexcept nogil:
    """Return where the next cases go, with room for `more`; NULL where memory is out."""
    cdef Py_ssize_t room = out.case_room if out.case_room else 16
    cdef Case* cases
    if out.case_count + more > out.case_room:
        while room < out.case_count + more:
            room *= 2
        cases = <Case*> realloc(out.cases, <size_t> room * sizeof(Case))
        if cases == NULL:
            return NULL
        out.cases = cases
        out.case_room = room
    return out.cases + out.case_count


cdef inline void free_outcome(Outcome* out) noexcept nogil:
    free(out.verdicts)
    free(out.order)
    free(out.cases)
