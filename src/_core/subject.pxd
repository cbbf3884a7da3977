# cython: cdivision=True
"""A subject: one service and model, or a service as a whole, with everything that is tested of it.

One call at a time, in the order of the log: errors and who speaks first; a call that failed says
nothing else, for its latency, tokens and cost are another population.  Then whether the answer was
cut off, then the levels: latency and cost as what tokens and price leave unexplained, tokens by
themselves.  Buckets are closed when T passes them, whoever's call it was that moved T.
"""
from libc.math cimport exp, log
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from sentinel._core.channel cimport (
    ARMED, CLUSTER, NO_TEST, SHIFT_DOWN, SINGLE, Channel, Moment, Nature, Said,
    accept_channel, channel_step, record_of, start_channel)
from sentinel._core.levels cimport level_at
from sentinel._core.rates cimport (
    DROP, NS, SILENCE, SURGE, Rate, Zone, accept_rate, close_bucket, due_of, pass_gap,
    silence_evidence, start_rate)
from sentinel._core.residual cimport (
    FIRST_FITS, Fit, fit_step, predicted, residual, start_fit)
from sentinel._core.shares cimport (
    Share, ShareNature, accept_share, share_step, start_share, usual_share)
from sentinel._core.speakers cimport SPEAKERS, Speakers, speakers_step

cdef enum:
    # Channels, in the order of engine.cases.CHANNELS (a test compares).
    LATENCY = 0
    TTFT
    PROMPT
    RESPONSE
    COST
    SPEED
    LEVEL_CHANNELS
    ERRORS = 6
    CUT_OFF
    USER
    SESSION
    RATE
    CHANNELS

    TESTS = 4               # slots of statistics a channel

    # What a finding says
    OPENED = 1
    CLOSED = 2
    ACCEPTED = 3
    ALONE = 4

    FITS = 3
    # Columns of an event's values
    COL_LATENCY = 0
    COL_TTFT
    COL_PROMPT
    COL_RESPONSE
    COL_TOTAL
    COL_COST
    COL_SPEED
    COL_ERROR
    METRICS

    QUIET_SECONDS = 900     # the least silence that closes what is open
    QUIET_BUCKETS = 8
    LINGER_BUCKETS = 3

cdef struct Laws:
    # What everything is judged by.
    Nature[LEVEL_CHANNELS] levels
    ShareNature[2] shares
    uint8_t[CHANNELS] off   # by channel, bits of the tests that are switched off
    Zone zone
    int64_t lateness        # seconds
    double fixed            # a threshold for all; 0: from the allowance
    double allowed          # false alarms a service and week
    double lean             # nats that sensitivity takes off every threshold
    int64_t idle_ns

cdef struct Call:
    # One event, as the tests see it.
    const double* values
    Moment at
    int64_t clock           # T, nanoseconds
    int64_t counted_at      # min(time, received), nanoseconds
    uint8_t finish          # 0 not cut off, 1 cut off, 2 not said
    uint32_t user           # 0: not said
    uint32_t session
    int32_t event

cdef struct Subject:
    int32_t service         # the subject of the service as a whole; its own number where it is that
    int32_t model           # number of (tenant, environment, model)
    int32_t house           # number of (tenant, environment)
    uint64_t name           # hash of its key: settles what is equal otherwise
    int64_t last            # T of its last call; 0 before the first
    int64_t touched         # T at which it last changed, by a call or because T passed
    int64_t calls
    Channel* channels[LEVEL_CHANNELS]
    Fit[FITS] fits
    Share[2] shares
    Speakers[2] speakers
    Rate rate
    # Of a service as a whole
    double week_calls       # with forgetting over a week
    double week_seconds
    int64_t week_at         # T, nanoseconds
    int32_t week_new
    double high             # threshold H, as of its last call; of the service, where it is of one
    bint live

cdef struct Finding:
    int64_t clock           # T at which it happened
    int32_t event           # of the batch, at which or before which it happened
    int32_t subject
    bint due                # time brought it, no call
    int64_t linger_ns       # how long what was found still explains what comes
    uint8_t channel
    int8_t test
    uint8_t kind
    uint8_t borrowed        # 1: what is usual is a parent's
    int32_t n               # what is usual rests on so many
    int32_t hits
    int32_t hits_of
    double statistic
    double threshold
    double observed
    double usual
    double lower
    double upper
    Moment first
    double[CHANNELS * TESTS] statistics
    double[CHANNELS] ratios     # what is recent to what is usual, by channel; 0: not known
    int32_t[CHANNELS] learned

