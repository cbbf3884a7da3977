# cython: cdivision=True
"""One step of one series: judge a sample against the window, let the tests see it, let it in."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from sentinel._core.cusum cimport Cusum, cusum_step
from sentinel._core.oldtests cimport (
    SILENT_NS, TEST_AGREEMENT, TEST_FAILURES, Case, Evidence, Moment, close_silent, is_over,
    judge_failure, judge_value, start_case)
from sentinel._core.iqr cimport iqr_distance
from sentinel._core.mad cimport mad_score
from sentinel._core.moments cimport (
    Moments, add_sample, deviation_of, distance_of, make_anew, mean_of, swap_sample)
from sentinel._core.outcome cimport Outcome, Verdict, keep_verdict, room_for_cases
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
    METRIC_ERROR = 7

    VOTE_ZSCORE = 1
    VOTE_IQR = 2
    VOTE_MAD = 4
    VOTE_CUSUM = 8

    MOST_CASES = 3          # that one step makes: two tests open, or as many close, as there are

cdef struct Series:
    Window window
    Moments moments
    Cusum cusum
    Evidence evidence
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
    const int64_t* time             # by event
    const int64_t* offset           # by event
    const int32_t* index            # by event
    const uint8_t* watched          # by event, or NULL: a verdict for each of its samples


cdef inline int close_tests(Series* s, int32_t slot, int event, int64_t ended_at,
                            Outcome* out) noexcept nogil:
    """Close every open test of a series.  Returns -1 where memory is out."""
    cdef Case* case = room_for_cases(out, MOST_CASES)
    cdef int test
    if case == NULL:
        return -1
    for test in range(TEST_AGREEMENT, TEST_FAILURES + 1):
        if s.evidence.open & (1 << test):
            memset(case, 0, sizeof(Case))
            start_case(case, &s.evidence, &s.window, test)
            case.opened = False
            case.ended_at = ended_at
            case.event = event
            case.slot = slot
            case += 1
            out.case_count += 1
    s.evidence.open = 0
    return 0


cdef inline int pass_silence(Series* s, const Rules* r, int32_t slot, int event, int64_t clock,
                             Outcome* out) noexcept nogil:
    """Say what ends when a series speaks again after a gap.  Returns -1 where memory is out."""
    if close_silent(&s.evidence, s.last, clock):
        if close_tests(s, slot, event, s.last + SILENT_NS, out) < 0:
            return -1
    if clock - s.last > r.idle_ns:
        s.window.n = s.window.head = s.window.mad_low = 0
        memset(&s.moments, 0, sizeof(Moments))
        memset(&s.cusum, 0, sizeof(Cusum))
        memset(&s.evidence, 0, sizeof(Evidence))
    return 0


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


cdef inline int let_tests_see(Series* s, const Rules* r, const Samples* c, Verdict* v,
                              Outcome* out) noexcept nogil:
    """Show a judged sample to the tests; returns how many cases it made, -1: memory is out."""
    cdef unsigned int votes = v.votes, voters = v.voters
    cdef bint agreed
    cdef Moment at
    cdef Case* case
    cdef int made, k
    if s.metric == METRIC_ERROR:
        v.hit = v.value > 0
        agreed = v.hit
    else:
        # Two detectors, or the only one there is; and above the usual.
        agreed = votes != 0 and v.value > v.median and (
            votes & (votes - 1) != 0 or voters & (voters - 1) == 0)
        v.hit = agreed
    if not agreed and not s.evidence.open:
        s.evidence.recent <<= 1
        return 0
    case = room_for_cases(out, MOST_CASES)
    if case == NULL:
        return -1
    at.time = c.time[v.event]
    at.offset = c.offset[v.event] if c.offset != NULL else v.event
    at.index = c.index[v.event] if c.index != NULL else 0
    if s.metric == METRIC_ERROR:
        made = judge_failure(&s.evidence, &s.window, v.mean * v.n, v.hit, &at, case)
    else:
        made = judge_value(&s.evidence, &s.window, r.size, v.value, agreed, v.median, &at, case)
    for k in range(made):
        case[k].event = v.event
        case[k].slot = v.slot
    out.case_count += made
    if s.evidence.open and s.metric != METRIC_ERROR:
        v.hit = v.hit or v.value > s.evidence.limit
        if is_over(&s.evidence, v.value):
            if close_tests(s, v.slot, v.event, 0, out) < 0:
                return -1
            made += 1
    return made


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
    cdef int made, number
    cdef Verdict v
    v.value = tame(c.value[i])
    v.voters = r.voters[s.metric]
    v.n = s.window.n
    if s.last and clock - s.last > SILENT_NS:
        if pass_silence(s, r, c.slot[i], event, clock, out) < 0:
            return -1
        v.n = s.window.n
    s.last = clock
    if v.n >= r.least and (v.voters or s.metric == METRIC_ERROR):
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
        if v.voters:
            vote(s, r, ranks, distance, &v)
        else:
            v.z = v.iqr = v.mad = v.cusum = v.q1 = v.median = v.q3 = v.spread = 0
        made = let_tests_see(s, r, c, &v, out)
        if made < 0:
            return -1
        if v.votes or v.hit or made or (c.watched != NULL and c.watched[event]):
            number = keep_verdict(out, &v)
            if number < 0:
                return -1
            verdict_of_sample[i] = number
    return let_in(s, r, v.value)
