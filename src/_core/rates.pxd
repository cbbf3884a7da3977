# cython: cdivision=True
"""How many calls come: buckets of event time, held against the recent level and against the hour.

A bucket is as long as sixteen calls take, on a grid of 1, 2, 5, ... and is closed when T is
`lateness` beyond its end.  Its count c is compared with each forecast m by
z = 2 (sqrt(c + 3/8) - sqrt(m + 3/8)) / sqrt(1 + d m), where d is what counts vary beyond Poisson,
learned.  Forecasts are the recent level, the same hour of other days and the same hour of the week,
as far as they have been seen; the mildest verdict counts, so what is usual at this hour is no news.
*surge*, *drop*: CUSUMs of a shift by 2, less what the level of counts wanders by itself, and worth
less where they rise by themselves (`heights`): ten times the calls see the same slow excursions in
ten times the buckets, which then resemble each other.
The first weekend of a series whose working days are known, and the first working day of one of
which only a weekend is, tells nothing: what is usual then is not known yet.
*silence*: ln(1 + d m) / d, -ln of the chance that none of m expected calls comes where their rate
is gamma-distributed with relative variance d, worth what a drop is worth; and longer than the
silences of the past.

References
----------
Anscombe, F. J. (1948), The Transformation of Poisson, Binomial and Negative-Binomial Data,
Biometrika 35(3/4): the square roots.
"""
from libc.math cimport fabs, log, sqrt
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libc.string cimport memset

from sentinel._core.calibration cimport allowance_of
from sentinel._core.heights cimport Height, follow_height, start_height, worth_of
from sentinel._core.sums cimport (
    EVIDENCE_CAP, NO_TEST, Moment, Said, Sum, add_to, say_nothing)

cdef enum:
    SURGE = 0
    DROP = 1
    SILENCE = 2
    OPEN_BUCKETS = 16       # that wait for late calls
    FIRST_CALLS = 200       # before a bucket's length is chosen
    CALLS_A_BUCKET = 16
    WARM_BUCKETS = 24
    LASTING_BUCKETS = 48
    GRID = 17
    HOURS = 24
    WEEK = 168
    HOUR = 3600

cdef extern from *:
    """
    #define NS 1000000000LL
    /* The bucket lengths, seconds. */
    static const int BUCKET_GRID[17] = {1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800,
                                        3600, 7200, 14400};
    #define RATE_SHIFT 2.0
    """
    const int64_t NS
    const int* BUCKET_GRID
    const double RATE_SHIFT

cdef struct Zone:
    # Local time: from second at[i] on, offset[i] seconds are added to UTC.
    int n
    const int64_t* at
    const int32_t* offset

cdef struct Rate:
    int64_t length          # of a bucket, seconds; 0 until it is chosen
    int64_t bucket          # number of the oldest open one: it begins at bucket * length
    int64_t since           # T of the first call, seconds
    int64_t calls
    int64_t next_choice     # calls at which the length is looked at again
    int32_t[OPEN_BUCKETS] counts
    Sum[2] sums             # SURGE, DROP
    Height[2] heights       # of both
    double level            # calls a bucket, usual
    double recent           # calls a bucket, of about the last four
    double over             # d
    double wander           # variance of block means of z beyond that of independent counts
    double block_sum
    double silent_calls     # expected since the last call
    int64_t silent_from     # second at which the silence under way began
    int64_t[2] longest      # silences of the past, longest first, seconds
    int64_t run_calls       # counted since the sum that is larger left zero
    int64_t run_buckets
    double run_expected
    double z                # of the last bucket that was closed
    double hour_calls
    int64_t hour            # local hour under way
    int32_t hour_seconds
    int32_t buckets
    int32_t blocks
    int32_t block_n
    int32_t open_for
    int32_t open
    float[HOURS] day        # calls a second
    float[WEEK] week
    uint8_t[HOURS] day_n
    uint8_t[WEEK] week_n


cdef inline void start_rate(Rate* r) noexcept nogil:
    r.open = NO_TEST
    r.hour = -1
    r.over = 0.1
    r.wander = 0.1
    start_height(&r.heights[SURGE])
    start_height(&r.heights[DROP])
    r.next_choice = FIRST_CALLS


