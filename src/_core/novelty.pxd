# cython: cdivision=True
"""Novelty: how far the last stretch of a series lies from every stretch that it has had before.

*Shapes.*  At each of five scales, blocks of 1, 2, 4, 8 and 16 samples, the means of the last eight
blocks are a shape; its novelty is the Euclidean distance to the nearest of the shapes that the
series has had (nearest-neighbour distance to the own past; no model, no season, no unit).  A sixth
stream, the distance to a slow mean, sees what no shape shows.

*Calibration.*  Each stream is held against the largest values that it reaches anyway: the mean and
the standard deviation of the logarithm of its maxima in blocks of 64 samples (Gumbel 1958: maxima
of blocks make series of any distribution and any serial dependence comparable).  The score is the
mean of the six: several must agree.

*Episodes.*  One alarm opens an episode, and the next needs three times as much until the series
has been calm for an hour of minutes; a series that alarms often has to shout louder.

The numbers below were chosen on one half of the Numenta Anomaly Benchmark, once, and confirmed on
the other; where a number has neighbours that do as well, its comment says so.  All of them count
samples: nothing depends on time, on units, or on how long a series will be.
"""
from libc.math cimport INFINITY, exp, fabs, log, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport realloc
from libc.string cimport memmove, memset

cdef extern from *:
    """
    /* The slow mean forgets a hundred samples back. */
    #define LEVEL_RATE 0.01
    /* Eight coordinates, each the difference of two values of this size, have a sum of squares of
       3e37, which a float holds; and differences of 1e-18 still have one, 1e-36. */
    #define FARTHEST 1e18f
    /* Before a series has shown how widely its block maxima spread, the standard deviation of
       their logarithm counts as a quarter, with the weight of fifteen blocks: a series that is
       very regular does not alarm at next to nothing. */
    #define PRIOR_DEVIATION 0.25
    #define PRIOR_BLOCKS 15.0
    /* A distance below a hundredth of the usual one is as good as none. */
    #define FLOOR_SHARE 0.01
    #define FLOOR_LEAST 1e-12
    /* A value outside all that the series has reached counts for two fifths more; the range that
       it has reached shrinks towards its middle, by half in 20,000 samples. */
    #define BEYOND_BONUS 0.4
    #define RANGE_KEEPS 0.9999653432415313     /* 0.5 ** (1 / 20_000) */
    /* Each alarm raises the threshold by a fifth; half of that is forgotten in 10,000 samples. */
    #define HABIT_SHARE 0.2
    #define HABIT_KEEPS 0.9999306876841536     /* 0.5 ** (1 / 10_000) */
    /* An episode ends after EPISODE_CALM samples below half the threshold, and an alarm within one
       needs three times the score of the last. */
    #define CALM_SHARE 0.5
    #define WORSE_RATIO 3.0
    /* One sample of 1e12 blinds nothing: what is more than a hundred times what a block's largest
       usually is teaches level and floor no more than a hundred times that; a maximum likewise,
       unless the one before it was as large.  A true change of any size is learned from its
       second block on. */
    #define TEACHES_AT_MOST 100.0
    #define TEACHES_AT_MOST_LOG 4.605170185988092
    /* What an episode that has been told scores at most: the largest double below 1. */
    #define TOLD 0.99999999999999989
    """
    const double LEVEL_RATE
    const float FARTHEST
    const double PRIOR_DEVIATION
    const double PRIOR_BLOCKS
    const double FLOOR_SHARE
    const double FLOOR_LEAST
    const double BEYOND_BONUS
    const double RANGE_KEEPS
    const double HABIT_SHARE
    const double HABIT_KEEPS
    const double CALM_SHARE
    const double WORSE_RATIO
    const double TEACHES_AT_MOST
    const double TEACHES_AT_MOST_LOG
    const double TOLD

cdef enum:
    # Eight blocks a shape (4 and 12 do worse by two), and octaves from a spike to two hours of
    # minutes.
    SHAPE = 8
    SCALES = 5
    # Blocks remembered a scale; 1,000 do as well, 400 nearly.  Cost and memory go with it.
    MEMORY = 700
    # Block maxima of 64 samples; the last fourteen count: about 900 samples.  An incident raises
    # what is usual for so long, and is then forgotten.
    MAXIMUM_OF = 64
    MAXIMA = 14
    # Samples before the first score, and two maxima.
    WARM = 100
    EPISODE_CALM = 60
    # The sliding means of all scales: SHAPE * (1 + 2 + 4 + 8 + 16).
    RECENT = 248
    # Distances worked out side by side: four registers of four floats.
    LANES = 16
    # Room for blocks begins at the first (more than a tile and a shape) and is doubled up to the
    # last, which has to be moved down to the newest MEMORY only once in 68 blocks.
    FIRST_ROOM = 48
    LAST_ROOM = 768

