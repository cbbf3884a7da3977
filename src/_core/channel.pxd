# cython: cdivision=True
"""One channel of a subject: calibrated scores of its levels, and the four tests that add them up.

A *level* y is a logarithm.  Its score is the normal score of its mid-rank among the last thousand,
taken at the near edge of a dead band: up-scores from y - dead, down-scores from y + dead, so that
what is too small to matter scores nothing.

*shift up, shift down*: S = max(0, S + (z - k - 1/2) / v), the log-likelihood ratio of a shift by
one standard deviation; k is what the level wanders by itself (twice the standard deviation of the
means of 32 neighbours) and v how much neighbours resemble each other.
*cluster*: S += ln(1 - e + e p^-1 / ln(phi / floor)) for a tail probability p below phi, ln(1 - e)
above it: a tenth of the calls are bad, and how bad is anybody's guess.
*single*: -ln p of one call, beyond the record of the last epochs.

All four are held against one threshold H: a likelihood-ratio CUSUM over calibrated scores raises a
false alarm at a sample with a probability of at most exp(-H) (Lorden).  While a test is open
nothing is learned; it closes when the ratio of the reverse hypothesis reaches CLOSING, or when it
has lasted for LASTING samples: then the newest are the new baseline.

References
----------
Lorden, G. (1971), Procedures for Reacting to a Change in Distribution, Annals of Mathematical
Statistics 42(6).
Pickands, J. (1975), Statistical Inference Using Extreme Order Statistics, Annals of Statistics
3(1): an excess over a high threshold is close to exponential.
"""
from libc.math cimport exp, fabs, log, sqrt
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t
from libc.string cimport memset

from sentinel._core.levels cimport (
    CODES, LEVELS, Levels, code_of, doubled_rank, keep_newest, let_level_in, level_at, make_room)
from sentinel._core.probit cimport probit

cdef extern from *:
    """
    /* A sparse cluster: this share of the calls is bad, and each has a tail probability that is
       log-uniform on [CLUSTER_FLOOR, CLUSTER_TAIL]. */
    #define CLUSTER_SHARE 0.10
    #define CLUSTER_TAIL 0.01
    #define CLUSTER_FLOOR 1e-4
    /* A tail of few samples is thinner by luck than it is: its mean excess counts 1/4 more. */
    #define TAIL_SAFETY 1.25
    #define TAIL_LEAST 0.02
    /* One call must beat the record by this much, in logarithms: by half. */
    #define RECORD_MARGIN 0.40
    /* Evidence that it is over: exp(-4) is one chance in 55 of closing a test too early. */
    #define CLOSING 4.0
    #define EVIDENCE_CAP 1.5
    """
    const double CLUSTER_SHARE
    const double CLUSTER_TAIL
    const double CLUSTER_FLOOR
    const double TAIL_SAFETY
    const double TAIL_LEAST
    const double RECORD_MARGIN
    const double CLOSING
    const double EVIDENCE_CAP

cdef enum:
    GUARD = 64              # samples that wait before they are reference: what builds an alarm up
    ARMED = 100             # levels before anything is judged
    LASTING = 400           # samples after which a shift is the new normal
    EPOCH = 5000            # samples of a record
    REFRESH = 25            # samples between two looks at the tail
    BLOCK = 32              # samples of a block whose mean shows how the level wanders
    NEIGHBOURS = 4

    SHIFT_UP = 0
    SHIFT_DOWN = 1
    CLUSTER = 2
    SINGLE = 3
    NO_TEST = -1

cdef struct Moment:
    # Where a sample stands: its time, and its position in the log.
    int64_t time
    int64_t offset
    int64_t index

cdef struct Nature:
    # What a channel is, the same for all subjects.
    double dead             # half the width of the dead band
    double effect           # the least distance of the recent level from the median that opens
    bint singles            # one call can open
    bint up                 # more is trouble
    bint down               # less is trouble

cdef struct Sum:
    # One CUSUM, and the samples since it last left zero.
    double value
    Moment since
    int32_t n
    int32_t hits            # those that added to it