cdef inline void end_sums(Rate* r) noexcept nogil:
    """Begin both sums anew: how high they were by then is no peak."""
    r.sums[SURGE].value = r.sums[DROP].value = 0
    r.heights[SURGE].top = r.heights[DROP].top = 0


cdef inline double nats_of(const Rate* r, int test) noexcept nogil:
    """Return the evidence of a surge or a drop."""
    return r.sums[test].value / worth_of(&r.heights[test])


cdef inline int64_t local_second(const Zone* zone, int64_t second) noexcept nogil:
    """Return local seconds since a Thursday, a week before 1970: none is negative."""
    cdef int low = 0, high = zone.n, middle
    while low < high:
        middle = (low + high) >> 1
        if zone.at[middle] <= second:
            low = middle + 1
        else:
            high = middle
    return second + WEEK * HOUR + (zone.offset[low - 1 if low else 0] if zone.n else 0)


cdef inline void choose_length(Rate* r, int64_t now, int64_t lateness) noexcept nogil:
    """Choose how long a bucket is, from all calls so far; a new length begins anew."""
    cdef double seconds = now - r.since if now > r.since else 1
    cdef double want = CALLS_A_BUCKET * seconds / r.calls
    cdef int i = 0
    r.next_choice *= 2
    if r.length and (r.open != NO_TEST or 0.5 * r.length <= want <= 1.5 * r.length):
        return
    # All buckets that may still get a late call must fit.
    while i < GRID - 1 and (BUCKET_GRID[i] < want
                            or BUCKET_GRID[i] * (OPEN_BUCKETS - 2) < lateness):
        i += 1
    r.length = BUCKET_GRID[i]
    r.bucket = now // r.length
    memset(r.counts, 0, sizeof(r.counts))
    # The bucket under way has begun without us: it is dropped when it closes.
    r.buckets = -1
    r.level = r.recent = r.calls / seconds * r.length
    r.over = r.wander = 0.1
    end_sums(r)
    r.blocks = r.block_n = 0
    r.block_sum = 0
    r.silent_calls = 0
    r.hour = -1


cdef inline void count_call(Rate* r, int64_t at, int64_t now, int64_t lateness) noexcept nogil:
    """Count a call at second `at`; T is second `now`, and every bucket that is due is closed."""
    cdef int64_t bucket
    if r.calls == 0:
        r.since = now
    r.calls += 1
    if r.length:
        if r.bucket < 0:
            r.bucket = now // r.length
        bucket = at // r.length
        if bucket >= r.bucket and bucket < r.bucket + OPEN_BUCKETS:
            r.counts[bucket % OPEN_BUCKETS] += 1
    if r.calls >= r.next_choice:
        choose_length(r, now, lateness)


cdef inline int64_t due_of(const Rate* r, int64_t lateness) noexcept nogil:
    """Return the second at which the oldest bucket is to be closed."""
    return (r.bucket + 1) * r.length + lateness


cdef inline void learn_slot(float* mean, uint8_t* n, double rate, int memory) noexcept nogil:
    n[0] += n[0] < memory
    mean[0] += <float> ((rate - mean[0]) / n[0])


