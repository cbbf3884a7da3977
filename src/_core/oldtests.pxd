# cython: cdivision=True
"""The tests that open and close incidents, one state machine a series.

Plain rules.  *agreement*: on 3 of the last 5 samples enough detectors agree that the sample is
strange, and the middle one of the five is at least twice the usual and beyond what all but the
largest few of the window reach.  *record*: one sample far beyond the largest of the window.
*failures*: 5 of the last 20 calls failed, at least five times the usual share.

What is ordinary is frozen when a test opens, since the window goes on learning.  It closes when ten
samples in a row lie nearer to the usual than to what it had to exceed (failures: when the share has
fallen to twice the usual of then, or to one call in twenty), when the series has been silent for
fifteen minutes of T, or when a shift of values has lasted for 400 samples and is the window's own
by now.  Failures never become the usual that way: an outage stays open until it ends.

A test judges a sample before it enters the window, needs a hundred samples to be armed, and reads
nothing but its own series.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t

from sentinel._core.window cimport Window, quantile, ring_of, sample_before

cdef extern from *:
    """
    #define POPCOUNT(x) __builtin_popcount(x)
    /* The effect floor: what is less than twice the usual wakes nobody. */
    #define EFFECT_RATIO 2.0
    /* A record is this many times the largest sample of the window, and this many medians. */
    #define RECORD_RATIO 3.0
    #define RECORD_MEDIANS 5.0
    /* Failures: this many times the usual share, and a usual share counts as one in a hundred at
       the least, so that a service that never failed is not judged on its first handful. */
    #define FAILURE_RATIO 5.0
    #define FAILURE_SHARE_LEAST 0.01
    /* A shift had begun before the test opened if the twenty samples before its five were already
       this much above the usual. */
    #define DRIFT_RATIO 1.3
    """
    int POPCOUNT(unsigned int) noexcept nogil
    const double EFFECT_RATIO
    const double RECORD_RATIO
    const double RECORD_MEDIANS
    const double FAILURE_RATIO
    const double FAILURE_SHARE_LEAST
    const double DRIFT_RATIO

cdef enum:
    TEST_AGREEMENT = 0
    TEST_RECORD = 1
    TEST_FAILURES = 2

    ARMED_SAMPLES = 100
    AGREE_OF = 5
    AGREE_HITS = 3
    FAILURES_OF = 20
    FAILURES_HITS = 5
    CALM_SAMPLES = 10
    LASTING_SAMPLES = 400
    # Beyond what all but the largest 1 in 200 of the window, and five, reach: the five samples
    # that are judged may lie in the window themselves.
    REACHED_BUT_ONE_IN = 200
    DRIFT_OF = 20

cdef extern from *:
    """
    #define SILENT_NS 900000000000LL
    """
    const int64_t SILENT_NS

cdef struct Evidence:
    int64_t first_time      # the first sample of the run of hits that is under way
    int64_t first_offset
    int32_t first_index
    # While open, what a sample must exceed to keep it open: half way from the usual to the
    # threshold, else a slow drift opens and closes at it.
    double limit
    uint32_t recent         # bit i: the sample i before the newest was a hit
    uint16_t open_for       # samples since it opened
    uint8_t open            # bit t: test t is open
    uint8_t calm_for        # samples in a row below the limit

cdef struct Moment:
    # Where a sample stands: its time, and its position in the log.
    int64_t time
    int64_t offset
    int32_t index

cdef struct Case:
    # One test opened or closed at one sample of one series.
    int32_t event           # which event of the batch
    int32_t slot
    uint8_t test
    bint opened
    bint drifting           # agreement: the shift had begun before the five samples
    int32_t hits            # of how many
    int32_t hits_of
    int32_t n               # samples of the baseline
    double observed
    double usual
    double statistic
    double threshold
    double upper            # the range that opens nothing ends here
    Moment first
    int64_t ended_at        # closed by silence: when; else 0


cdef inline double middle_of(double* few, int n) noexcept nogil:
    """Return the median of a few values (n odd: the middle one), sorting them in place."""
    cdef int i, j
    cdef double x
    for i in range(1, n):
        x = few[i]
        j = i
        while j > 0 and few[j - 1] > x:
            few[j] = few[j - 1]
            j -= 1
        few[j] = x
    return few[n // 2] if n & 1 else 0.5 * (few[n // 2 - 1] + few[n // 2])


cdef inline void note_hit(Evidence* e, bint hit, int memory, const Moment* at) noexcept nogil:
    """Remember whether the sample was a hit, and where the run of hits within `memory` began."""
    if hit and e.recent & ((1u << (memory - 1)) - 1) == 0:
        e.first_time = at.time
        e.first_offset = at.offset
        e.first_index = at.index
    e.recent = (e.recent << 1) | hit


cdef inline void start_case(Case* case, const Evidence* e, const Window* w,
                            int test) noexcept nogil:
    case.test = test
    case.opened = True
    case.drifting = False
    case.n = w.n
    case.first.time = e.first_time
    case.first.offset = e.first_offset
    case.first.index = e.first_index
    case.ended_at = 0


cdef inline bint close_silent(Evidence* e, int64_t last, int64_t clock) noexcept nogil:
    """Say whether the open tests ended in silence before this sample; their runs end with them."""
    if clock - last <= SILENT_NS:
        return False
    e.recent = 0
    return e.open != 0


cdef inline void open_test(Evidence* e, int test, double limit) noexcept nogil:
    """Open a test; of two that are open the lower limit holds."""
    if e.open == 0:
        e.limit = limit
        e.open_for = 0
    elif limit < e.limit:
        e.limit = limit
    e.calm_for = 0
    e.open |= <uint8_t> (1 << test)


cdef inline int judge_value(Evidence* e, const Window* w, int size, double x, bint agreed,
                            double median, const Moment* at, Case* cases) noexcept nogil:
    """Judge one sample of a series whose values may be too large; returns how many cases it made.

    `agreed`: enough detectors fired, and x lies above the median.  `cases` has room for two.
    """
    cdef const double* ordered = w.block
    cdef double few[DRIFT_OF]
    cdef double largest, limit
    cdef int made = 0, beyond, i
    cdef bint record
    if w.n < ARMED_SAMPLES:
        return 0
    largest = ordered[w.n - 1]
    limit = RECORD_RATIO * largest
    if RECORD_MEDIANS * median > limit:
        limit = RECORD_MEDIANS * median
    record = agreed and x > limit
    note_hit(e, agreed, AGREE_OF, at)
    if record and not e.open & (1 << TEST_RECORD):
        start_case(&cases[0], e, w, TEST_RECORD)
        cases[0].first = at[0]
        cases[0].hits = cases[0].hits_of = 1
        cases[0].observed = cases[0].statistic = x
        cases[0].usual = median
        cases[0].threshold = cases[0].upper = limit
        open_test(e, TEST_RECORD, 0.5 * (median + limit))
        made = 1
    if not e.open & (1 << TEST_AGREEMENT) and POPCOUNT(e.recent & 0x1f) >= AGREE_HITS:
        beyond = w.n - 1 - AGREE_OF - w.n // REACHED_BUT_ONE_IN
        limit = EFFECT_RATIO * median
        if ordered[beyond] > limit:
            limit = ordered[beyond]
        few[0] = x
        for i in range(1, AGREE_OF):
            few[i] = sample_before(w, size, i)
        x = middle_of(few, AGREE_OF)
        if x > limit:
            start_case(&cases[made], e, w, TEST_AGREEMENT)
            cases[made].hits = POPCOUNT(e.recent & 0x1f)
            cases[made].hits_of = AGREE_OF
            cases[made].observed = cases[made].statistic = x
            cases[made].usual = median
            cases[made].threshold = cases[made].upper = limit
            for i in range(DRIFT_OF):
                few[i] = sample_before(w, size, AGREE_OF + i)
            cases[made].drifting = middle_of(few, DRIFT_OF) > DRIFT_RATIO * median
            open_test(e, TEST_AGREEMENT, 0.5 * (median + limit))
            made += 1
    return made


cdef inline bint is_over(Evidence* e, double x) noexcept nogil:
    """Count one sample of a series with an open test; says whether the tests end with it."""
    e.open_for += 1
    e.calm_for = 0 if x > e.limit else e.calm_for + 1
    return e.calm_for >= CALM_SAMPLES or e.open_for >= LASTING_SAMPLES


cdef inline int judge_failure(Evidence* e, const Window* w, double failed_before, bint failed,
                              const Moment* at, Case* case) noexcept nogil:
    """Judge one call that failed or not; returns 1 where it made a case (opened or closed).

    `failed_before`: how many of the window's calls failed.
    """
    cdef int hits, others
    cdef double usual, share, limit
    note_hit(e, failed, FAILURES_OF, at)
    if w.n < ARMED_SAMPLES:
        return 0
    hits = POPCOUNT(e.recent & 0xfffff)
    # The usual share leaves the newest calls out; all of them but this one are in the window.
    others = w.n - (FAILURES_OF - 1)
    usual = (failed_before - POPCOUNT((e.recent >> 1) & 0x7ffff)) / others
    share = hits / <double> FAILURES_OF
    limit = FAILURE_RATIO * (usual if usual > FAILURE_SHARE_LEAST else FAILURE_SHARE_LEAST)
    if e.open == 0:
        if hits < FAILURES_HITS or share < limit:
            return 0
        start_case(case, e, w, TEST_FAILURES)
        open_test(e, TEST_FAILURES, 2 * usual)
    else:
        if hits > 1 and share > e.limit:
            return 0
        start_case(case, e, w, TEST_FAILURES)
        case.opened = False
        e.open = 0
    case.hits = hits
    case.hits_of = FAILURES_OF
    case.observed = case.statistic = share
    case.usual = usual
    case.threshold = case.upper = limit
    return 1
