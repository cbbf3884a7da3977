# cython: cdivision=True
"""A sliding window of levels: logarithms kept as 16-bit codes, in order of value and of arrival.

A level is a natural logarithm (of tokens, or of what is left of a latency or a cost once tokens and
price are taken out), held to +-16.3 in steps of 1/2000: a twentieth of one per cent, far below any
dead band, for a quarter of the memory of doubles.  Equal codes are ties, which a mid-rank answers.

One block holds `ordered[capacity]`, then `ring[capacity]`.  It grows by doubling up to LEVELS; then
the oldest level leaves as the newest enters.
"""
from libc.math cimport lrint
from libc.stdint cimport int16_t, int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

cdef enum:
    LEVELS = 1000           # of a full window: as many samples as the exact baseline has
    FIRST_LEVELS = 125      # of the first block: a rare series costs little
    CODE_STRIDE = 96        # of the first look at a window; 64 and 128 were a little slower
    CODES = 2000            # codes a unit of the logarithm

cdef extern from *:
    """
    #define LEVEL_MAX 16.3
    """
    const double LEVEL_MAX

cdef struct Levels:
    int16_t* block
    int32_t n
    int32_t capacity
    int32_t head            # where the next level goes once the window is full


cdef inline int16_t code_of(double level) noexcept nogil:
    """Return the code of a finite level; beyond +-16.3 it counts as that."""
    if level > LEVEL_MAX:
        level = LEVEL_MAX
    elif level < -LEVEL_MAX:
        level = -LEVEL_MAX
    return <int16_t> lrint(level * CODES)


cdef inline double level_at(const Levels* w, double share) noexcept nogil:
    """Return the level below which about this share of the window lies; 0 <= share < 1, n > 0."""
    return w.block[<int> (share * w.n)] * (1.0 / CODES)


cdef inline int count_below(const int16_t* ordered, int n, int code) noexcept nogil:
    """Return how many of the n ordered codes are below `code`, counted as in `window.ranks_of`."""
    cdef int strides = n // CODE_STRIDE
    cdef int rank = 0
    cdef int16_t wanted = <int16_t> code, below = 0
    cdef const int16_t* at
    cdef int k
    for k in range(strides):
        rank += ordered[k * CODE_STRIDE + CODE_STRIDE - 1] < code
    rank *= CODE_STRIDE
    at = ordered + rank
    if rank + CODE_STRIDE <= n:
        for k in range(CODE_STRIDE):
            below += at[k] < wanted
    else:
        for k in range(n - rank):
            below += at[k] < wanted
    return rank + below


cdef inline void doubled_ranks(const Levels* w, int low, int high, int* ranks) noexcept nogil:
    """Write how many levels are below a code, twice, and how many equal it, once: 0 to 2n.

    For two codes; the window is not empty.
    """
    ranks[0] = count_below(w.block, w.n, low) + count_below(w.block, w.n, low + 1)
    ranks[1] = count_below(w.block, w.n, high) + count_below(w.block, w.n, high + 1)


cdef inline int make_room(Levels* w) noexcept nogil:
    """Make room for one more level, where it has none.  Returns -1 where memory is out."""
    cdef int capacity
    cdef int16_t* block
    if w.n < w.capacity or w.capacity == LEVELS:
        return 0
    capacity = w.capacity * 2 if w.capacity else FIRST_LEVELS
    block = <int16_t*> malloc(<size_t> capacity * 2 * sizeof(int16_t))
    if block == NULL:
        return -1
    if w.n:
        memcpy(block, w.block, <size_t> w.n * sizeof(int16_t))
        memcpy(block + capacity, w.block + w.capacity, <size_t> w.n * sizeof(int16_t))
    free(w.block)
    w.block = block
    w.capacity = capacity
    return 0


cdef inline void let_level_in(Levels* w, int16_t code) noexcept nogil:
    """Let a level in, and the oldest out of a full window; there is room for it."""
    cdef int16_t* ordered = w.block
    cdef int16_t* ring = w.block + w.capacity
    cdef int16_t oldest
    cdef int out, into
    if w.n < LEVELS:
        into = count_below(ordered, w.n, code)
        memmove(ordered + into + 1, ordered + into, <size_t> (w.n - into) * sizeof(int16_t))
        ordered[into] = code
        ring[w.n] = code
        w.n += 1
        return
    oldest = ring[w.head]
    out = count_below(ordered, LEVELS, oldest)
    into = count_below(ordered, LEVELS, code)
    if into > out:
        into -= 1
        memmove(ordered + out, ordered + out + 1, <size_t> (into - out) * sizeof(int16_t))
    else:
        memmove(ordered + into + 1, ordered + into, <size_t> (out - into) * sizeof(int16_t))
    ordered[into] = code
    ring[w.head] = code
    w.head += 1
    if w.head == LEVELS:
        w.head = 0


cdef inline void keep_newest(Levels* w, int count) noexcept nogil:
    """Forget all but the newest `count` levels, at most 256 of them."""
    cdef int16_t[256] newest
    cdef int16_t* ring = w.block + w.capacity
    cdef int i, n = w.n, at
    if count >= n:
        return
    for i in range(count):
        at = (w.head if n == LEVELS else n) - count + i
        newest[i] = ring[at if at >= 0 else at + LEVELS]
    w.n = w.head = 0
    for i in range(count):
        let_level_in(w, newest[i])