cdef inline void learn_hours(Rate* r, const Zone* zone, double count) noexcept nogil:
    """Give the hours that the bucket covers what it counted."""
    cdef int64_t middle = r.bucket * r.length + r.length // 2
    cdef int64_t hour, i
    if r.length > HOUR:
        for i in range(r.length // HOUR):
            hour = local_second(zone, r.bucket * r.length + i * HOUR) // HOUR
            learn_slot(&r.day[hour % HOURS], &r.day_n[hour % HOURS], count / r.length, 4)
            learn_slot(&r.week[hour % WEEK], &r.week_n[hour % WEEK], count / r.length, 3)
        return
    hour = local_second(zone, middle) // HOUR
    if hour != r.hour:
        # An hour of which less than half was seen says nothing.
        if r.hour >= 0 and r.hour_seconds >= HOUR // 2:
            learn_slot(&r.day[r.hour % HOURS], &r.day_n[r.hour % HOURS],
                       r.hour_calls / r.hour_seconds, 4)
            learn_slot(&r.week[r.hour % WEEK], &r.week_n[r.hour % WEEK],
                       r.hour_calls / r.hour_seconds, 3)
        r.hour = hour
        r.hour_calls = r.hour_seconds = 0
    r.hour_calls += count
    r.hour_seconds += <int32_t> r.length


cdef inline double deviation_of(const Rate* r, double count, double forecast) noexcept nogil:
    return 2 * (sqrt(count + 0.375) - sqrt(forecast + 0.375)) / sqrt(1 + r.over * forecast)


cdef inline double milder(double one, double other) noexcept nogil:
    """Return the one nearer to 0; 0 where they disagree on the sign."""
    if one * other <= 0:
        return 0.0
    return one if fabs(one) < fabs(other) else other


cdef inline double compare(Rate* r, const Zone* zone, double count, double* least) noexcept nogil:
    """Return z of a count against the mildest forecast; `least`: the least of them."""
    cdef int64_t hour = local_second(zone, r.bucket * r.length + r.length // 2) // HOUR
    cdef double z = deviation_of(r, count, r.level), forecast
    least[0] = r.level
    if r.day_n[hour % HOURS]:
        forecast = <double> r.day[hour % HOURS] * r.length
        z = milder(z, deviation_of(r, count, forecast))
        least[0] = forecast if forecast < least[0] else least[0]
    if r.week_n[hour % WEEK]:
        forecast = <double> r.week[hour % WEEK] * r.length
        z = milder(z, deviation_of(r, count, forecast))
        least[0] = forecast if forecast < least[0] else least[0]
    if z > 5:
        return 5.0
    return z if z > -5 else -5.0


cdef inline bint is_unknown_day(const Rate* r, const Zone* zone) noexcept nogil:
    """Say whether the bucket's hour is known, but only of the other kind of day."""
    cdef int64_t hour = local_second(zone, r.bucket * r.length + r.length // 2) // HOUR
    cdef int day, known = 0
    cdef bint weekend = (hour // HOURS + 3) % 7 >= 5
    for day in range(7):
        if r.week_n[day * HOURS + hour % HOURS]:
            if ((day + 3) % 7 >= 5) == weekend:
                return False
            known += 1
    return known > 0


cdef inline void learn_counts(Rate* r, double z, double count) noexcept nogil:
    """Learn level, over-dispersion and wandering from a bucket in which nothing is open."""
    cdef double mean, extra, most, level = r.level
    z = 3 if z > 3 else (-3 if z < -3 else z)
    r.block_sum += z
    r.block_n += 1
    if r.block_n == 4:
        r.blocks += r.blocks < 32
        mean = r.block_sum / 4
        extra = mean * mean - 0.25
        most = 5 * (r.wander if r.wander > 0.1 else 0.1)
        r.wander += ((extra if extra < most else most) - r.wander) / (r.blocks + 2)
        r.wander = r.wander if r.wander > 0 else 0
        r.block_sum = 0
        r.block_n = 0
    extra = ((count - level) * (count - level) - level) / (level * level if level > 1 else 1)
    most = (8 if r.buckets < 40 else 4) * (r.over if r.over > 0.05 else 0.05)
    r.over += ((extra if extra < most else most) - r.over) / (
        (r.buckets if r.buckets < 80 else 80) + 4)
    r.over = r.over if r.over > 0.02 else 0.02
    if r.buckets <= 4:
        r.level += (count - level) / r.buckets
        return
    # One bucket moves the level by a sixteenth of what is left of it once it is held to a range.
    most = 3 * level + 4
    count = count if count < most else most
    most = 0.25 * level - 2
    r.level += ((count if count > most else most) - level) / 16


cdef inline void note_silence(Rate* r, int64_t seconds) noexcept nogil:
    if seconds > r.longest[0]:
        r.longest[1] = r.longest[0]
        r.longest[0] = seconds
    elif seconds > r.longest[1]:
        r.longest[1] = seconds


cdef inline double silence_evidence(const Rate* r) noexcept nogil:
    """Return -ln of the chance of this silence; 0 unless it is twice as long as those before."""
    cdef int64_t now = (r.bucket + 1) * r.length
    if r.silent_calls <= 0 or now - r.silent_from < 2 * r.longest[1] + r.length:
        return 0.0
    return log(1 + r.over * r.silent_calls) / r.over / worth_of(&r.heights[DROP])


cdef inline void follow_silence(Rate* r, double count, double expected) noexcept nogil:
    if count > 0:
        if r.silent_calls > 0:
            note_silence(r, r.bucket * r.length - r.silent_from)
        r.silent_calls = 0
        return
    if r.silent_calls <= 0:
        r.silent_from = r.bucket * r.length
    # A rate of zero would make a silence out of nothing.
    r.silent_calls += expected if expected > 1e-9 else 1e-9


cdef inline void close_bucket(Rate* r, const Zone* zone, double high, unsigned int off,
                              Said* said) noexcept nogil:
    """Close the oldest bucket: judge its count, then learn it unless something is open."""
    cdef double count = r.counts[r.bucket % OPEN_BUCKETS], z, k, least, silence
    cdef double up, down
    cdef int test
    cdef Moment begins
    say_nothing(said)
    r.counts[r.bucket % OPEN_BUCKETS] = 0
    if r.level <= 0 and count > 0:
        # Calls come again after a silence that was accepted: what is usual is learned anew.
        r.buckets = 0
    r.buckets += 1
    if r.buckets <= 0:
        r.bucket += 1
        return
    begins.time = r.bucket * r.length * NS
    begins.offset = begins.index = -1
    r.recent += (count - r.recent) / 4
    r.z = z = compare(r, zone, count, &least)
    k = allowance_of(r.wander)
    if r.sums[SURGE].value <= 0 and r.sums[DROP].value <= 0:
        r.run_calls = r.run_buckets = 0
        r.run_expected = 0
    r.run_calls += <int64_t> count
    r.run_buckets += 1
    r.run_expected += r.level
    for test in range(2):
        add_to(&r.sums[test], RATE_SHIFT * ((-z if test == DROP else z) - k - 0.5 * RATE_SHIFT),
               EVIDENCE_CAP * high * worth_of(&r.heights[test]), &begins)
    follow_silence(r, count, least)
    if r.buckets < WARM_BUCKETS or is_unknown_day(r, zone):
        end_sums(r)
        r.silent_calls = 0
    elif r.open == NO_TEST:
        for test in range(2):
            follow_height(&r.heights[test], r.sums[test].value, high)
    up = 0 if off & 1 << SURGE else nats_of(r, SURGE)
    down = 0 if off & 1 << DROP else nats_of(r, DROP)
    silence = 0 if off & 1 << SILENCE else silence_evidence(r)
    if r.open == NO_TEST:
        if up >= high or down >= high or silence >= high:
            r.open = SURGE if up >= high else (SILENCE if r.silent_calls > 0 else DROP)
            r.open_for = 0
            said.opened = <int8_t> r.open
            said.statistic = up if r.open == SURGE else (down if down > silence else silence)
            said.since = r.sums[SURGE if r.open == SURGE else DROP].since
            if r.open == SILENCE:
                said.since.time = r.silent_from * NS
                said.since.offset = said.since.index = -1
    else:
        r.open_for += 1
        up = up if up > down else down
        if count > 0 and (up < 0.3 * high or fabs(z) < 0.75):
            said.closed = 1
        elif r.open_for >= LASTING_BUCKETS:
            said.closed = 2
            r.level = count
        if said.closed:
            r.open = NO_TEST
            end_sums(r)
    if r.open == NO_TEST and not said.closed == 2:
        learn_counts(r, z, count)
    if r.open == NO_TEST:
        learn_hours(r, zone, count)
    r.bucket += 1


cdef inline void accept_rate(Rate* r) noexcept nogil:
    """Take the level of now for what is usual."""
    r.level = r.recent
    r.open = NO_TEST
    end_sums(r)


cdef inline bint pass_gap(Rate* r, const Zone* zone, int64_t now, int64_t lateness) noexcept nogil:
    """Pass the empty buckets of a silence that is accepted; says whether there were any.

    Their hours learn zero, those of a week at the most, so a gap costs no more than that.
    """
    cdef int64_t last = (now - lateness) // r.length, begun = r.bucket
    cdef int i, held = 0
    for i in range(OPEN_BUCKETS):
        held += r.counts[i]
    if held == 0 and r.bucket < last - WEEK * HOUR // r.length:
        r.bucket = last - WEEK * HOUR // r.length
    while r.bucket < last and r.counts[r.bucket % OPEN_BUCKETS] == 0:
        learn_hours(r, zone, 0)
        r.bucket += 1
    return r.bucket > begun