cdef struct Hit:
    # A call that an open test counts against its subject.
    int32_t event
    int32_t subject
    int32_t channel
    double value

cdef struct Findings:
    Finding* rows
    Py_ssize_t n
    Py_ssize_t room
    Hit* hits
    Py_ssize_t hit_n
    Py_ssize_t hit_room


cdef inline Finding* new_finding(Findings* out) noexcept nogil:
    """Return an empty row; NULL where memory is out."""
    cdef Py_ssize_t room
    cdef Finding* rows
    if out.n == out.room:
        room = out.room * 2 if out.room else 16
        rows = <Finding*> realloc(out.rows, <size_t> room * sizeof(Finding))
        if rows == NULL:
            return NULL
        out.rows = rows
        out.room = room
    rows = out.rows + out.n
    memset(rows, 0, sizeof(Finding))
    out.n += 1
    return rows


cdef inline int note_hit(Findings* out, const Call* call, int32_t number, int channel,
                         double value) noexcept nogil:
    """Write down a call that an open test counts.  Returns -1 where memory is out."""
    cdef Py_ssize_t room
    cdef Hit* hits
    if out.hit_n == out.hit_room:
        room = out.hit_room * 2 if out.hit_room else 64
        hits = <Hit*> realloc(out.hits, <size_t> room * sizeof(Hit))
        if hits == NULL:
            return -1
        out.hits = hits
        out.hit_room = room
    out.hits[out.hit_n] = Hit(call.event, number, channel, value)
    out.hit_n += 1
    return 0


cdef inline void start_subject(Subject* s) noexcept nogil:
    """Give a subject of zeros its priors."""
    cdef int i
    # Latency (ms) on 1, prompt / 1000 and answer / 100 tokens; first token likewise; cost (USD) on
    # prompt and answer / 1000 tokens.  A relative error of 0.3 is usual before we know.
    start_fit(&s.fits[0], 1e8, 0.3)
    start_fit(&s.fits[1], 1e8, 0.3)
    start_fit(&s.fits[2], 1e3, 0.2)
    for i in range(2):
        start_share(&s.shares[i])
        s.speakers[i].open = NO_TEST
    start_rate(&s.rate)


cdef inline void end_subject(Subject* s) noexcept nogil:
    """Give back what a subject holds."""
    cdef int i
    for i in range(LEVEL_CHANNELS):
        if s.channels[i] != NULL:
            free(s.channels[i].window.block)
            free(s.channels[i])
            s.channels[i] = NULL
    for i in range(2):
        free(s.speakers[i].ring)
        s.speakers[i].ring = NULL


cdef inline void restart_subject(Subject* s, double high) noexcept nogil:
    """Begin anew after a week without a call; `high`: the threshold of a new subject."""
    cdef Subject kept = s[0]
    end_subject(s)
    memset(s, 0, sizeof(Subject))
    s.service = kept.service
    s.model = kept.model
    s.house = kept.house
    s.name = kept.name
    s.live = True
    start_subject(s)
    s.high = high


cdef inline Channel* channel_of(Subject* s, int which) noexcept nogil:
    """Return a channel, made where it is new; NULL where memory is out."""
    cdef Channel* c = s.channels[which]
    if c == NULL:
        c = <Channel*> calloc(1, sizeof(Channel))
        if c != NULL:
            start_channel(c)
            s.channels[which] = c
    return c


cdef inline void note_statistics(const Subject* s, Finding* f) noexcept nogil:
    """Write down every test's statistic, and how much each channel has learned."""
    cdef const Channel* c
    cdef int i, k
    for i in range(LEVEL_CHANNELS):
        c = s.channels[i]
        if c == NULL:
            continue
        f.learned[i] = c.window.n
        if c.window.n >= ARMED:
            f.ratios[i] = exp(c.recent)
        for k in range(3):
            f.statistics[i * TESTS + k] = c.sums[k].value
    for i in range(2):
        f.learned[ERRORS + i] = <int32_t> s.shares[i].calls
        if s.shares[i].calls >= ARMED:
            f.ratios[ERRORS + i] = s.shares[i].recent / usual_share(&s.shares[i])
        f.statistics[(ERRORS + i) * TESTS] = max(
            s.shares[i].sums[0].value, s.shares[i].sums[1].value)
        f.learned[USER + i] = s.speakers[i].n
        f.statistics[(USER + i) * TESTS] = s.speakers[i].nats
    f.learned[RATE] = s.rate.buckets if s.rate.buckets > 0 else 0
    if s.rate.buckets > 0 and s.rate.level > 0:
        f.ratios[RATE] = s.rate.recent / s.rate.level
    f.statistics[RATE * TESTS + SURGE] = s.rate.sums[SURGE].value
    f.statistics[RATE * TESTS + DROP] = s.rate.sums[DROP].value
    f.statistics[RATE * TESTS + SILENCE] = silence_evidence(&s.rate)