cdef struct Channel:
    # After the window nothing is padded: a record holds it as it lies.
    Levels window
    int16_t waiting[GUARD]  # in order of arrival, the oldest at `waiting_at - waiting_n`
    int32_t waiting_n
    int32_t waiting_at
    Sum[3] sums             # SHIFT_UP, SHIFT_DOWN, CLUSTER
    double closing          # evidence that what opened is over
    double recent           # moving average of y - median, over about ten samples
    double reference        # moving average of the logarithm of what the level is a ratio to
    double wander           # variance of block means beyond that of independent samples
    double block_sum
    double pair_sum
    double pair_var
    double alike            # v: how much a sum of neighbours varies beyond independent ones
    double tail_at          # the 98th percentile
    double tail             # mean excess beyond it, not below what the record demands
    double tail_alone       # mean excess beyond it
    double median
    double scale
    double best             # largest and second largest of this epoch
    double second
    double last_second      # second largest of the one before
    int32_t epoch_n
    int32_t epochs
    int32_t blocks
    int32_t pairs
    int32_t block_n
    int32_t since_refresh
    int32_t open_for
    int32_t borrowed        # levels that are a parent's; 0 once the window is its own
    int32_t own             # samples of its own, up to ARMED
    int32_t open            # the test that is open, NO_TEST where none is

cdef struct Said:
    # What a step of a channel, of shares or of buckets says.
    int8_t opened           # test that opened, or NO_TEST
    int8_t closed           # 1: over; 2: lasting, accepted
    bint alone              # a single call: told, and nothing stays open
    double statistic
    double single           # -ln p of this call beyond the record, else 0
    Moment since
    int32_t hits
    int32_t hits_of


cdef inline void say_nothing(Said* said) noexcept nogil:
    memset(said, 0, sizeof(Said))
    said.opened = NO_TEST


cdef inline void start_channel(Channel* c) noexcept nogil:
    """Give a channel of zeros its priors."""
    c.open = NO_TEST
    # How much a level wanders before we know: a seventh of a standard deviation.
    c.wander = 0.02
    c.alike = 1.0
    c.pair_var = 1.0
    c.tail = c.tail_alone = TAIL_LEAST


cdef inline double record_of(const Channel* c) noexcept nogil:
    """Return the second largest level of this and the last epoch: one outlier is no record."""
    if c.epochs == 0:
        return c.second
    return c.second if c.second > c.last_second else c.last_second


cdef inline void note_record(Channel* c, double y) noexcept nogil:
    if c.epoch_n == 0:
        c.best = c.second = y
    elif c.epoch_n == 1:
        c.second = y if y < c.best else c.best
        c.best = y if y > c.best else c.best
    elif y > c.best:
        c.second = c.best
        c.best = y
    elif y > c.second:
        c.second = y
    c.epoch_n += 1
    if c.epoch_n == EPOCH:
        c.last_second = c.second
        c.epoch_n = 0
        c.epochs = 1


cdef inline void look_at_tail(Channel* c) noexcept nogil:
    """Take median, scale and tail from the window anew."""
    cdef const Levels* w = &c.window
    cdef const int16_t* ordered = w.block
    cdef int n = w.n, first = <int> (0.98 * n), i
    cdef long total = 0
    cdef double seen = c.epoch_n + (EPOCH if c.epochs else 0)
    for i in range(first, n):
        total += ordered[i] - ordered[first]
    c.tail_at = ordered[first] * (1.0 / CODES)
    c.median = level_at(w, 0.5)
    c.scale = 0.5 * (level_at(w, 0.84) - level_at(w, 0.16))
    if c.scale < 1e-6:
        c.scale = 1e-6
    c.tail_alone = TAIL_SAFETY * total * (1.0 / CODES) / (n - first - 1 if n - first > 1 else 1)
    if c.tail_alone < TAIL_LEAST:
        c.tail_alone = TAIL_LEAST
    c.tail = c.tail_alone
    if seen >= 200:
        # The tail must also explain the record of the last one or two epochs.
        seen = log(0.02 * seen if 0.02 * seen > 2.72 else 2.72)
        if (record_of(c) - c.tail_at) / seen > c.tail:
            c.tail = (record_of(c) - c.tail_at) / seen


