# cython: cdivision=True
"""A sliding window kept twice: in order of arrival and in order of value.

One block of memory holds `sorted[capacity]`, then `ring[capacity]`.  While the window is short the
block grows by doubling; when it is full the oldest sample leaves as the newest enters, and the
sorted half is mended by one shift between the two places.  Everything is exact.

Values must be finite: the caller holds them to what `tame` returns.  Nothing here takes the GIL or
raises; a function that can fail returns -1.
"""
from libc.math cimport fabs
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

cdef enum:
    # The first block holds ten samples: what `min_samples` asks for by default, so that a series
    # which speaks rarely costs little.
    FIRST_CAPACITY = 10
    # Of the first look at a window: 31 values, then 32 neighbours (measured: 16 and 64 are slower).
    STRIDE = 32

cdef struct Window:
    double* block
    int32_t n
    int32_t capacity
    int32_t head            # where the next sample goes once the window is full: the oldest sample
    int32_t mad_low         # where the last search for the MAD ended; a hint, never a result


cdef inline double tame(double x) noexcept nogil:
    """Return x held to a range in which squares neither overflow nor vanish; -0.0 becomes 0.0.

    Beyond 1e100 in size a value counts as 1e100, below 1e-100 as 0: 5,000 squares of the largest
    stay below 1e205, and two different doubles of the smallest size still differ by 1e-116, whose
    square 1e-232 is a normal number.
    """
    if x > 1e100:
        return 1e100
    if x < -1e100:
        return -1e100
    if fabs(x) < 1e-100:
        return 0.0
    return x


cdef inline double* ring_of(const Window* w) noexcept nogil:
    """Return the samples in order of arrival; the oldest is at `head` once the window is full."""
    return w.block + w.capacity


cdef inline double sample_before(const Window* w, int size, int age) noexcept nogil:
    """Return the sample that arrived `age` samples ago, 1 for the newest; 1 <= age <= n."""
    cdef int place = w.head - age if w.n == size else w.n - age
    return ring_of(w)[place if place >= 0 else place + size]


cdef inline int grow(Window* w, int size) noexcept nogil:
    """Make room for more samples, at most `size`.  Returns -1 where memory is out."""
    cdef int capacity = w.capacity * 2 if w.capacity else FIRST_CAPACITY
    cdef double* block
    if capacity > size:
        capacity = size
    block = <double*> malloc(<size_t> capacity * 2 * sizeof(double))
    if block == NULL:
        return -1
    if w.n:
        memcpy(block, w.block, <size_t> w.n * sizeof(double))
        memcpy(block + capacity, ring_of(w), <size_t> w.n * sizeof(double))
    free(w.block)
    w.block = block
    w.capacity = capacity
    return 0


cdef inline int rank_of(const double* ordered, int n, double x) noexcept nogil:
    """Return how many of the n ordered values are below x, without a branch on the data."""
    cdef const double* at = ordered
    cdef int half
    if n == 0:
        return 0
    while n > 1:
        half = n >> 1
        at += half & -<int> (at[half - 1] < x)
        n -= half
    return <int> (at - ordered) + <int> (at[0] < x)


cdef inline void append(Window* w, int size, double x) noexcept nogil:
    """Add a sample to a window that is not full and has room for it."""
    cdef double* ordered = w.block
    cdef int place = rank_of(ordered, w.n, x)
    memmove(ordered + place + 1, ordered + place, <size_t> (w.n - place) * sizeof(double))
    ordered[place] = x
    ring_of(w)[w.n] = x
    w.n += 1
    w.head = 0 if w.n == size else w.n