cdef struct Shapes:
    # Block means of one scale, oldest first; every shape lies in one piece.
    float* blocks
    int room
    int kept

cdef struct Stream:
    int64_t samples
    int64_t maxima          # blocks of MAXIMUM_OF samples so far
    double total            # of the stream's values, each held to what it may teach
    double top              # the largest value of the block under way
    double last             # logarithm of the last block's maximum
    double mean             # of the logarithms of maxima
    double variance
    double usual            # exp(mean), 0 before the first maximum

cdef struct Episode:
    double habit            # recent alarms, fading
    double peak             # the statistic of the last alarm
    double limit            # the threshold of the last sample, raised by habit
    int64_t calm_for        # samples below half the threshold
    bint open

cdef struct State:
    int64_t samples
    double origin           # the first sample: shapes are kept as differences from it
    double level
    double low
    double high
    # Of each scale s the sliding means over s samples, the last SHAPE * s of them.
    double recent[RECENT]
    Shapes shapes[SCALES]
    Stream streams[SCALES + 1]
    Episode episode


cdef inline float square(float x) noexcept nogil:
    return x * x


cdef inline float nearest(const float* b, int n, const float* q) noexcept nogil:
    """Return the smallest squared distance of a shape q to the n shapes that begin in b.

    The first loop is one expression without branches, so that compilers work on several shapes at
    once; in the second each lane keeps a minimum of its own, which needs no order of comparisons.
    """
    cdef float distances[MEMORY + LANES]
    cdef float least[LANES]
    cdef int k, j
    for k in range(n):
        distances[k] = (
            square(q[0] - b[k]) + square(q[1] - b[k + 1])
            + square(q[2] - b[k + 2]) + square(q[3] - b[k + 3])
            + square(q[4] - b[k + 4]) + square(q[5] - b[k + 5])
            + square(q[6] - b[k + 6]) + square(q[7] - b[k + 7]))
    for j in range(LANES):
        distances[n + j] = INFINITY
        least[j] = INFINITY
    k = 0
    while k < n:
        for j in range(LANES):
            least[j] = distances[k + j] if distances[k + j] < least[j] else least[j]
        k += LANES
    for j in range(1, LANES):
        if least[j] < least[0]:
            least[0] = least[j]
    return least[0]


cdef inline int remember(Shapes* s, float block) noexcept nogil:
    """Append a block; -1 where there is no memory for it."""
    cdef int room
    cdef float* blocks
    if s.kept == s.room:
        if s.room < LAST_ROOM:
            room = 2 * s.room if s.room else FIRST_ROOM
            blocks = <float*> realloc(s.blocks, room * sizeof(float))
            if blocks == NULL:
                return -1
            memset(blocks + s.room, 0, (room - s.room) * sizeof(float))
            s.blocks = blocks
            s.room = room
        else:
            memmove(s.blocks, s.blocks + s.kept - MEMORY, MEMORY * sizeof(float))
            s.kept = MEMORY
    s.blocks[s.kept] = block
    s.kept += 1
    return 0


cdef inline float held(double x) noexcept nogil:
    """Return a difference as shapes keep it."""
    if x > FARTHEST:
        return FARTHEST
    return <float> x if x > -FARTHEST else -FARTHEST


cdef inline double distance_at(const Shapes* s, const double* recent, int64_t now,
                               int scale) noexcept nogil:
    """Return the distance of the newest shape to the nearest remembered; -1 while there are few.

    The newest shape ends at this very sample, whatever its place in a block.  The last SHAPE blocks
    lie within it, at least in part, and are not held against it.
    """
    cdef float shape[SHAPE]
    cdef int have = s.kept if s.kept < MEMORY else MEMORY
    cdef int i
    if have <= 2 * SHAPE:
        return -1
    for i in range(SHAPE):
        shape[i] = held(recent[(now - (SHAPE - 1 - i) * scale) & (SHAPE * scale - 1)])
    return sqrt(nearest(s.blocks + s.kept - have, have - 2 * SHAPE + 1, shape))


cdef inline double most_taught(const Stream* s) noexcept nogil:
    """Return the value beyond which a stream learns no more from one sample."""
    return TEACHES_AT_MOST * s.usual if s.maxima else INFINITY