cdef inline void add_to(Sum* s, double ratio, double cap, const Moment* at) noexcept nogil:
    """Add one log-likelihood ratio; a sum lies between 0 and its cap."""
    if s.value <= 0:
        s.since = at[0]
        s.n = s.hits = 0
    s.value += ratio
    s.n += 1
    s.hits += ratio > 0
    if s.value < 0:
        s.value = 0
    elif s.value > cap:
        s.value = cap


cdef inline double score_of_rank(int doubled, int n) noexcept nogil:
    return probit((0.5 * doubled + 0.5) / (n + 1))


cdef inline int learn(Channel* c, double y) noexcept nogil:
    """Let a level into the window.  Returns -1 where memory is out."""
    if make_room(&c.window) < 0:
        return -1
    let_level_in(&c.window, code_of(y))
    return 0


cdef inline int wait(Channel* c, double y, bint quarantined) noexcept nogil:
    """Let a level wait behind the guard; the oldest that waits becomes reference, or goes."""
    cdef double oldest
    if c.waiting_n == GUARD:
        if not quarantined:
            oldest = c.waiting[c.waiting_at] * (1.0 / CODES)
            if learn(c, oldest) < 0:
                return -1
            note_record(c, oldest)
    else:
        c.waiting_n += 1
    c.waiting[c.waiting_at] = code_of(y)
    c.waiting_at = (c.waiting_at + 1) % GUARD
    return 0


cdef inline int accept_channel(Channel* c) noexcept nogil:
    """Take the newest samples for the baseline, and close what is open."""
    cdef int i, at
    c.open = NO_TEST
    c.sums[0].value = c.sums[1].value = c.sums[2].value = 0
    c.window.n = c.window.head = 0
    c.epoch_n = c.epochs = 0
    for i in range(c.waiting_n):
        at = c.waiting_at - c.waiting_n + i
        if learn(c, c.waiting[at if at >= 0 else at + GUARD] * (1.0 / CODES)) < 0:
            return -1
    c.waiting_n = 0
    if c.window.n:
        look_at_tail(c)
    return 0


cdef inline void learn_wander(Channel* c, double z) noexcept nogil:
    """Learn how the level wanders by itself, from means of blocks; and how alike neighbours are."""
    cdef double mean, extra, most
    if z > 3:
        z = 3
    elif z < -3:
        z = -3
    c.block_sum += z
    c.pair_sum += z
    c.block_n += 1
    if c.block_n % NEIGHBOURS == 0:
        # The variance of sums of four, beyond what slow wandering gives them.
        c.pairs += c.pairs < 256
        extra = c.pair_sum * c.pair_sum / NEIGHBOURS
        c.pair_var += ((extra if extra < 12 else 12) - c.pair_var) / (c.pairs + 4)
        c.pair_sum = 0
        most = 1 - c.wander if c.wander < 0.75 else 0.25
        c.alike = (c.pair_var - NEIGHBOURS * c.wander) / most
        if c.alike < 1:
            c.alike = 1
    if c.block_n == BLOCK:
        mean = c.block_sum / BLOCK
        extra = (mean * mean if mean * mean < 2 else 2) - 1.0 / BLOCK
        c.blocks += c.blocks < 48
        # Winsorised: one odd block says little, and less once there are many.
        most = (4 if c.blocks < 16 else 2) * (c.wander if c.wander > 0.03 else 0.03)
        c.wander += ((extra if extra < most else most) - c.wander) / (c.blocks + 2)
        if c.wander < 0:
            c.wander = 0
        c.block_sum = 0
        c.block_n = 0


cdef inline double log_tail(const Channel* c, double y) noexcept nogil:
    """Return ln p beyond the 98th percentile by the exponential tail; above ln 0.02 it is 0."""
    return log(0.02) - (y - c.tail_at) / c.tail if y > c.tail_at else 0.0


cdef inline double surprise_of_one(const Channel* c, double y) noexcept nogil:
    """Return -ln p of one call that lies beyond the record; 0 where it does not."""
    if y <= c.tail_at:
        return 0.0
    if (c.epoch_n >= 2 or c.epochs) and y - record_of(c) <= RECORD_MARGIN:
        return 0.0
    return (y - c.tail_at) / c.tail_alone - log(0.02)


