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
Pickands, J. (1975), Statistical Inference Using Extreme Order Statistics, Annals of Statistics
3(1): an excess over a high threshold is close to exponential.
"""
from libc.math cimport exp, log, sqrt
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

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
    #define DENSE_SHARE 0.20
    #define TAIL_SHARE 0.02
    /* A tail of few samples is thinner by luck than it is: its mean excess counts a tenth more. */
    #define TAIL_SAFETY 1.1
    #define TAIL_LEAST 0.02
    /* One call must beat the record by this much, in logarithms: by half. */
    #define RECORD_MARGIN 0.40
    /* Evidence that it is over: exp(-4) is one chance in 55 of closing a test too early. */
    #define CLOSING 4.0
    #define EVIDENCE_CAP 1.5
    /* What wanders this much of its variance or more has no usual level to shift from: the allowance
       for it grows. */
    #define WANDERING 0.4
    #define WANDERING_MORE 1.5
    #define BORROWED_MORE 1.5
    """
    const double CLUSTER_SHARE
    const double CLUSTER_TAIL
    const double CLUSTER_FLOOR
    const double DENSE_SHARE
    const double TAIL_SHARE
    const double TAIL_SAFETY
    const double TAIL_LEAST
    const double RECORD_MARGIN
    const double CLOSING
    const double EVIDENCE_CAP
    const double WANDERING
    const double WANDERING_MORE
    const double BORROWED_MORE

cdef enum:
    GUARD = 64              # samples that wait before they are reference: what builds an alarm up
    ARMED = 100             # levels before anything is judged
    LASTING = 400           # samples after which a shift is the new normal
    EPOCH = 5000            # samples of a record
    REFRESH = 25            # samples between two looks at the tail
    OWN = 256               # levels of its own after which a channel needs no parent's
    BLOCK = 32              # samples of a block whose mean shows how the level wanders
    NEIGHBOURS = 4

    SHIFT_UP = 0
    SHIFT_DOWN = 1
    CLUSTER = 2
    SINGLE = 3
    NO_TEST = -1

    DENSE = 3               # among the sums: the other one of CLUSTER
    SUMS = 4

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
    Sum[SUMS] sums          # SHIFT_UP, SHIFT_DOWN, CLUSTER, DENSE
    double closing          # evidence that what opened is over
    double recent           # moving average of y - median, over about ten samples
    double reference        # moving average of the logarithm of what the level is a ratio to
    double wander           # variance of block means beyond that of independent samples
    double block_sum
    double pair_sum
    double pair_var
    double alike            # v: how much a sum of neighbours varies beyond independent ones
    double wander_k         # k, from the variance
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
    int32_t own             # levels of its own while it borrows
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
    c.wander_k = 2 * sqrt(0.02)
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
        seen = log(TAIL_SHARE * seen if TAIL_SHARE * seen > 2.72 else 2.72)
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


cdef inline void close_channel(Channel* c) noexcept nogil:
    cdef int i
    c.open = NO_TEST
    for i in range(SUMS):
        c.sums[i].value = 0


cdef inline int lend(const Channel* parent, Channel* c) noexcept nogil:
    """Give a new channel the window and the tail of its parent's.  Returns -1 where memory is out."""
    cdef Channel kept = parent[0]
    kept.window.block = <int16_t*> malloc(<size_t> kept.window.capacity * 2 * sizeof(int16_t))
    if kept.window.block == NULL:
        return -1
    memcpy(kept.window.block, parent.window.block,
           <size_t> kept.window.capacity * 2 * sizeof(int16_t))
    kept.waiting_n = kept.waiting_at = 0
    kept.borrowed = kept.window.n
    kept.own = kept.since_refresh = 0
    kept.recent = kept.block_sum = kept.pair_sum = 0
    kept.block_n = 0
    free(c.window.block)
    c[0] = kept
    close_channel(c)
    return 0


cdef inline void count_own(Channel* c) noexcept nogil:
    """Count a level of its own; once there are enough those of the parent go."""
    c.own += 1
    if c.own == OWN:
        c.borrowed = 0
        keep_newest(&c.window, OWN)
        c.epoch_n = c.epochs = 0
        look_at_tail(c)


