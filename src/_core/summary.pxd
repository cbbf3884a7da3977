# cython: cdivision=True
"""What readers see of a series, under a sequence lock.

The writer makes the counter odd, writes, and makes it even; a reader that saw an odd counter, or
two different ones, reads again.  Words are stored and loaded atomically, so that the race is one of
values, which the counter tells, and never one of half words.
"""
from libc.stdint cimport int32_t, uint32_t

from sentinel._core.moments cimport Moments, deviation_of, mean_of
from sentinel._core.window cimport Ranks, Window, median_deviation, quantile, set_ranks

cdef extern from *:
    """
    #define TURN_OPEN(p) do { \
        __atomic_store_n(&(p)->turn, (p)->turn + 1, __ATOMIC_RELAXED); \
        __atomic_thread_fence(__ATOMIC_RELEASE); } while (0)
    #define TURN_CLOSE(p) __atomic_store_n(&(p)->turn, (p)->turn + 1, __ATOMIC_RELEASE)
    #define TURN_LOAD(p) __atomic_load_n(&(p)->turn, __ATOMIC_ACQUIRE)
    #define TURN_FENCE() __atomic_thread_fence(__ATOMIC_ACQUIRE)
    #define WORD_STORE(p, v) do { \
        double v_ = (v); __atomic_store(&(p), &v_, __ATOMIC_RELAXED); } while (0)
    static inline double word_load(const double *p) {
        double v; __atomic_load(p, &v, __ATOMIC_RELAXED); return v; }
    """
    void TURN_OPEN(Summary*) noexcept nogil
    void TURN_CLOSE(Summary*) noexcept nogil
    uint32_t TURN_LOAD(const Summary*) noexcept nogil
    void TURN_FENCE() noexcept nogil
    void WORD_STORE(double, double) noexcept nogil
    double word_load(const double*) noexcept nogil

cdef struct Summary:
    uint32_t turn           # odd while it is being written
    int32_t n
    double mean
    double deviation
    double q1
    double median
    double q3
    double mad
    double p95
    double p99


cdef inline void publish(Summary* p, Window* w, const Moments* m) noexcept nogil:
    """Write what a window looks like after its last sample."""
    cdef const double* q = w.block
    cdef double median
    cdef Ranks ranks
    TURN_OPEN(p)
    p.n = w.n
    if w.n:
        median = quantile(q, w.n, 0.5)
        set_ranks(&ranks, w.n)
        WORD_STORE(p.mean, mean_of(m, &ranks) if q[0] < q[w.n - 1] else q[0])
        WORD_STORE(p.deviation, deviation_of(m, &ranks) if q[0] < q[w.n - 1] else 0.0)
        WORD_STORE(p.q1, quantile(q, w.n, 0.25))
        WORD_STORE(p.median, median)
        WORD_STORE(p.q3, quantile(q, w.n, 0.75))
        WORD_STORE(p.mad, median_deviation(w, median))
        WORD_STORE(p.p95, quantile(q, w.n, 0.95))
        WORD_STORE(p.p99, quantile(q, w.n, 0.99))
    TURN_CLOSE(p)