cdef inline Finding* found(Findings* out, const Subject* s, int32_t number, int channel, int test,
                           const Said* said, double high) noexcept nogil:
    """Write down what a step said; NULL where memory is out."""
    cdef Finding* f = new_finding(out)
    if f == NULL:
        return NULL
    f.subject = number
    f.channel = <uint8_t> channel
    f.test = <int8_t> test
    f.threshold = high
    f.linger_ns = LINGER_BUCKETS * s.rate.length * NS
    if said.opened != NO_TEST:
        f.kind = ALONE if said.alone else OPENED
        f.statistic = said.statistic
        f.first = said.since
        f.hits = said.hits
        f.hits_of = said.hits_of
    else:
        f.kind = CLOSED if said.closed == 1 else ACCEPTED
    note_statistics(s, f)
    return f


cdef inline void describe_level(Finding* f, const Channel* c, int which, int test, double value,
                                double reference) noexcept nogil:
    """Say in the channel's own unit what was seen and what is usual.

    `reference`: the logarithm of what the level of this call is a ratio to.
    """
    cdef double base = c.reference, level = c.median + c.recent
    cdef double high = level_at(&c.window, 0.995), low = level_at(&c.window, 0.005)
    cdef int minus = 1 if which == PROMPT or which == RESPONSE else 0
    if test == SINGLE or test == CLUSTER:
        base = reference
        # After an acceptance there is none at first.
        if (c.epoch_n or c.epochs) and record_of(c) > high:
            high = record_of(c)
    f.observed = exp(level + base) - minus
    if test == SINGLE or test == CLUSTER:
        f.observed = value
    f.usual = exp(c.median + base) - minus
    f.lower = exp(low + base) - minus
    f.upper = exp(high + base) - minus
    f.n = c.window.n
    f.borrowed = c.borrowed > 0


cdef inline int level_step(Subject* s, int32_t number, const Laws* laws, const Call* call,
                           int which, double y, double value, double reference, double high,
                           Findings* out) noexcept nogil:
    """Show one level to its channel.  Returns -1 where memory is out."""
    cdef Channel* c = channel_of(s, which)
    cdef Finding* f
    cdef Said said
    cdef int test
    if c == NULL:
        return -1
    test = c.open
    if channel_step(c, &laws.levels[which], y, high, laws.off[which], &call.at, &said) < 0:
        return -1
    c.reference += (reference - c.reference) * (0.1 if c.window.n >= 10 else 0.5)
    if c.open != NO_TEST or said.opened != NO_TEST:
        # What lies beyond the least effect, in the direction of the trouble.
        if (c.median - y if c.open == SHIFT_DOWN else y - c.median) >= laws.levels[which].effect:
            if note_hit(out, call, number, which, value) < 0:
                return -1
    if said.opened == NO_TEST and said.closed == 0:
        return 0
    test = said.opened if said.opened != NO_TEST else test
    f = found(out, s, number, which, test, &said, high)
    if f == NULL:
        return -1
    f.event = call.event
    f.clock = call.clock
    f.statistics[which * TESTS + SINGLE] = said.single
    describe_level(f, c, which, test, value, reference)
    return 0


cdef inline double learned_residual(Subject* s, Fit* fit, int which, const double* x, double value,
                                    double least, double* expected) noexcept nogil:
    """Return the residual of a value, and let the regression learn it unless its test is open."""
    cdef double r
    expected[0] = predicted(fit, x)
    r = residual(value, expected[0], least)
    if fit.n < FIRST_FITS or s.channels[which] == NULL or s.channels[which].open == NO_TEST:
        fit_step(fit, x, value, expected[0], r, least)
        if which == COST:
            fit.typical += 0.01 * ((r if r > 0 else -r) - fit.typical) if -0.5 < r < 0.5 else (
                0.01 * (0.5 - fit.typical))
            fit.typical = fit.typical if fit.typical > 0.02 else 0.02
    return r


