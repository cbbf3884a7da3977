# cython: cdivision=True
"""The share of calls that go one of two ways: that fail, or whose answers are cut off.

Two CUSUMs of the log-likelihood ratio of a Bernoulli share: one for a share that is a little larger
than usual, one for a share that is large.  The usual is taken at its upper end (one standard error
and one hit more), so that few calls are not judged as if they were many.  It forgets over 3,000
calls, and learns nothing while a test is open.
"""
from libc.math cimport log, sqrt
from libc.stdint cimport int32_t

from sentinel._core.sums cimport (
    ARMED, CLOSING, EVIDENCE_CAP, LASTING, NO_TEST, Moment, Said, Sum, add_to, say_nothing)

cdef extern from *:
    """
    #define SHARE_MEMORY 3000.0
    /* Half a hit in fifty calls: what a share is before anything was seen. */
    #define SHARE_PRIOR_HITS 0.5
    #define SHARE_PRIOR_CALLS 50.0
    """
    const double SHARE_MEMORY
    const double SHARE_PRIOR_HITS
    const double SHARE_PRIOR_CALLS

cdef enum:
    SHARE = 0               # the one test of a share, told as one: its larger sum
    SHARE_REFRESH = 16      # calls between two looks at the usual

cdef struct ShareNature:
    double more             # the smaller shift that is looked for
    double large            # the larger one, at least

cdef struct Share:
    Sum[2] sums
    double calls            # with forgetting
    double hits
    double closing
    double[2] ratio_hit     # log-likelihood ratios, as of the last look
    double[2] ratio_miss
    double usual            # the upper end
    double recent           # moving average of hits, over about 30 calls
    int32_t since_refresh
    int32_t open_for
    int32_t open_hits
    int32_t open


cdef inline void start_share(Share* s) noexcept nogil:
    s.open = NO_TEST
    # What was borrowed is looked at before the first call.
    s.since_refresh = SHARE_REFRESH


cdef inline void end_share(Share* s) noexcept nogil:
    """Close what is open; the usual is looked at again."""
    s.open = NO_TEST
    s.sums[0].value = s.sums[1].value = 0
    s.since_refresh = SHARE_REFRESH


cdef inline double usual_share(const Share* s) noexcept nogil:
    return (s.hits + SHARE_PRIOR_HITS) / (s.calls + SHARE_PRIOR_CALLS)


cdef inline void look_at_share(Share* s, const ShareNature* what) noexcept nogil:
    """Take the ratios from what is usual now."""
    cdef double n = s.calls + SHARE_PRIOR_CALLS
    cdef double p = usual_share(s), p1
    cdef int i
    p += sqrt(p * (1 - p) / n) + 1 / n
    if p > 0.5:
        p = 0.5
    s.usual = p
    for i in range(2):
        p1 = p + what.more
        if i == 1:
            p1 = p + 2.5 * what.more
            if p1 < what.large:
                p1 = what.large
            if p1 > 0.9:
                p1 = 0.9
        s.ratio_hit[i] = log(p1 / p)
        s.ratio_miss[i] = log((1 - p1) / (1 - p))


cdef inline void accept_share(Share* s) noexcept nogil:
    """Take the share of now for what is usual, as if 64 calls had shown it."""
    cdef double share = s.open_hits / <double> s.open_for if s.open_for else s.recent
    s.calls = 64
    s.hits = 64 * share
    end_share(s)


cdef inline void share_step(Share* s, const ShareNature* what, bint hit, double high, bint off,
                            const Moment* at, Said* said) noexcept nogil:
    """Judge one call, then learn it unless the test is open."""
    cdef int i, larger
    cdef double best, forget = 1 - 1 / SHARE_MEMORY
    say_nothing(said)
    s.recent += (hit - s.recent) / 30
    if s.calls < ARMED:
        s.calls += 1
        s.hits += hit
        s.since_refresh = SHARE_REFRESH
        return
    if s.since_refresh >= SHARE_REFRESH and s.open == NO_TEST:
        s.since_refresh = 0
        look_at_share(s, what)
    s.since_refresh += 1
    for i in range(2):
        add_to(&s.sums[i], s.ratio_hit[i] if hit else s.ratio_miss[i], EVIDENCE_CAP * high, at)
    larger = s.sums[1].value > s.sums[0].value
    best = s.sums[larger].value
    if s.open == NO_TEST:
        if best >= high and not off:
            s.open = SHARE
            s.open_for = s.open_hits = 0
            s.closing = 0
            said.opened = SHARE
            said.statistic = best
            said.since = s.sums[larger].since
            said.hits = s.sums[larger].hits
            said.hits_of = s.sums[larger].n
    else:
        s.open_for += 1
        s.open_hits += hit
        s.closing -= s.ratio_hit[0] if hit else s.ratio_miss[0]
        if s.closing < 0:
            s.closing = 0
        if s.closing >= CLOSING:
            said.closed = 1
        elif s.open_for >= LASTING:
            said.closed = 2
            accept_share(s)
        if said.closed:
            end_share(s)
    if s.open == NO_TEST:
        s.calls = s.calls * forget + 1
        s.hits = s.hits * forget + hit
