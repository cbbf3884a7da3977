# cython: cdivision=True
"""The subjects that know enough to lend: few of those of a large fleet, so these are looked through
for each new subject, and not all.
"""
from libc.stdint cimport int32_t
from libc.stdlib cimport realloc

cdef struct Lenders:
    int32_t* numbers        # of subjects, each once, in no order
    Py_ssize_t n
    Py_ssize_t room


cdef inline int add_lender(Lenders* lenders, int32_t number) noexcept nogil:
    """Add a subject where it is new; -1 where memory is out.  Called once in the life of each."""
    cdef Py_ssize_t i, room
    cdef int32_t* numbers
    for i in range(lenders.n):
        if lenders.numbers[i] == number:
            return 0
    if lenders.n == lenders.room:
        room = 2 * lenders.room if lenders.room else 64
        numbers = <int32_t*> realloc(lenders.numbers, room * sizeof(int32_t))
        if numbers == NULL:
            return -1
        lenders.numbers, lenders.room = numbers, room
    lenders.numbers[lenders.n] = number
    lenders.n += 1
    return 0


cdef inline void drop_lender(Lenders* lenders, Py_ssize_t i) noexcept nogil:
    """Take out the one at a place; the last comes there."""
    lenders.n -= 1
    lenders.numbers[i] = lenders.numbers[lenders.n]
