# cython: cdivision=True
"""One channel of a subject: calibrated scores of its levels, and the four tests that add them up.

A *level* y is a logarithm.  Its score is the normal score of its mid-rank among the last thousand,
taken at the near edge of a dead band: up-scores from y - dead, down-scores from y + dead, so that
what is too small to matter scores nothing.

*shift up, shift down*: S = max(0, S + (z - k - 1/2) / v), the log-likelihood ratio of a shift by
one standard deviation; k is what the level wanders by itself (twice the standard deviation of the
means of 32 neighbours) and v how much neighbours resemble each other.
*cluster*: the larger of two sums.  Sparse: S += ln(1 - e + e p^-1 / ln(phi / floor)) for a tail
probability p below phi, ln(1 - e) above it: a tenth of the calls are bad, and how bad is anybody's
guess.  Dense: S += ln(1 - d + d / 0.02) / sqrt(v) beyond the 98th percentile, ln(1 - d) / sqrt(v)
below it: a fifth of the calls lie there instead of a fiftieth.
*single*: -ln p of one call, beyond the record of the last epochs.

All four are held against one threshold H: a likelihood-ratio CUSUM over calibrated scores raises a
false alarm at a sample with a probability of at most exp(-H) (Lorden).  While a test is open
nothing is learned; it closes when the ratio of the reverse hypothesis reaches CLOSING, or when it
has lasted for LASTING samples: then the newest are the new baseline.

References
----------
Lorden, G. (1971), Procedures for Reacting to a Change in Distribution, Annals of Mathematical
Statistics 42(6).
"""
from libc.math cimport exp, log
from libc.stdint cimport int8_t

from sentinel._core.calibration cimport (
    CLUSTER, DENSE, REFRESH, SHIFT_DOWN, SHIFT_UP, SUMS, TAIL_SHARE, Channel, accept_channel,
    close_channel, learn, learn_wander, likelier_after, look_at_tail, look_back, note_record,
    record_of, single_record_of, wait)
from sentinel._core.levels cimport code_of, doubled_ranks
from sentinel._core.probit cimport probit
from sentinel._core.sums cimport (
    ARMED, CLOSING, EVIDENCE_CAP, LASTING, NO_TEST, Moment, Said, add_to, say_nothing)

cdef extern from *:
    """
    /* A sparse cluster: this share of the calls is bad, and each has a tail probability that is
       log-uniform on [CLUSTER_FLOOR, CLUSTER_TAIL]. */
    #define CLUSTER_SHARE 0.10
    #define CLUSTER_TAIL 0.01
    #define CLUSTER_FLOOR 1e-4
    #define DENSE_SHARE 0.20
    /* One call must beat the record by this much, in logarithms: by half. */
    #define RECORD_MARGIN 0.40
    /* One call is judged farther out in the tail than many are: its mean excess counts more. */
    #define SINGLE_SAFETY 1.05
    #define BORROWED_MORE 1.5
    """
    const double CLUSTER_SHARE
    const double CLUSTER_TAIL
    const double CLUSTER_FLOOR
    const double DENSE_SHARE
    const double RECORD_MARGIN
    const double SINGLE_SAFETY
    const double BORROWED_MORE

cdef enum:
    SINGLE = 3              # among the tests: it has no sum

cdef struct Nature:
    # What a channel is, the same for all subjects.
    double dead             # half the width of the dead band
    double effect           # the least distance of the recent level from the median that opens
    bint singles            # one call can open
    bint up                 # more is trouble
    bint down               # less is trouble

cdef struct Ratios:
    # What one level says, as log-likelihood ratios by sum; and its scores.
    double[SUMS] of
    double up
    double down


cdef inline double score_of_rank(int doubled, int n) noexcept nogil:
    return probit((0.5 * doubled + 0.5) / (n + 1))


cdef inline double surprise_of_one(const Channel* c, double y) noexcept nogil:
    """Return -ln p of one call that lies beyond the record; 0 where it does not."""
    if y <= c.tail_at or (c.epochs == 0 and c.epoch_n < c.record_need):
        return 0.0
    if y - single_record_of(c) <= RECORD_MARGIN:
        return 0.0
    return (y - c.tail_at) / (SINGLE_SAFETY * c.tail_alone) - log(c.tail_share)


