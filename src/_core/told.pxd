# cython: cdivision=True
"""What is written down of a test that opens or closes: its evidence, and that of all beside it."""
from libc.math cimport exp
from libc.stdint cimport int8_t, int32_t, uint8_t

from sentinel._core.calibration cimport CLUSTER, DENSE, Channel, record_of
from sentinel._core.channel cimport SINGLE
from sentinel._core.findings cimport (
    ACCEPTED, ALONE, CHANNELS, CLOSED, ERRORS, LEVEL_CHANNELS, OPENED, PROMPT, RATE, RESPONSE,
    TESTS, USER, Finding, Findings, new_finding)
from sentinel._core.levels cimport level_at
from sentinel._core.rates cimport DROP, NS, SILENCE, SURGE, nats_of, silence_evidence
from sentinel._core.shares cimport usual_share
from sentinel._core.subject cimport Subject
from sentinel._core.sums cimport ARMED, NO_TEST, Said

cdef enum:
    LINGER_BUCKETS = 3


cdef inline void note_statistics(const Subject* s, Finding* f) noexcept nogil:
    """Write down every test's statistic, and how much each channel has learned."""
    cdef const Channel* c
    cdef int i, k
    for i in range(CHANNELS):
        f.learned[i] = s.learned[i]
    for i in range(LEVEL_CHANNELS):
        c = s.channels[i]
        if c == NULL:
            continue
        if c.window.n >= ARMED:
            f.ratios[i] = exp(c.recent)
        for k in range(3):
            f.statistics[i * TESTS + k] = c.sums[k].value
        if c.sums[DENSE].value > c.sums[CLUSTER].value:
            f.statistics[i * TESTS + CLUSTER] = c.sums[DENSE].value
    for i in range(2):
        if s.shares[i].calls >= ARMED:
            f.ratios[ERRORS + i] = s.shares[i].recent / usual_share(&s.shares[i])
        f.statistics[(ERRORS + i) * TESTS] = max(
            s.shares[i].sums[0].value, s.shares[i].sums[1].value)
        f.statistics[(USER + i) * TESTS] = s.speakers[i].nats
    if s.rate.buckets > 0 and s.rate.level > 0:
        f.ratios[RATE] = s.rate.recent / s.rate.level
    f.statistics[RATE * TESTS + SURGE] = nats_of(&s.rate, SURGE)
    f.statistics[RATE * TESTS + DROP] = nats_of(&s.rate, DROP)
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
    f.last = s.last
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
                                double reference, double record) noexcept nogil:
    """Say in the channel's own unit what was seen and what is usual.

    `reference`: the logarithm of what the level of this call is a ratio to; `record`: what a single
    call has beaten.
    """
    cdef double base = c.reference, level = c.median + c.recent
    cdef double high = level_at(&c.window, 0.995), low = level_at(&c.window, 0.005)
    cdef int minus = 1 if which == PROMPT or which == RESPONSE else 0
    if test == SINGLE or test == CLUSTER:
        base = reference
        # A single call is in the record by now, and no bound of itself.
        if test == CLUSTER:
            record = record_of(c)
        if (c.epoch_n or c.epochs) and record > high:
            high = record
    f.observed = exp(level + base) - minus
    if test == SINGLE or test == CLUSTER:
        f.observed = value
    f.usual = exp(c.median + base) - minus
    f.lower = exp(low + base) - minus
    f.upper = exp(high + base) - minus
    f.n = c.window.n
    if c.borrowed:
        f.borrowed = 1
        f.n = c.borrowed
