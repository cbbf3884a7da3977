# cython: cdivision=True
"""A subject: one service and model, or a service as a whole, with everything that is known of it.

What it borrows when it is born, what it keeps when it is of another log, how it ends.
"""
from libc.math cimport exp, log
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from sentinel._core.calibration cimport (
    OWN, Channel, accept_channel, close_channel, lend, start_channel)
from sentinel._core.channel cimport Nature, test_of
from sentinel._core.findings cimport (
    CHANNELS, COST, CUT_OFF, ERRORS, LATENCY, LEVEL_CHANNELS, RATE, SPEED, TTFT, USER)
from sentinel._core.rates cimport (
    FIRST_CALLS, NS, Rate, Zone, accept_rate, end_sums, start_rate)
from sentinel._core.residual cimport Fit, start_fit
from sentinel._core.shares cimport Share, ShareNature, accept_share, end_share, start_share
from sentinel._core.speakers cimport Speakers
from sentinel._core.sums cimport ARMED, NO_TEST

cdef extern from *:
    """
    #define WEEK_SECONDS 604800.0
    #define THRESHOLD_LEAST 10.0
    /* Tests of a service with two models: what one allowance is shared among. */
    #define TESTS_A_SERVICE 22.0
    """
    const double WEEK_SECONDS
    const double THRESHOLD_LEAST
    const double TESTS_A_SERVICE

cdef inline uint64_t name_of(key) except? 0:
    """Return a hash of a key that is the same in every process (FNV-1a)."""
    cdef uint64_t h = 0xcbf29ce484222325ULL
    cdef bytes text = "\0".join(["" if part is None else part for part in key]).encode()
    cdef const unsigned char* c = text
    cdef Py_ssize_t i
    for i in range(len(text)):
        h = (h ^ c[i]) * 0x100000001b3ULL
    return h


cdef enum:
    FITS = 3
    WEEK_CALLS = 64         # calls between two looks at how often a service speaks

cdef struct Laws:
    # What everything is judged by.
    Nature[LEVEL_CHANNELS] levels
    ShareNature[2] shares
    unsigned char[CHANNELS] off   # by channel, bits of the tests that are switched off
    Zone zone
    int64_t lateness        # seconds
    double fixed            # a threshold for all; 0: from the allowance
    double allowed          # false alarms a service and week
    double lean             # nats that sensitivity takes off every threshold
    int64_t idle_ns

cdef struct Subject:
    int32_t service         # the subject of the service as a whole; its own number where it is that
    uint64_t model          # hash of (tenant, environment, model)
    uint64_t house          # hash of (tenant, environment)
    int32_t parent          # from whom it borrowed: 0 nobody, 1 its model elsewhere, 2 its house
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
    int32_t[CHANNELS] learned   # by channel; any thread may read them
    bint live


cdef inline void restart_fit(Fit* f, bint of_cost) noexcept nogil:
    """Begin a regression, for the first time or because rounding has spoilt it."""
    # Latency (ms) on 1, prompt / 1000 and answer / 100 tokens; first token likewise; cost (USD) on
    # prompt and answer / 1000 tokens.  A relative error of 0.3 is usual before we know.
    start_fit(f, 1e3 if of_cost else 1e8, 0.2 if of_cost else 0.3)


cdef inline void start_subject(Subject* s) noexcept nogil:
    """Give a subject of zeros its priors."""
    cdef int i
    for i in range(FITS):
        restart_fit(&s.fits[i], i == FITS - 1)
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


cdef inline bint lends_better(const Subject* other, const Subject* best,
                              const Subject* to) noexcept nogil:
    """Tell whether one subject has more to lend than another: its model first, then its calls."""
    if (other.model == to.model) != (best.model == to.model):
        return other.model == to.model
    if other.calls != best.calls:
        return other.calls > best.calls
    return other.name < best.name


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


cdef inline double first_threshold(const Laws* laws) noexcept nogil:
    """Return the threshold before it is known how often a service speaks."""
    return (laws.fixed if laws.fixed > 0 else THRESHOLD_LEAST) - laws.lean


