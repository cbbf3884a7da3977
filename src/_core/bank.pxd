"""The series of one partition: windows, votes and tests, judged a batch at a time."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from sentinel._core.cusum cimport Cusum
from sentinel._core.evidence cimport Case, Evidence, Moment
from sentinel._core.moments cimport Moments
from sentinel._core.window cimport Ranks, Window

cdef enum:
    METRICS = 8
    METRIC_ERROR = 7

    VOTE_ZSCORE = 1
    VOTE_IQR = 2
    VOTE_MAD = 4
    VOTE_CUSUM = 8

    CHUNK_BITS = 10
    CHUNK = 1 << CHUNK_BITS

cdef struct Series:
    Window window
    Moments moments
    Cusum cusum
    Evidence evidence
    int64_t last            # T when the last sample came
    int32_t key
    uint8_t metric
    bint live

cdef struct Summary:
    # What readers see; `turn` is odd while it is being written.
    uint32_t turn
    int32_t n
    double mean
    double deviation
    double q1
    double median
    double q3
    double mad
    double p95
    double p99

cdef struct Rules:
    # Thresholds, and who votes on which metric (bits VOTE_*).
    int32_t size
    int32_t least
    uint8_t voters[METRICS]
    double zscore
    double iqr
    double mad
    double cusum
    double drift

cdef struct Verdict:
    # One judged sample that somebody may want to read: it fired, it is a hit, or it is watched.
    int32_t sample
    int32_t event
    int32_t slot
    int32_t n
    uint8_t votes
    uint8_t voters
    bint armed
    bint hit                # a test counts it against the series
    double value
    double z
    double iqr
    double mad
    double cusum
    double mean
    double deviation
    double q1
    double median
    double q3
    double spread           # the MAD

cdef struct Samples:
    # Columns of one run: sample i belongs to event[i], whose moment and clock stand beside it.
    Py_ssize_t n
    const int32_t* slot
    const double* value
    const int32_t* event            # NULL: sample i is event i
    const int64_t* clock            # by event: T
    const int64_t* time             # by event
    const int64_t* offset           # by event
    const int32_t* index            # by event
    const uint8_t* watched          # by event, or NULL: a verdict for each of its samples

cdef class Bank:
    cdef Rules rules
    cdef Ranks full             # of a full window
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t live
    cdef readonly int64_t idle_ns
    cdef Series** series
    cdef Summary** summaries
    cdef Py_ssize_t reached         # slots below have been handed out at least once
    cdef int32_t* free_slots
    cdef Py_ssize_t free_count
    # Buffers that live from batch to batch
    cdef Py_ssize_t order_room
    cdef int64_t* order
    cdef int64_t* order_other
    cdef Verdict* verdicts
    cdef Py_ssize_t verdict_count, verdict_room
    cdef int32_t* verdict_order
    cdef int32_t* verdict_of_sample
    cdef Py_ssize_t sample_room
    cdef Case* cases
    cdef Py_ssize_t case_count, case_room

    cdef Series* at(self, int32_t slot) noexcept nogil
    cdef int32_t take_slot(self, int32_t key, int metric) except? -1
    cdef void release(self, int32_t slot) noexcept nogil
    cdef void forget_batch(self) noexcept nogil
    cdef int run(self, const Samples* samples) noexcept nogil
    cdef int reserve_samples(self, Py_ssize_t n) noexcept nogil
    cdef int reserve_verdicts(self) noexcept nogil
    cdef int reserve_cases(self, int more) noexcept nogil
    cdef void close_cases(self, Series* s, int32_t slot, int event, int64_t ended_at) noexcept nogil
    cdef int step(self, Series* s, int32_t slot, Py_ssize_t i, const Samples* c) noexcept nogil
    cdef void publish(self, Series* s, int32_t slot) noexcept nogil