cdef inline void ranks_of(const double* ordered, int n, double a, double b,
                          int* of_a, int* of_b) noexcept nogil:
    """Write how many of the n ordered values are below a, and how many below b.

    Every step of a binary search waits for the one before; a count waits for nothing, so looking at
    every 32nd value, and then at 32 neighbours, takes half the time.
    """
    cdef int strides = n // STRIDE
    cdef int64_t below_a = 0, below_b = 0
    cdef const double* at_a
    cdef const double* at_b
    cdef int k
    for k in range(strides):
        below_a += ordered[k * STRIDE + STRIDE - 1] < a
        below_b += ordered[k * STRIDE + STRIDE - 1] < b
    at_a = ordered + below_a * STRIDE
    at_b = ordered + below_b * STRIDE
    of_a[0], of_b[0] = <int> below_a * STRIDE, <int> below_b * STRIDE
    below_a = below_b = 0
    if of_a[0] + STRIDE <= n and of_b[0] + STRIDE <= n:
        for k in range(STRIDE):
            below_a += at_a[k] < a
            below_b += at_b[k] < b
    else:
        # Behind the last whole stride.
        for k in range(min(n - of_a[0], STRIDE)):
            below_a += at_a[k] < a
        for k in range(min(n - of_b[0], STRIDE)):
            below_b += at_b[k] < b
    of_a[0] += <int> below_a
    of_b[0] += <int> below_b


cdef inline double replace(Window* w, double x) noexcept nogil:
    """Let x in and the oldest sample out of a full window; returns the one that left."""
    cdef double* ordered = w.block
    cdef double* ring = ring_of(w)
    cdef double old = ring[w.head]
    cdef int out = 0, into = 0
    ranks_of(ordered, w.n, old, x, &out, &into)
    if into > out:
        into -= 1
        memmove(ordered + out, ordered + out + 1, <size_t> (into - out) * sizeof(double))
    else:
        memmove(ordered + into + 1, ordered + into, <size_t> (out - into) * sizeof(double))
    ordered[into] = x
    ring[w.head] = x
    w.head += 1
    if w.head == w.n:
        w.head = 0
    return old


cdef inline double quantile(const double* ordered, int n, double p) noexcept nogil:
    """Return the type-7 quantile (Hyndman & Fan 1996), linear between order statistics; n >= 1."""
    cdef double place = (n - 1) * p
    cdef int below = <int> place
    if below + 1 >= n:
        return ordered[n - 1]
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


cdef struct Ranks:
    # Where the quartiles of n samples lie, and what n divides by: worked out once a size.
    int below[3]
    double rest[3]
    double per_n
    double per_n_less_1


cdef inline void set_ranks(Ranks* r, int n) noexcept nogil:
    cdef int i
    cdef double place
    for i in range(3):
        place = (n - 1) * (0.25 * (i + 1))
        r.below[i] = <int> place
        r.rest[i] = place - r.below[i]
    r.per_n = 1.0 / n
    r.per_n_less_1 = 1.0 / (n - 1) if n > 1 else 0.0


cdef inline double quartile(const double* ordered, const Ranks* r, int which) noexcept nogil:
    """Return the type-7 quartile: 0 lower, 1 median, 2 upper; the same bits as `quantile`."""
    cdef const double* at = ordered + r.below[which]
    return at[0] + r.rest[which] * (at[1] - at[0])


cdef inline double median_deviation(Window* w, double median) noexcept nogil:
    """Return the MAD: the median of |x - median| over the window; exact, not scaled; n >= 1.

    The k values nearest to the median stand together in the sorted half.  Their run starts at the
    one place where its left end is no farther from the median than the value after its right end;
    that place moves little from sample to sample, so the search starts where it last ended.
    """
    cdef const double* q = w.block
    cdef int n = w.n
    cdef int k = n // 2 + 1
    cdef int last = n - k
    cdef int low = w.mad_low if w.mad_low < last else last
    cdef double left, right, inner, larger, smaller
    while low < last and median - q[low] > q[low + k] - median:
        low += 1
    while low > 0 and not (median - q[low - 1] > q[low - 1 + k] - median):
        low -= 1
    w.mad_low = low
    left = median - q[low]
    right = q[low + k - 1] - median
    larger = left if left > right else right
    if n & 1:
        return larger
    # An even window: the mean of the two largest distances of the run.
    inner = median - q[low + 1]
    inner = inner if left > right else q[low + k - 2] - median
    smaller = right if left > right else left
    return 0.5 * (larger + (inner if inner > smaller else smaller))
