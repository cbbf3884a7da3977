# cython: cdivision=True
"""One step of one series: judge a sample against the window, then let it in."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from sentinel._core.cusum cimport Cusum, cusum_step
from sentinel._core.iqr cimport iqr_distance
from sentinel._core.mad cimport mad_score
from sentinel._core.moments cimport (
    Moments, add_sample, deviation_of, distance_of, make_anew, mean_of, swap_sample)
from sentinel._core.outcome cimport Outcome, Verdict, keep_verdict
from sentinel._core.window cimport (
    Ranks, Window, append, grow, median_deviation, quartile, replace, set_ranks, tame)
from sentinel._core.zscore cimport zscore

cdef extern from *:
    """
    #define LIKELY(x) __builtin_expect(!!(x), 1)
    /* NaN, a deviation where there is no spread, fires. */
    #define FIRES(statistic, threshold) \
        (!((statistic) <= (threshold) && (statistic) >= -(threshold)))
    """
    bint LIKELY(bint) noexcept nogil
    bint FIRES(double, double) noexcept nogil

cdef enum:
    METRICS = 8

    VOTE_ZSCORE = 1
    VOTE_IQR = 2
    VOTE_MAD = 4
    VOTE_CUSUM = 8

cdef struct Series:
    Window window
    Moments moments
    Cusum cusum
    int64_t last            # T when the last sample came
    int32_t key
    uint8_t metric
    bint live

cdef struct Rules:
    # Thresholds, and who votes on which metric (bits VOTE_*).
    int32_t size
    int32_t least
    uint8_t voters[METRICS]
    double zscore
    double iqr
    double mad
    double cusum
    double drift
    int64_t idle_ns
    Ranks full              # of a full window

cdef struct Samples:
    # Columns of one run: sample i belongs to event[i], whose moment and clock stand beside it.
    Py_ssize_t n
    const int32_t* slot
    const double* value
    const int32_t* event            # NULL: sample i is event i
    const int64_t* clock            # by event: T
    const uint8_t* watched          # by event, or NULL: a verdict for each of its samples


cdef inline void vote(Series* s, const Rules* r, const Ranks* ranks, double distance,
                      Verdict* v) noexcept nogil:
    """Let each detector that votes on the metric judge the sample of a verdict."""
    cdef const double* q = s.window.block
    cdef unsigned int voters = v.voters
    cdef unsigned int votes = 0
    v.q1 = quartile(q, ranks, 0)
    v.median = quartile(q, ranks, 1)
    v.q3 = quartile(q, ranks, 2)
    v.z = zscore(distance, v.deviation)
    v.iqr = v.mad = v.cusum = v.spread = 0
    if voters & VOTE_ZSCORE:
        votes = FIRES(v.z, r.zscore)
    if voters & VOTE_IQR:
        v.iqr = iqr_distance(v.value, v.q1, v.q3)
        votes |= FIRES(v.iqr, r.iqr) << 1
    if voters & VOTE_MAD:
        v.spread = median_deviation(&s.window, v.median)
        v.mad = mad_score(v.value, v.median, v.spread)
        votes |= FIRES(v.mad, r.mad) << 2
    if voters & VOTE_CUSUM:
        v.cusum = cusum_step(&s.cusum, v.z, r.drift, r.cusum)
        votes |= FIRES(v.cusum, r.cusum) << 3
    v.votes = <uint8_t> votes


cdef inline int let_in(Series* s, const Rules* r, double x) noexcept nogil:
    """Let a sample into the window.  Returns -1 where memory is out."""
    cdef Window* w = &s.window
    cdef double old
    if LIKELY(w.n == r.size):
        old = replace(w, x)
        swap_sample(&s.moments, w, &r.full, old, x)
        return 0
    if w.n == w.capacity and grow(w, r.size) < 0:
        return -1
    if w.n == 0:
        s.moments.pivot = x
    append(w, r.size, x)
    add_sample(&s.moments, x)
    # While it grows nothing leaves, so digits go slowly: made anew at each power of two.
    if w.n & (w.n - 1) == 0 or w.n == r.size:
        make_anew(&s.moments, w)
    return 0


cdef inline int step(Series* s, const Rules* r, Py_ssize_t i, const Samples* c,
                     int32_t* verdict_of_sample, Outcome* out) noexcept nogil:
    """Judge sample i, one of this series, then let it in.  Returns -1 where memory is out."""
    cdef int event = c.event[i] if c.event != NULL else <int> i
    cdef int64_t clock = c.clock[event]
    cdef const double* q
    cdef const Ranks* ranks = &r.full
    cdef Ranks growing
    cdef double distance
    cdef int number
    cdef Verdict v
    v.value = tame(c.value[i])
    v.voters = r.voters[s.metric]
    v.n = s.window.n
    if s.last and clock - s.last > r.idle_ns:
        # It has been forgotten, whether somebody has looked since or not.
        s.window.n = s.window.head = s.window.mad_low = 0
        memset(&s.moments, 0, sizeof(Moments))
        memset(&s.cusum, 0, sizeof(Cusum))
        v.n = 0
    s.last = clock
    if v.n >= r.least and v.voters:
        q = s.window.block
        v.sample = <int32_t> i
        v.event = event
        v.slot = c.slot[i]
        v.votes = 0
        if v.n != r.size:
            set_ranks(&growing, v.n)
            ranks = &growing
        if q[0] < q[v.n - 1]:
            v.deviation = deviation_of(&s.moments, ranks)
            v.mean = mean_of(&s.moments, ranks)
            distance = distance_of(&s.moments, ranks, v.value)
        else:
            v.deviation = 0
            v.mean = q[0]
            distance = v.value - v.mean
        vote(s, r, ranks, distance, &v)
        if v.votes or (c.watched != NULL and c.watched[event]):
            number = keep_verdict(out, &v)
            if number < 0:
                return -1
            verdict_of_sample[i] = number
    return let_in(s, r, v.value)
