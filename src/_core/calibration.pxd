# cython: cdivision=True
"""What a channel of levels has learned: window, tail, record, and how it wanders by itself.

The 98th percentile and the mean excess beyond it make the tail: exponential in logarithms, and not
thinner than what explains the record, the second largest of the last 5,000 to 10,000 samples.
*wander* is the variance of the means of 32 neighbours beyond that of independent samples, *alike*
how much a sum of four varies beyond four independent ones; both on scores, winsorised.

A level waits 64 samples before it is learned, and is dropped if a test opens meanwhile.

References
----------
Pickands, J. (1975), Statistical Inference Using Extreme Order Statistics, Annals of Statistics
3(1): an excess over a high threshold is close to exponential.
"""
from libc.math cimport log, sqrt
from libc.stdint cimport int16_t, int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from sentinel._core.levels cimport (
    CODES, Levels, code_of, doubled_ranks, keep_newest, let_level_in, level_at, make_room)
from sentinel._core.probit cimport probit
from sentinel._core.sums cimport NO_TEST, Sum

cdef extern from *:
    """
    #define TAIL_SHARE 0.02
    /* A tail of few samples is thinner by luck than it is: its mean excess counts a tenth more. */
    #define TAIL_SAFETY 1.1
    #define TAIL_LEAST 0.02
    /* What wanders by this much of its variance or more has no usual level to shift from: the
       allowance for it grows, beyond any score of a rank (3.1) where it wanders by almost half. */
    #define WANDERING 0.3
    #define WANDERING_MORE 10.0
    """
    const double TAIL_SHARE
    const double TAIL_SAFETY
    const double TAIL_LEAST
    const double WANDERING
    const double WANDERING_MORE

cdef enum:
    EXCESSES = 250          # levels beyond the 98th percentile of which the mean excess is known
    EXCESSES_LEAST = 20     # as many as a full window has: one outlier is no tail
    AFTER_PRIOR = 10        # levels after one beyond it that stand for independence
    OLDER = 3               # epochs whose records count where the tail says nothing
    GUARD = 64              # samples that wait before they are reference: what builds an alarm up
    EPOCH = 5000            # samples of a record
    RECORD_ARMED = 400      # of which so many are needed before one call can beat it
    RECORD_THIN = 2000      # and so many where the tail says nothing: one in 500 was seen by then
    RECORD_TWICE = 3500     # by when it was seen twice: until then one like it is enough
    REFRESH = 25            # samples between two looks at the tail
    OWN = 256               # levels of its own after which a channel needs no parent's
    BLOCK = 32              # samples of a block whose mean shows how the level wanders
    NEIGHBOURS = 4

    SHIFT_UP = 0
    SHIFT_DOWN = 1
    CLUSTER = 2
    DENSE = 3               # the other sum of the cluster test
    SUMS = 4

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
    double tail_alone       # mean excess of those beyond it
    double tail_share       # how many of the window are
    double record_need      # samples of a record before one call can beat it
    double median
    double scale
    double best             # largest and second largest of this epoch
    double second
    double last_second      # second largest of the one before
    double[OLDER] older     # and of those before it
    double excess           # mean excess beyond the 98th percentile, of the last EXCESSES beyond it
    double excess_n
    double after            # levels beyond it that came right after one beyond it
    double after_n          # levels that came right after one beyond it
    int32_t epoch_n
    int32_t epochs          # of the past, up to 1 + OLDER
    int32_t blocks
    int32_t pairs
    int32_t block_n
    int32_t since_refresh
    int32_t open_for
    int32_t borrowed        # levels that are a parent's; 0 once the window is its own
    int32_t own             # levels of its own while it borrows
    int32_t learned_far     # the level that was learned last lies beyond the 98th percentile
    int32_t far             # so does the one that was judged last
    int32_t open            # the test that is open, NO_TEST where none is


cdef inline void start_channel(Channel* c) noexcept nogil:
    """Give a channel of zeros its priors."""
    c.open = NO_TEST
    # How much a level wanders before we know: a seventh of a standard deviation.
    c.wander = 0.02
    c.wander_k = 2 * sqrt(0.02)
    c.alike = 1.0
    c.pair_var = 1.0
    c.tail = c.tail_alone = TAIL_LEAST
    c.tail_share = TAIL_SHARE
    c.record_need = RECORD_ARMED


cdef inline double record_of(const Channel* c) noexcept nogil:
    """Return the second largest level of this and the last epoch: one outlier is no record."""
    if c.epochs == 0:
        return c.second
    return c.second if c.second > c.last_second else c.last_second


cdef inline double single_record_of(const Channel* c) noexcept nogil:
    """Return what a single call must beat; of all epochs that are kept where the tail is thin."""
    cdef double record = record_of(c)
    cdef int i
    if c.record_need < RECORD_THIN:
        return record
    if c.epochs == 0 and c.epoch_n < RECORD_TWICE:
        return c.best
    for i in range(c.epochs - 1):
        record = c.older[i] if c.older[i] > record else record
    return record