cdef inline int channel_step(Channel* c, const Nature* what, double y, double high,
                             unsigned int off, const Moment* at, Said* said) noexcept nogil:
    """Judge one level against the threshold `high`, then learn it unless something is open.

    `off`: bits of the tests that are switched off.  Returns -1 where memory is out.
    """
    cdef double up, down, cluster, ratio_up, ratio_down, k, tail, score, best
    cdef int best_test = NO_TEST
    cdef double cap = EVIDENCE_CAP * high
    say_nothing(said)
    if c.window.n < ARMED:
        if learn(c, y) < 0:
            return -1
        if c.window.n == ARMED:
            look_at_tail(c)
        return 0
    up = score_of_rank(doubled_rank(&c.window, code_of(y - what.dead)), c.window.n)
    down = score_of_rank(doubled_rank(&c.window, code_of(y + what.dead)), c.window.n)
    k = 2 * sqrt(c.wander)
    ratio_up = (up - k - 0.5) / c.alike
    ratio_down = (-down - k - 0.5) / c.alike
    tail = log_tail(c, y - what.dead - k * c.scale)
    if tail < log(CLUSTER_TAIL):
        tail = exp(tail)
        tail = tail if tail > CLUSTER_FLOOR else CLUSTER_FLOOR
        cluster = log(1 - CLUSTER_SHARE
                      + CLUSTER_SHARE / (tail * log(CLUSTER_TAIL / CLUSTER_FLOOR)))
    else:
        cluster = log(1 - CLUSTER_SHARE)
    add_to(&c.sums[SHIFT_UP], ratio_up, cap, at)
    add_to(&c.sums[SHIFT_DOWN], ratio_down, cap, at)
    add_to(&c.sums[CLUSTER], cluster, cap, at)
    c.recent += 0.1 * (y - c.median - c.recent)
    if what.singles:
        said.single = surprise_of_one(c, y - what.dead)
    best = 0
    if what.up and not off & 1 << SHIFT_UP and c.recent >= what.effect:
        best = c.sums[SHIFT_UP].value
        best_test = SHIFT_UP
    if what.down and not off & 1 << SHIFT_DOWN and -c.recent >= what.effect:
        if c.sums[SHIFT_DOWN].value > best:
            best = c.sums[SHIFT_DOWN].value
            best_test = SHIFT_DOWN
    if what.up and not off & 1 << CLUSTER and c.sums[CLUSTER].value > best:
        best = c.sums[CLUSTER].value
        best_test = CLUSTER
    if c.open == NO_TEST:
        if best >= high:
            c.open = best_test
            c.open_for = 0
            c.closing = 0
            # What built the alarm up is not reference.
            c.waiting_n = 0
            said.opened = <int8_t> best_test
            said.statistic = best
            said.since = c.sums[best_test].since
            said.hits = c.sums[best_test].hits
            said.hits_of = c.sums[best_test].n
        elif (said.single >= high - 1 and not off & 1 << SINGLE
                and y - c.median >= 2 * what.effect):
            # Told; it joins the record, and only the second of its size makes that one.
            said.opened = SINGLE
            said.alone = True
            said.statistic = said.single
            said.since = at[0]
            said.hits = said.hits_of = 1
            note_record(c, y)
            return 0
    else:
        c.open_for += 1
        score = ratio_up if c.open == SHIFT_UP else (
            ratio_down if c.open == SHIFT_DOWN else cluster)
        c.closing -= score
        if c.closing < 0:
            c.closing = 0
        if c.closing >= CLOSING:
            said.closed = 1
            c.open = NO_TEST
            c.sums[0].value = c.sums[1].value = c.sums[2].value = 0
        elif c.open_for >= LASTING:
            said.closed = 2
            return accept_channel(c)
    if c.open != NO_TEST:
        return wait(c, y, True)
    if said.closed:
        c.waiting_n = 0
    learn_wander(c, 0.5 * (up + down))
    if wait(c, y, False) < 0:
        return -1
    c.since_refresh += 1
    if c.since_refresh >= REFRESH:
        c.since_refresh = 0
        look_at_tail(c)
    return 0