cdef inline void learn_maximum(Stream* s, double largest) noexcept nogil:
    """Count the logarithm of the maximum of a block into mean and variance of the last ones."""
    cdef double difference = largest - s.mean, rate, confirmed
    if s.maxima and difference > TEACHES_AT_MOST_LOG:
        confirmed = (s.last if s.last < largest else largest) - s.mean
        difference = confirmed if confirmed > TEACHES_AT_MOST_LOG else TEACHES_AT_MOST_LOG
    s.last = largest
    s.maxima += 1
    rate = 1.0 / (s.maxima if s.maxima < MAXIMA else MAXIMA)
    s.mean += rate * difference
    s.variance = (1 - rate) * (s.variance + rate * difference * difference)
    s.usual = exp(s.mean)


cdef inline double surprise_of(Stream* s, double r, bint warm) noexcept nogil:
    """Return how far a stream's value lies above its block maxima, in their deviations; 0 below.

    z = (ln(r + floor) - mean) / deviation * sqrt(k / (k + 1)), where mean and deviation are those
    of ln(maximum + floor) of the last k maxima, exponentially weighted; the root allows for the
    error of a mean of k.  The value is judged before its block counts.
    """
    cdef double most = most_taught(s)
    cdef double k, deviation, floor, z = 0
    s.samples += 1
    s.total += r if r < most else most
    floor = FLOOR_SHARE * s.total / s.samples + FLOOR_LEAST
    if warm and s.maxima >= 2 and r + floor > s.usual:
        k = s.maxima if s.maxima < MAXIMA else MAXIMA
        deviation = sqrt((k * s.variance + PRIOR_BLOCKS * PRIOR_DEVIATION * PRIOR_DEVIATION)
                         / (k + PRIOR_BLOCKS))
        z = (log(r + floor) - s.mean) / deviation * sqrt(k / (k + 1))
    if r > s.top:
        s.top = r
    if s.samples % MAXIMUM_OF == 0:
        learn_maximum(s, log(s.top + floor))
        s.top = 0
    return z if z > 0 else 0


cdef inline bint reaches_beyond(State* s, double x) noexcept nogil:
    """Say whether x lies outside all that the series has reached; then it has reached x, too."""
    cdef bint beyond = x < s.low or x > s.high
    cdef double middle = 0.5 * (s.low + s.high)
    s.low = middle + RANGE_KEEPS * (s.low - middle)
    s.high = middle + RANGE_KEEPS * (s.high - middle)
    s.low = x if x < s.low else s.low
    s.high = x if x > s.high else s.high
    return beyond


cdef inline int novelty_step(State* s, double x, double* found) noexcept nogil:
    """Judge one sample and learn it; -1 where there is no memory for it.

    `found` becomes the mean surprise of the six streams, in deviations of block maxima, 0 while
    learning.
    """
    cdef int64_t now = s.samples
    cdef bint warm = now >= WARM
    cdef Stream* of_level = &s.streams[SCALES]
    cdef double* recent = s.recent
    cdef double* finer
    cdef double r, mean, total, most
    cdef int j, scale = 1
    if now == 0:
        s.origin = s.level = s.low = s.high = x
    s.samples += 1
    r = fabs(x - s.level)
    most = most_taught(of_level)
    total = surprise_of(of_level, r, warm)
    s.level += LEVEL_RATE * (r if r < most else most) * (1 if x > s.level else -1)
    mean = x - s.origin
    for j in range(SCALES):
        recent[now & (SHAPE * scale - 1)] = mean
        if s.samples % scale == 0 and remember(&s.shapes[j], held(mean)) < 0:
            return -1
        r = distance_at(&s.shapes[j], recent, now, scale)
        if r >= 0:
            total += surprise_of(&s.streams[j], r, warm)
        # A mean over twice as many is that of two neighbours: no sum that could lose digits.
        finer = recent
        recent += SHAPE * scale
        mean = 0.5 * (mean + finer[(now - scale) & (SHAPE * scale - 1)])
        scale *= 2
    found[0] = total / (SCALES + 1)
    if reaches_beyond(s, x) and warm:
        found[0] *= 1 + BEYOND_BONUS
    return 0


cdef inline double alarm_step(Episode* e, double found, double threshold) noexcept nogil:
    """Return found / threshold, which is at least 1 at an alarm and less than 1 otherwise.

    The threshold is raised by habit.  Within an episode that has been told the quotient is held
    below 1.
    """
    cdef bint alarms
    e.habit *= HABIT_KEEPS
    threshold *= 1 + HABIT_SHARE * e.habit
    e.limit = threshold
    e.open = e.open and e.calm_for < EPISODE_CALM
    alarms = found >= threshold and (not e.open or found > WORSE_RATIO * e.peak)
    if alarms:
        e.open = True
        e.peak = found
        e.habit += 1
    e.calm_for = 0 if found >= CALM_SHARE * threshold else e.calm_for + 1
    return found / threshold if alarms or found < threshold else TOLD