cdef inline void set_threshold(Subject* s, const Laws* laws) noexcept nogil:
    """Take a service's threshold from how often it speaks, once that is known."""
    cdef double high = laws.fixed, seconds = s.week_seconds if s.week_seconds > 1 else 1
    if s.week_calls <= 0:
        s.high = first_threshold(laws)
        return
    if high <= 0:
        high = log(s.week_calls / seconds * WEEK_SECONDS * TESTS_A_SERVICE / laws.allowed)
        if high < THRESHOLD_LEAST:
            high = THRESHOLD_LEAST
    s.high = high - laws.lean


cdef inline void learn_week(Subject* s, const Laws* laws, int64_t clock) noexcept nogil:
    """Count a call of a service, and set its threshold from how often it speaks."""
    cdef double seconds, keep
    s.week_new += 1
    if s.week_at == 0:
        s.week_at = clock
    if s.week_new < WEEK_CALLS:
        return
    seconds = (clock - s.week_at) / <double> NS
    keep = exp(-seconds / WEEK_SECONDS)
    s.week_calls = s.week_calls * keep + s.week_new
    s.week_seconds = s.week_seconds * keep + seconds
    s.week_new = 0
    s.week_at = clock
    set_threshold(s, laws)


cdef inline int borrow(Subject* s, const Subject* parent, bint same_model) noexcept nogil:
    """Give a new subject what its parent knows, until it knows enough itself.

    Of the same model: latency, first token, speed and cost by tokens, and the usual shares.  Of
    another one: the shares alone, for models differ in pace and price.  Sizes of prompts, who calls
    and how often are each service's own.  Returns -1 where memory is out.
    """
    cdef int i
    cdef int[4] lent = [LATENCY, TTFT, COST, SPEED]
    cdef const Channel* theirs
    s.parent = 1 if same_model else 2
    for i in range(2):
        s.shares[i].calls = parent.shares[i].calls if parent.shares[i].calls < OWN else OWN
        if parent.shares[i].calls > 0:
            s.shares[i].hits = parent.shares[i].hits * (
                s.shares[i].calls / parent.shares[i].calls)
    if not same_model:
        return 0
    for i in range(FITS):
        s.fits[i] = parent.fits[i]
    for i in range(4):
        theirs = parent.channels[lent[i]]
        if theirs != NULL and theirs.window.n >= ARMED and theirs.borrowed == 0:
            if channel_of(s, lent[i]) == NULL or lend(theirs, s.channels[lent[i]]) < 0:
                return -1
    return 0


cdef inline int open_test(const Subject* s, int which) noexcept nogil:
    """Return the test of a channel that is open, NO_TEST where none is."""
    if which < LEVEL_CHANNELS:
        if s.channels[which] == NULL or s.channels[which].open == NO_TEST:
            return NO_TEST
        return test_of(s.channels[which].open)
    if which == ERRORS or which == CUT_OFF:
        return s.shares[which - ERRORS].open
    return s.rate.open if which == RATE else s.speakers[which - USER].open


cdef inline void end_test(Subject* s, int which) noexcept nogil:
    """Close what is open of a channel; what waited in quarantine goes.  A rate closes itself."""
    if which < LEVEL_CHANNELS:
        close_channel(s.channels[which])
        s.channels[which].waiting_n = 0
    elif which == ERRORS or which == CUT_OFF:
        end_share(&s.shares[which - ERRORS])
    elif which != RATE:
        s.speakers[which - USER].open = NO_TEST


cdef inline void begin_elsewhere(Subject* s) noexcept nogil:
    """Keep what was learned, and nothing of when: for a log that is not the one it is of."""
    cdef int i
    cdef Channel* c
    s.last = s.touched = s.week_at = 0
    s.week_new = 0
    for i in range(LEVEL_CHANNELS):
        c = s.channels[i]
        if c != NULL:
            close_channel(c)
            c.waiting_n = 0
    for i in range(2):
        s.shares[i].open = s.speakers[i].open = NO_TEST
        s.shares[i].sums[0].value = s.shares[i].sums[1].value = 0
    s.rate.open = NO_TEST
    end_sums(&s.rate)
    # Calls are counted anew: those of before, and the time since, would make the rate too low.
    s.rate.calls = s.rate.since = 0
    s.rate.next_choice = FIRST_CALLS
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