cdef inline int explained_step(Subject* s, int32_t number, const Laws* laws, const Call* call,
                               int which, double high, Findings* out) noexcept nogil:
    """Judge latency, time to first token or cost by what tokens leave unexplained."""
    cdef const double* v = call.values
    cdef double prompt = v[COL_PROMPT], response = v[COL_RESPONSE], value, least, r, expected
    cdef double[3] x
    cdef Fit* fit
    if prompt != prompt:
        # A total alone stands in for the prompt: one coefficient is better than none.
        prompt = v[COL_TOTAL] if v[COL_TOTAL] == v[COL_TOTAL] and response != response else 0
    if response != response:
        response = 0
    if which == COST:
        value, least, fit = v[COL_COST], 1e-9, &s.fits[2]
        x[0], x[1], x[2] = prompt / 1000, response / 1000, 0
        if prompt <= 0 and response <= 0:
            x[2] = 1
    elif which == TTFT:
        value, least, fit = v[COL_TTFT], 1.0, &s.fits[1]
        x[0], x[1], x[2] = 1, prompt / 1000, 0
    else:
        value, least, fit = v[COL_LATENCY], 1.0, &s.fits[0]
        x[0], x[1], x[2] = 1, prompt / 1000, response / 100
    if value != value:
        return 0
    r = learned_residual(s, fit, which, x, value, least, &expected)
    if fit.n <= FIRST_FITS:
        return 0
    return level_step(s, number, laws, call, which, r, value,
                      log(expected if expected > least else least), high, out)


cdef inline int speaker_step(Subject* s, int32_t number, const Laws* laws, const Call* call,
                             int which, double high, Findings* out) noexcept nogil:
    """Judge who speaks, a user (0) or a session (1)."""
    cdef Speakers* p = &s.speakers[which]
    cdef uint32_t who = call.session if which else call.user
    cdef Finding* f
    cdef Said said
    if who == 0:
        return 0
    if p.ring == NULL:
        p.ring = <uint32_t*> calloc(SPEAKERS, sizeof(uint32_t))
        if p.ring == NULL:
            return -1
    speakers_step(p, who, high, laws.off[USER + which] & 1, &call.at, &said)
    if p.open != NO_TEST and who == p.who and note_hit(out, call, number, USER + which, 1) < 0:
        return -1
    if said.opened == NO_TEST and said.closed == 0:
        return 0
    f = found(out, s, number, USER + which, 0, &said, high)
    if f == NULL:
        return -1
    f.event = call.event
    f.clock = call.clock
    f.n = p.n
    f.observed = p.hits / <double> p.hits_of if p.hits_of else 0
    f.usual = p.expected
    f.upper = p.expected + (1 - p.expected) / 2
    return 0


cdef inline int share_of_calls_step(Subject* s, int32_t number, const Laws* laws, const Call* call,
                                    int which, bint hit, double high,
                                    Findings* out) noexcept nogil:
    """Judge whether a call failed (0), or its answer was cut off (1)."""
    cdef Share* p = &s.shares[which]
    cdef Finding* f
    cdef Said said
    share_step(p, &laws.shares[which], hit, high, laws.off[ERRORS + which] & 1, &call.at, &said)
    if hit and p.open != NO_TEST and note_hit(out, call, number, ERRORS + which, 1) < 0:
        return -1
    if said.opened == NO_TEST and said.closed == 0:
        return 0
    f = found(out, s, number, ERRORS + which, 0, &said, high)
    if f == NULL:
        return -1
    f.event = call.event
    f.clock = call.clock
    f.n = <int32_t> p.calls
    f.observed = f.hits / <double> f.hits_of if f.hits_of else p.recent
    f.usual = usual_share(p)
    f.upper = p.usual
    return 0


cdef inline int call_step(Subject* s, int32_t number, const Laws* laws, const Call* call,
                          double high, Findings* out) noexcept nogil:
    """Show one call to all tests of a service and model.  Returns -1 where memory is out."""
    cdef const double* v = call.values
    cdef bint failed = v[COL_ERROR] > 0
    cdef int i, which
    if share_of_calls_step(s, number, laws, call, 0, failed, high, out) < 0:
        return -1
    for i in range(2):
        if speaker_step(s, number, laws, call, i, high, out) < 0:
            return -1
    if failed:
        return 0
    if call.finish < 2:
        if share_of_calls_step(s, number, laws, call, 1, call.finish == 1, high, out) < 0:
            return -1
    if explained_step(s, number, laws, call, LATENCY, high, out) < 0:
        return -1
    if explained_step(s, number, laws, call, TTFT, high, out) < 0:
        return -1
    for i in range(2):
        which = COL_PROMPT + i
        if v[which] == v[which]:
            if level_step(s, number, laws, call, PROMPT + i, log(1 + v[which]), v[which], 0, high,
                          out) < 0:
                return -1
    if explained_step(s, number, laws, call, COST, high, out) < 0:
        return -1
    if v[COL_TTFT] == v[COL_TTFT] and v[COL_RESPONSE] > 1 and v[COL_LATENCY] > v[COL_TTFT]:
        # Without the first token, speed says nothing that latency by tokens does not say.
        return level_step(
            s, number, laws, call, SPEED,
            log(1000 * v[COL_RESPONSE] / (v[COL_LATENCY] - v[COL_TTFT])), v[COL_SPEED], 0, high,
            out)
    return 0


