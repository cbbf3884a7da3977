# cython: cdivision=True
"""What is found: tests that opened or closed, and calls that open tests count."""
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport realloc
from libc.string cimport memset

from sentinel._core.sums cimport Moment

cdef enum:
    # Channels, in the order of detectors.channels.CHANNELS (a test compares).
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

cdef struct Finding:
    int64_t clock           # T at which it happened
    int32_t event           # of the batch, at which or before which it happened
    int32_t subject
    bint due                # time brought it, no call
    int64_t last            # T of the subject's last call; this one's where a call brought it
    int64_t linger_ns       # how long what was found still explains what comes
    uint8_t channel
    int8_t test
    uint8_t kind
    uint8_t borrowed        # what is usual is of 0 itself, 1 its model elsewhere, 2 its house
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
    double[CHANNELS] ratios     # what is recent to what is usual; 0: not known
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


cdef inline int note_hit(Findings* out, int32_t event, int32_t number, int channel,
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
    out.hits[out.hit_n] = Hit(event, number, channel, value)
    out.hit_n += 1
    return 0


cdef inline void date_findings(Findings* out, Py_ssize_t first, const int64_t* clock,
                               Py_ssize_t last) noexcept nogil:
    """Mark the findings from `first` on, which time brought, with the event at which T passed them.

    `clock`: T by event, never decreasing; it has passed them at event `last`.
    """
    cdef Py_ssize_t k, low, high, middle
    for k in range(first, out.n):
        low, high = 0, last
        while low < high:
            middle = (low + high) >> 1
            if clock[middle] < out.rows[k].clock:
                low = middle + 1
            else:
                high = middle
        out.rows[k].event = <int32_t> low