cdef inline void score_level(const Channel* c, const Nature* what, double y,
                             Ratios* r) noexcept nogil:
    cdef double k = c.wander_k, tail, beyond = y - what.dead - k * c.scale
    cdef double likelier = likelier_after(c) if c.far else 1.0
    cdef int[2] ranks
    doubled_ranks(&c.window, code_of(y - what.dead), code_of(y + what.dead), ranks)
    r.up = score_of_rank(ranks[0], c.window.n)
    r.down = score_of_rank(ranks[1], c.window.n)
    r.of[SHIFT_UP] = (r.up - k - 0.5) / c.alike
    r.of[SHIFT_DOWN] = (-r.down - k - 0.5) / c.alike
    r.of[CLUSTER] = log(1 - CLUSTER_SHARE)
    r.of[DENSE] = log(1 - DENSE_SHARE)
    # A call that is not far from the usual is no bad call, however rare it is.
    if beyond > c.tail_at and y - c.median >= what.effect:
        tail = c.tail_share * exp((c.tail_at - beyond) / c.tail)
        if tail < CLUSTER_TAIL:
            tail = tail if tail > CLUSTER_FLOOR else CLUSTER_FLOOR
            r.of[CLUSTER] = log(1 - CLUSTER_SHARE + CLUSTER_SHARE
                                / (tail * likelier * (1 + log(CLUSTER_TAIL / CLUSTER_FLOOR))))
        likelier *= TAIL_SHARE
        r.of[DENSE] = log(1 - DENSE_SHARE + DENSE_SHARE / (likelier if likelier < 1 else 1.0))


cdef inline int strongest(const Channel* c, const Nature* what, unsigned int off) noexcept nogil:
    """Return the sum with the most evidence, of those that may open; NO_TEST: none has any."""
    cdef int best = NO_TEST, i
    cdef double most = 0
    cdef bint[SUMS] may
    may[SHIFT_UP] = what.up and not off & 1 << SHIFT_UP and c.recent >= what.effect
    may[SHIFT_DOWN] = what.down and not off & 1 << SHIFT_DOWN and -c.recent >= what.effect
    may[CLUSTER] = may[DENSE] = what.up and not off & 1 << CLUSTER
    for i in range(SUMS):
        if may[i] and c.sums[i].value > most:
            most = c.sums[i].value
            best = i
    return best


cdef inline int test_of(int which) noexcept nogil:
    """Return the test that a sum belongs to."""
    return CLUSTER if which == DENSE else which


cdef inline void open_channel(Channel* c, int which, Said* said) noexcept nogil:
    c.open = which
    c.open_for = 0
    c.closing = 0
    # What built the alarm up is not reference.
    c.waiting_n = 0
    said.opened = <int8_t> test_of(which)
    said.statistic = c.sums[which].value
    said.since = c.sums[which].since
    said.hits = c.sums[which].hits
    said.hits_of = c.sums[which].n


cdef inline int channel_step(Channel* c, const Nature* what, double y, double high,
                             unsigned int off, const Moment* at, Said* said) noexcept nogil:
    """Judge one level against the threshold `high`, then learn it unless something is open.

    `off`: bits of the tests that are switched off.  What is judged by a parent's baseline
    needs half as much evidence again.  Returns -1 where memory is out.
    """
    cdef Ratios r
    cdef int best, i
    say_nothing(said)
    if c.borrowed:
        high *= BORROWED_MORE
    if c.window.n < ARMED:
        if learn(c, y) < 0:
            return -1
        if c.window.n == ARMED:
            look_at_tail(c)
            look_back(c)
        return 0
    score_level(c, what, y, &r)
    for i in range(SUMS):
        add_to(&c.sums[i], r.of[i], EVIDENCE_CAP * high, at)
    c.far = y > c.tail_at
    c.recent += 0.1 * (y - c.median - c.recent)
    if c.open != NO_TEST:
        c.open_for += 1
        c.closing -= r.of[c.open]
        if c.closing < 0:
            c.closing = 0
        if c.closing < CLOSING and c.open_for < LASTING:
            return wait(c, y, True)
        if c.closing < CLOSING:
            said.closed = 2
            return accept_channel(c)
        said.closed = 1
        close_channel(c)
        c.waiting_n = 0
    else:
        best = strongest(c, what, off)
        if best != NO_TEST and c.sums[best].value >= high:
            open_channel(c, best, said)
            return wait(c, y, True)
        if what.singles and not off & 1 << SINGLE and y - c.median >= 2 * what.effect:
            said.single = surprise_of_one(c, y - what.dead)
            if said.single >= high:
                # Told; it joins the record, and only the second of its size makes that one.
                said.opened = SINGLE
                said.alone = True
                said.statistic = said.single
                said.record = record_of(c)
                said.since = at[0]
                said.hits = said.hits_of = 1
                note_record(c, y)
                return 0
    learn_wander(c, 0.5 * (r.up + r.down))
    if wait(c, y, False) < 0:
        return -1
    c.since_refresh += 1
    if c.since_refresh >= REFRESH:
        c.since_refresh = 0
        look_at_tail(c)
    return 0
