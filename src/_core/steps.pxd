# cython: cdivision=True
"""One call of a subject, shown to all its tests; and the buckets that T has passed.

One call at a time, in the order of the log: errors and who speaks first; a call that failed says
nothing else, for its latency, tokens and cost are another population.  Then whether the answer was
cut off, then the levels: latency and cost as what tokens and price leave unexplained, tokens by
themselves.  Buckets are closed when T passes them, whoever's call it was that moved T.
"""
from libc.math cimport NAN, log
from libc.stdint cimport int32_t, int64_t, uint32_t, uint8_t
from libc.stdlib cimport calloc

from sentinel._core.calibration cimport OWN, SHIFT_DOWN, Channel
from sentinel._core.channel cimport SINGLE, channel_step, test_of
from sentinel._core.findings cimport (
    CHANNELS, COST, ERRORS, LATENCY, PROMPT, RATE, SPEED, TESTS, TTFT, USER, Finding, Findings,
    note_hit)
from sentinel._core.rates cimport NS, Rate, close_bucket, due_of, pass_gap
from sentinel._core.residual cimport (
    FIRST_FITS, Fit, fit_step, is_sound, is_unseen, predicted, residual)
from sentinel._core.shares cimport Share, share_step, usual_share
from sentinel._core.speakers cimport SPEAKERS, Speakers, speakers_step
from sentinel._core.subject cimport (
    Laws, Subject, channel_of, end_test, open_test, restart_fit)
from sentinel._core.sums cimport NO_TEST, Moment, Said, say_nothing
from sentinel._core.told cimport describe_level, found

cdef enum:
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

    QUIET_BUCKETS = 8
    QUIET_SECONDS = 900

cdef struct Call:
    # One event, as the tests see it.
    const double* values
    Moment at
    int64_t clock           # T, nanoseconds
    uint8_t finish          # 0 not cut off, 1 cut off, 2 not said
    uint32_t user           # 0: not said
    uint32_t session
    int32_t event


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
    test = test_of(c.open) if c.open != NO_TEST else NO_TEST
    if channel_step(c, &laws.levels[which], y, high, laws.off[which], &call.at, &said) < 0:
        return -1
    s.learned[which] = c.window.n
    c.reference += (reference - c.reference) * (0.1 if c.window.n >= 10 else 0.5)
    if c.open != NO_TEST or said.opened != NO_TEST:
        # What lies beyond the least effect, in the direction of the trouble.
        if (c.median - y if c.open == SHIFT_DOWN else y - c.median) >= laws.levels[which].effect:
            if note_hit(out, call.event, number, which, value) < 0:
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
    describe_level(f, c, which, test, value, reference, said.record)
    return 0


cdef inline double learned_residual(Subject* s, Fit* fit, int which, const double* x, double value,
                                    double least, double* expected) noexcept nogil:
    """Return the residual of a value, and let the regression learn it unless its test is open.

    NaN where nothing is known of what such a call takes.
    """
    cdef double r
    cdef bint unseen
    expected[0] = predicted(fit, x)
    unseen = is_unseen(fit, x, expected[0], least)
    r = residual(value, expected[0], least)
    if fit.n < FIRST_FITS or s.channels[which] == NULL or s.channels[which].open == NO_TEST:
        fit_step(fit, x, value, expected[0], r, least)
        if which == COST:
            fit.typical += 0.01 * ((r if r > 0 else -r) - fit.typical) if -0.5 < r < 0.5 else (
                0.01 * (0.5 - fit.typical))
            fit.typical = fit.typical if fit.typical > 0.02 else 0.02
        if not is_sound(fit):
            restart_fit(fit, which == COST)
    return NAN if unseen else r


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
    if fit.n <= FIRST_FITS or r != r:
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
    s.learned[USER + which] = p.n + 1 if p.n < SPEAKERS else SPEAKERS
    speakers_step(p, who, high, laws.off[USER + which] & 1, &call.at, &said)
    if p.open != NO_TEST and who == p.who:
        if note_hit(out, call.event, number, USER + which, 1) < 0:
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
    s.learned[ERRORS + which] = <int32_t> p.calls + 1
    share_step(p, &laws.shares[which], hit, high, laws.off[ERRORS + which] & 1, &call.at, &said)
    if hit and p.open != NO_TEST and note_hit(out, call.event, number, ERRORS + which, 1) < 0:
        return -1
    if said.opened == NO_TEST and said.closed == 0:
        return 0
    f = found(out, s, number, ERRORS + which, 0, &said, high)
    if f == NULL:
        return -1
    f.event = call.event
    f.clock = call.clock
    f.n = <int32_t> p.calls
    if s.parent and s.calls < OWN:
        f.borrowed = <uint8_t> s.parent
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


cdef inline int whole_step(Subject* s, int32_t number, const Laws* laws, const Call* call,
                           double high, Findings* out) noexcept nogil:
    """Show one call to the tests of its service as a whole: failures of all models together."""
    return share_of_calls_step(s, number, laws, call, 0, call.values[COL_ERROR] > 0, high, out)


cdef inline int pass_silence(Subject* s, int32_t number, int64_t clock, int32_t event,
                             Findings* out) noexcept nogil:
    """Close what is open of a subject whose calls were absent: what comes now is news.

    For a quarter of an hour, or eight buckets where that is longer.  Not of its rate, which judges
    absence.  Returns -1 where memory is out.
    """
    cdef int64_t quiet = QUIET_BUCKETS * s.rate.length
    cdef Finding* f
    cdef Said said
    cdef int which, test
    if clock - s.last <= (quiet if quiet > QUIET_SECONDS else QUIET_SECONDS) * NS or s.last == 0:
        return 0
    say_nothing(&said)
    said.closed = 1
    for which in range(CHANNELS):
        test = open_test(s, which)
        if which == RATE or test == NO_TEST:
            continue
        f = found(out, s, number, which, test, &said, s.high)
        if f == NULL:
            return -1
        f.event = event
        f.clock = clock
        end_test(s, which)
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
    # From when it is idle on a subject begins anew: its buckets are not closed any more.
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
        s.learned[RATE] = r.buckets if r.buckets > 0 else 0
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