cdef inline void note_record(Channel* c, double y) noexcept nogil:
    cdef int i
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
        for i in range(OLDER - 1, 0, -1):
            c.older[i] = c.older[i - 1]
        c.older[0] = c.last_second
        c.last_second = c.second
        c.epoch_n = 0
        c.epochs += c.epochs <= OLDER


cdef inline void look_at_tail(Channel* c) noexcept nogil:
    """Take median, scale and tail from the window anew."""
    cdef const Levels* w = &c.window
    cdef const int16_t* ordered = w.block
    cdef int n = w.n, first = <int> (0.98 * n), i, beyond = 0
    cdef long total = 0, largest = ordered[n - 1] - ordered[first]
    cdef double seen = c.epoch_n + (EPOCH if c.epochs else 0)
    for i in range(first, n):
        total += ordered[i] - ordered[first]
        beyond += ordered[i] > ordered[first]
    c.tail_at = ordered[first] * (1.0 / CODES)
    c.median = level_at(w, 0.5)
    c.scale = 0.5 * (level_at(w, 0.84) - level_at(w, 0.16))
    if c.scale < 1e-6:
        c.scale = 1e-6
    # Where most of the tail is one value, those beyond it are fewer, and as far as they are.
    c.tail_share = (beyond + 1.0) / n if beyond + 1.0 < TAIL_SHARE * n else TAIL_SHARE
    c.tail_alone = total * (1.0 / CODES) / (beyond if beyond else 1)
    if c.excess_n > beyond and c.excess_n >= EXCESSES_LEAST and c.excess > c.tail_alone:
        c.tail_alone = c.excess
    c.tail_alone *= TAIL_SAFETY
    if c.tail_alone < TAIL_LEAST:
        c.tail_alone = TAIL_LEAST
    c.tail = c.tail_alone
    # Without its largest: one outlier makes no tail.
    c.record_need = RECORD_ARMED
    if total - largest <= TAIL_LEAST * CODES * beyond:
        c.record_need = RECORD_THIN
    if seen >= 200:
        # The tail must also explain the record of the last one or two epochs.
        seen = log(c.tail_share * seen if c.tail_share * seen > 2.72 else 2.72)
        if (record_of(c) - c.tail_at) / seen > c.tail:
            c.tail = (record_of(c) - c.tail_at) / seen


cdef inline void follow_tail(Channel* c, double y) noexcept nogil:
    """Learn how far levels lie beyond the 98th percentile, and how often one after the other."""
    cdef bint far = y > c.tail_at
    if c.learned_far:
        if c.after_n >= EXCESSES:
            c.after *= 1 - 1.0 / EXCESSES
            c.after_n *= 1 - 1.0 / EXCESSES
        c.after += far
        c.after_n += 1
    c.learned_far = far
    if far:
        c.excess_n += c.excess_n < EXCESSES
        c.excess += (y - c.tail_at - c.excess) / c.excess_n


cdef inline double likelier_after(const Channel* c) noexcept nogil:
    """Return how many times likelier one beyond is after one beyond, at least once."""
    cdef double share = (c.after + AFTER_PRIOR * c.tail_share) / (c.after_n + AFTER_PRIOR)
    return share / c.tail_share if share > c.tail_share else 1.0


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
    """Give a new channel the window and tail of its parent's.  Returns -1 where memory is out."""
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
    kept.learned_far = kept.far = 0
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
        c.excess = c.excess_n = c.after = c.after_n = 0
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
            follow_tail(c, oldest)
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
    c.recent = 0
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
    for i in range(OLDER):
        c.older[i] += moved
    look_at_tail(c)
    return 0


cdef inline double allowance_of(double wander) noexcept nogil:
    """Return k: what a level may stray without being a shift, in standard scores."""
    cdef double k = 2 * sqrt(wander)
    return k * (1 + WANDERING_MORE * (wander - WANDERING)) if wander > WANDERING else k


cdef inline void look_back(Channel* c) noexcept nogil:
    """Learn from the first window how the level wanders, before anything is judged by it."""
    cdef const int16_t* came = c.window.block + c.window.capacity
    cdef int[2] ranks
    cdef int i
    cdef double total = 0
    if c.blocks:
        return
    for i in range(c.window.n // BLOCK * BLOCK):
        doubled_ranks(&c.window, came[i], came[i], ranks)
        total += probit((0.5 * ranks[0] + 0.5) / (c.window.n + 1))
        if i % BLOCK == BLOCK - 1:
            c.blocks += 1
            c.wander += (total * total / (BLOCK * BLOCK) - 1.0 / BLOCK - c.wander) / (c.blocks + 2)
            total = 0
    c.wander = c.wander if c.wander > 0 else 0
    c.wander_k = allowance_of(c.wander)


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