cdef inline int64_t next_due(const Subject* s, const Laws* laws) noexcept nogil:
    """Return the second of T at which a bucket is to be closed; the last of all where none is."""
    cdef int64_t due
    if s.rate.length == 0 or s.rate.bucket < 0:
        return 0x7fffffffffffffff
    due = due_of(&s.rate, laws.lateness)
    # What is idle by then has been forgotten, whether somebody has looked since or not.
    return due if due <= (s.last + laws.idle_ns) // NS else 0x7fffffffffffffff


cdef inline int close_due(Subject* s, int32_t number, const Laws* laws, int64_t now,
                          Findings* out) noexcept nogil:
    """Close every bucket that is due at second `now`.  Returns -1 where memory is out."""
    cdef Rate* r = &s.rate
    cdef Finding* f
    cdef Said said
    cdef int test
    cdef int64_t due
    if now > (s.last + laws.idle_ns) // NS:
        now = (s.last + laws.idle_ns) // NS
    while next_due(s, laws) <= now:
        if r.level <= 0 and r.open == NO_TEST:
            # A silence that was accepted: nothing is learned of it bucket by bucket.
            if pass_gap(r, &laws.zone, now, laws.lateness):
                s.touched = (r.bucket * r.length + laws.lateness) * NS
                continue
        due = due_of(r, laws.lateness)
        s.touched = due * NS
        test = r.open
        close_bucket(r, &laws.zone, s.high, laws.off[RATE], &said)
        if said.opened == NO_TEST and said.closed == 0:
            continue
        test = said.opened if said.opened != NO_TEST else test
        f = found(out, s, number, RATE, test, &said, s.high)
        if f == NULL:
            return -1
        f.due = True
        f.clock = due * NS
        f.n = r.buckets
        f.observed = 60.0 * r.run_calls / (r.run_buckets * r.length)
        f.usual = 60.0 * r.run_expected / (r.run_buckets * r.length)
        f.upper = 2 * f.usual
        f.lower = 0.5 * f.usual
        f.hits = <int32_t> r.run_calls
        f.hits_of = <int32_t> r.run_expected
    return 0


cdef inline void begin_elsewhere(Subject* s) noexcept nogil:
    """Keep what was learned, and nothing of when: for a log that is not the one it is of."""
    cdef int i, k
    cdef Channel* c
    s.last = s.touched = s.week_at = 0
    s.week_new = 0
    for i in range(LEVEL_CHANNELS):
        c = s.channels[i]
        if c != NULL:
            c.open = NO_TEST
            c.waiting_n = 0
            for k in range(3):
                c.sums[k].value = 0
    for i in range(2):
        s.shares[i].open = s.speakers[i].open = NO_TEST
        s.shares[i].sums[0].value = s.shares[i].sums[1].value = 0
    s.rate.open = NO_TEST
    s.rate.sums[SURGE].value = s.rate.sums[DROP].value = 0
    # Calls are counted anew: those of before, and the time since, would make the rate too low.
    s.rate.calls = 0
    s.rate.bucket = s.rate.buckets = s.rate.hour = -1
    s.rate.silent_calls = 0
    memset(s.rate.counts, 0, sizeof(s.rate.counts))


cdef inline int accept_channel_of(Subject* s, int which) noexcept nogil:
    """Take what a channel saw last for what is usual.  Returns -1 where memory is out."""
    if which < LEVEL_CHANNELS:
        return accept_channel(s.channels[which]) if s.channels[which] != NULL else 0
    if which == ERRORS or which == CUT_OFF:
        accept_share(&s.shares[which - ERRORS])
    elif which == RATE:
        accept_rate(&s.rate)
    else:
        s.speakers[which - USER].open = NO_TEST
    return 0