cdef inline int wait(Channel* c, double y, bint quarantined) noexcept nogil:
    """Let a level wait behind the guard; the oldest that waits becomes reference, or goes."""
    cdef double oldest
    if c.waiting_n == GUARD:
        if not quarantined:
            oldest = c.waiting[c.waiting_at] * (1.0 / CODES)
            if learn(c, oldest) < 0:
                return -1
            note_record(c, oldest)
            if c.borrowed:
                count_own(c)
    else:
        c.waiting_n += 1
    c.waiting[c.waiting_at] = code_of(y)
    c.waiting_at = (c.waiting_at + 1) % GUARD
    return 0


cdef inline int accept_channel(Channel* c) noexcept nogil:
    """Take the newest samples for the baseline, and close what is open."""
    cdef int i, at
    cdef double moved = c.median
    close_channel(c)
    if c.waiting_n == 0:
        return 0
    c.window.n = c.window.head = 0
    for i in range(c.waiting_n):
        at = c.waiting_at - c.waiting_n + i
        if learn(c, c.waiting[at if at >= 0 else at + GUARD] * (1.0 / CODES)) < 0:
            return -1
    c.waiting_n = 0
    look_at_tail(c)
    # How far single calls stray from the usual is not forgotten with it.
    moved = c.median - moved
    c.best += moved
    c.second += moved
    c.last_second += moved
    look_at_tail(c)
    return 0


cdef inline double allowance_of(double wander) noexcept nogil:
    """Return k: what a level may stray without being a shift, in standard scores."""
    cdef double k = 2 * sqrt(wander)
    return k * (1 + WANDERING_MORE * (wander - WANDERING)) if wander > WANDERING else k


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
        c.wander_k = allowance_of(c.wander)
        c.block_sum = 0
        c.block_n = 0


cdef inline double surprise_of_one(const Channel* c, double y) noexcept nogil:
    """Return -ln p of one call that lies beyond the record; 0 where it does not."""
    if y <= c.tail_at:
        return 0.0
    if (c.epoch_n >= 2 or c.epochs) and y - record_of(c) <= RECORD_MARGIN:
        return 0.0
    return (y - c.tail_at) / c.tail_alone - log(TAIL_SHARE)


cdef struct Ratios:
    # What one level says, as log-likelihood ratios by sum; and its scores.
    double[SUMS] of
    double up
    double down


cdef inline void score_level(const Channel* c, const Nature* what, double y,
                             Ratios* r) noexcept nogil:
    cdef double k = c.wander_k, tail, beyond = y - what.dead - k * c.scale
    r.up = score_of_rank(doubled_rank(&c.window, code_of(y - what.dead)), c.window.n)
    r.down = score_of_rank(doubled_rank(&c.window, code_of(y + what.dead)), c.window.n)
    r.of[SHIFT_UP] = (r.up - k - 0.5) / c.alike
    r.of[SHIFT_DOWN] = (-r.down - k - 0.5) / c.alike
    r.of[CLUSTER] = log(1 - CLUSTER_SHARE)
    r.of[DENSE] = log(1 - DENSE_SHARE)
    # A call that is not far from the usual is no bad call, however rare it is.
    if beyond > c.tail_at and y - c.median >= what.effect:
        tail = TAIL_SHARE * exp((c.tail_at - beyond) / c.tail)
        if tail < CLUSTER_TAIL:
            tail = tail if tail > CLUSTER_FLOOR else CLUSTER_FLOOR
            r.of[CLUSTER] = log(1 - CLUSTER_SHARE
                                + CLUSTER_SHARE / (tail * log(CLUSTER_TAIL / CLUSTER_FLOOR)))
        r.of[DENSE] = log(1 - DENSE_SHARE + DENSE_SHARE / TAIL_SHARE)
    r.of[DENSE] /= sqrt(c.alike)


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


cdef inline int test_of(int which) noexcept nogil:
    """Return the test that a sum belongs to."""
    return CLUSTER if which == DENSE else which


cdef inline int channel_step(Channel* c, const Nature* what, double y, double high,
                             unsigned int off, const Moment* at, Said* said) noexcept nogil:
    """Judge one level against the threshold `high`, then learn it unless something is open.

    `off`: bits of the tests that are switched off.  What is judged by a parent's baseline needs half
    as much evidence again.  Returns -1 where memory is out.
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
        return 0
    score_level(c, what, y, &r)
    for i in range(SUMS):
        add_to(&c.sums[i], r.of[i], EVIDENCE_CAP * high, at)
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
