# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""The series of one partition: windows, votes and tests, judged a batch at a time.

A batch is judged in the order of its slots, not of its samples: all samples of one series follow
each other while its window is in the cache.  A series' step reads nothing but its own series, so
the result is the one of the given order; verdicts and cases come back in it.

One thread judges.  Any thread may read a summary at the same time: each has a sequence counter
that is odd while it is written, and neither series nor summaries ever move.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from sentinel._core.cusum cimport cusum_step
from sentinel._core.evidence cimport (
    SILENT_NS, TEST_AGREEMENT, TEST_FAILURES, close_silent, is_over, judge_failure, judge_value,
    start_case)
from sentinel._core.iqr cimport iqr_distance
from sentinel._core.mad cimport mad_score
from sentinel._core.moments cimport (
    add_sample, deviation_of, distance_of, make_anew, mean_of, swap_sample)
from sentinel._core.order cimport sort_by_slot
from sentinel._core.window cimport (
    Ranks, append, grow, median_deviation, quantile, quartile, replace, ring_of, set_ranks, tame)
from sentinel._core.zscore cimport zscore

cdef extern from *:
    """
    #define PREFETCH(p) __builtin_prefetch((const void *)(p), 1)
    #define LIKELY(x) __builtin_expect(!!(x), 1)
    #define FIRES(statistic, threshold) (!((statistic) <= (threshold) && (statistic) >= -(threshold)))

    /* A sequence lock: the writer makes the counter odd, writes, makes it even; a reader that saw
       an odd counter, or two different ones, reads again.  Words are stored and loaded atomically,
       so that the race is one of values, which the counter tells, and never one of half words. */
    #define TURN_OPEN(p) do { \
        __atomic_store_n(&(p)->turn, (p)->turn + 1, __ATOMIC_RELAXED); \
        __atomic_thread_fence(__ATOMIC_RELEASE); } while (0)
    #define TURN_CLOSE(p) __atomic_store_n(&(p)->turn, (p)->turn + 1, __ATOMIC_RELEASE)
    #define WORD_STORE(p, v) do { double v_ = (v); __atomic_store(&(p), &v_, __ATOMIC_RELAXED); } while (0)
    """
    void PREFETCH(const void*) noexcept nogil
    bint LIKELY(bint) noexcept nogil
    bint FIRES(double, double) noexcept nogil
    void TURN_OPEN(Summary*) noexcept nogil
    void TURN_CLOSE(Summary*) noexcept nogil
    void WORD_STORE(double, double) noexcept nogil


cdef class Bank:
    """A bank of series, each with its own window.

    Parameters
    ----------
    voters : sequence of 8 int
        For each metric the detectors that judge it, as bits in the order zscore, iqr, mad, cusum.
    zscore, iqr, mad, cusum, drift : float
        Thresholds of the detectors (zscore: after sensitivity) and the drift of CUSUM.
    window_size : int
        Samples of a full window.
    min_samples : int
        Detection starts when the window holds this many.
    capacity : int
        Most series at one time.
    idle_ns : int
        A series that has been idle for longer than this, in T, starts again empty.

    Notes
    -----
    Values are held to what squares can carry: beyond 1e100 in size they count as 1e100, below
    1e-100 as 0.  NaN and infinity are refused.  A batch costs O(n log window_size), without the
    GIL; memory is 16 bytes a sample of each window's capacity, and about 200 bytes a series.
    """

    def __cinit__(self, *, voters, double zscore=3.0, double iqr=1.5, double mad=3.5,
                  double cusum=5.0, double drift=0.5, int window_size=1000, int min_samples=10,
                  Py_ssize_t capacity=100_000, int64_t idle_ns=7 * 86_400 * 1_000_000_000):
        if window_size < 2 or min_samples < 2 or min_samples > window_size:
            raise ValueError("expected 2 <= min_samples <= window_size")
        if not 0 < capacity < 2**31:
            raise ValueError("expected 0 < capacity < 2**31")
        if len(voters) != METRICS:
            raise ValueError(f"expected voters for {METRICS} metrics, got {len(voters)}")
        cdef Py_ssize_t chunks = (capacity + CHUNK - 1) // CHUNK
        for i in range(METRICS):
            self.rules.voters[i] = voters[i]
        self.rules.size = window_size
        self.rules.least = min_samples
        self.rules.zscore = zscore
        self.rules.iqr = iqr
        self.rules.mad = mad
        self.rules.cusum = cusum
        self.rules.drift = drift
        set_ranks(&self.full, window_size)
        self.capacity = capacity
        self.idle_ns = idle_ns
        self.series = <Series**> calloc(chunks, sizeof(Series*))
        self.summaries = <Summary**> calloc(chunks, sizeof(Summary*))
        self.free_slots = <int32_t*> malloc(capacity * sizeof(int32_t))
        if self.series == NULL or self.summaries == NULL or self.free_slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t slot
        if self.series != NULL:
            for slot in range(self.reached):
                free(self.at(<int32_t> slot).window.block)
            for slot in range((self.capacity + CHUNK - 1) // CHUNK):
                free(self.series[slot])
                if self.summaries != NULL:
                    free(self.summaries[slot])
        free(self.series)
        free(self.summaries)
        free(self.free_slots)
        free(self.order)
        free(self.order_other)
        free(self.verdicts)
        free(self.verdict_order)
        free(self.verdict_of_sample)
        free(self.cases)

    # Slots

    cdef inline Series* at(self, int32_t slot) noexcept nogil:
        return self.series[slot >> CHUNK_BITS] + (slot & (CHUNK - 1))

    cdef int32_t take_slot(self, int32_t key, int metric) except? -1:
        """Hand out a slot for a new series; -1 without an exception where all are taken."""
        cdef int32_t slot
        cdef Py_ssize_t chunk
        cdef Series* s
        if self.free_count:
            self.free_count -= 1
            slot = self.free_slots[self.free_count]
        elif self.reached < self.capacity:
            slot = <int32_t> self.reached
            chunk = slot >> CHUNK_BITS
            if self.series[chunk] == NULL:
                self.series[chunk] = <Series*> calloc(CHUNK, sizeof(Series))
            if self.summaries[chunk] == NULL:
                self.summaries[chunk] = <Summary*> calloc(CHUNK, sizeof(Summary))
            if self.series[chunk] == NULL or self.summaries[chunk] == NULL:
                raise MemoryError
            self.reached += 1
        else:
            return -1
        s = self.at(slot)
        memset(s, 0, sizeof(Series))
        s.key = key
        s.metric = <uint8_t> metric
        s.live = True
        self.live += 1
        return slot

    cdef void release(self, int32_t slot) noexcept nogil:
        """Take a slot back: its series is gone, and readers see an empty summary."""
        cdef Series* s = self.at(slot)
        free(s.window.block)
        memset(s, 0, sizeof(Series))
        self.publish(s, slot)
        self.free_slots[self.free_count] = slot
        self.free_count += 1
        self.live -= 1

    def open(self, int key=0, int metric=0):
        """Make a new, empty series and return its slot.

        Raises
        ------
        OverflowError
            The bank is full.
        """
        if not 0 <= metric < METRICS:
            raise ValueError(f"expected a metric below {METRICS}, got {metric}")
        cdef int32_t slot = self.take_slot(key, metric)
        if slot < 0:
            raise OverflowError(f"the bank holds {self.capacity} series")
        return slot

    # Judging

    cdef int step(self, Series* s, int32_t slot, Py_ssize_t i, const Samples* c) noexcept nogil:
        """Judge one sample of one series, then let it in.  Returns -1 where memory is out."""
        cdef const Rules* r = &self.rules
        cdef Window* w = &s.window
        cdef const double* q
        cdef Verdict* v
        cdef Case* case
        cdef Moment at
        cdef int event = c.event[i] if c.event != NULL else <int> i
        cdef int n, made, k
        cdef unsigned int voters = r.voters[s.metric]
        cdef unsigned int votes = 0
        cdef bint hit = False, agreed = False
        cdef const Ranks* ranks = &self.full
        cdef Ranks growing
        cdef double x = tame(c.value[i])
        cdef double old
        cdef double mean = 0, deviation = 0, distance, q1 = 0, median = 0, q3 = 0, spread = 0
        cdef double z = 0, e = 0, m = 0, u = 0

        if s.last and c.clock[event] - s.last > SILENT_NS:
            if self.reserve_cases(3) < 0:
                return -1
            if s.evidence.open and close_silent(&s.evidence, s.last, c.clock[event]):
                self.close_cases(s, slot, event, s.last + SILENT_NS)
            s.evidence.recent = 0
            if c.clock[event] - s.last > self.idle_ns:
                w.n = w.head = w.mad_low = 0
                memset(&s.moments, 0, sizeof(s.moments))
                s.cusum.up = s.cusum.down = 0
        s.last = c.clock[event]
        n = w.n

        if n >= r.least and (voters or s.metric == METRIC_ERROR):
            q = w.block
            if n != r.size:
                set_ranks(&growing, n)
                ranks = &growing
            if q[0] < q[n - 1]:
                deviation = deviation_of(&s.moments, ranks)
                distance = distance_of(&s.moments, ranks, x)
                mean = mean_of(&s.moments, ranks)
            else:
                mean = q[0]
                distance = x - mean
            if voters:
                q1 = quartile(q, ranks, 0)
                median = quartile(q, ranks, 1)
                q3 = quartile(q, ranks, 2)
                z = zscore(distance, deviation)
                if voters & VOTE_ZSCORE:
                    votes = FIRES(z, r.zscore)
                if voters & VOTE_IQR:
                    e = iqr_distance(x, q1, q3)
                    votes |= FIRES(e, r.iqr) << 1
                if voters & VOTE_MAD:
                    spread = median_deviation(w, median)
                    m = mad_score(x, median, spread)
                    votes |= FIRES(m, r.mad) << 2
                if voters & VOTE_CUSUM:
                    u = cusum_step(&s.cusum, z, r.drift, r.cusum)
                    votes |= FIRES(u, r.cusum) << 3
                agreed = votes != 0 and x > median and (
                    votes & (votes - 1) != 0 or voters & (voters - 1) == 0)
                hit = agreed
            at.time = c.time[event]
            at.offset = c.offset[event] if c.offset != NULL else event
            at.index = c.index[event] if c.index != NULL else 0
            if s.metric == METRIC_ERROR:
                hit = x > 0
                if hit or s.evidence.open:
                    if self.reserve_cases(1) < 0:
                        return -1
                    case = &self.cases[self.case_count]
                    made = judge_failure(&s.evidence, w, mean * n, hit, &at, case)
                else:
                    s.evidence.recent <<= 1
                    made = 0
            elif agreed or s.evidence.open:
                if self.reserve_cases(3) < 0:
                    return -1
                case = &self.cases[self.case_count]
                made = judge_value(&s.evidence, w, r.size, x, agreed, median, &at, case)
            else:
                s.evidence.recent <<= 1
                made = 0
            for k in range(made):
                case[k].event = event
                case[k].slot = slot
            self.case_count += made
            if s.evidence.open and s.metric != METRIC_ERROR:
                hit = hit or x > s.evidence.limit
                if is_over(&s.evidence, x):
                    self.close_cases(s, slot, event, 0)
            if votes or hit or made or (c.watched != NULL and c.watched[event]):
                if self.verdict_count == self.verdict_room and self.reserve_verdicts() < 0:
                    return -1
                self.verdict_of_sample[i] = <int32_t> self.verdict_count
                v = &self.verdicts[self.verdict_count]
                self.verdict_count += 1
                v.sample = <int32_t> i
                v.event = event
                v.slot = slot
                v.n = n
                v.votes = <uint8_t> votes
                v.voters = <uint8_t> voters
                v.armed = True
                v.hit = hit
                v.value = x
                v.z = z
                v.iqr = e
                v.mad = m
                v.cusum = u
                v.mean = mean
                v.deviation = deviation
                v.q1 = q1
                v.median = median
                v.q3 = q3
                v.spread = spread

        if LIKELY(n == r.size):
            old = replace(w, x)
            swap_sample(&s.moments, w, &self.full, old, x)
            return 0
        if n == w.capacity and grow(w, r.size) < 0:
            return -1
        if n == 0:
            s.moments.pivot = x
        append(w, r.size, x)
        n += 1
        add_sample(&s.moments, x)
        # While it grows: made anew at each power of two and when full, or when digits went.
        if n & (n - 1) == 0 or n == r.size:
            make_anew(&s.moments, w)
        return 0

    cdef void close_cases(self, Series* s, int32_t slot, int event, int64_t ended_at) noexcept nogil:
        """Close every open test of a series; room for the cases is there."""
        cdef int test
        for test in range(TEST_AGREEMENT, TEST_FAILURES + 1):
            if s.evidence.open & (1 << test):
                memset(&self.cases[self.case_count], 0, sizeof(Case))
                start_case(&self.cases[self.case_count], &s.evidence, &s.window, test)
                self.cases[self.case_count].opened = False
                self.cases[self.case_count].ended_at = ended_at
                self.cases[self.case_count].event = event
                self.cases[self.case_count].slot = slot
                self.case_count += 1
        s.evidence.open = 0

    cdef void publish(self, Series* s, int32_t slot) noexcept nogil:
        """Write what readers see of a series; its window is what it was after its last sample."""
        cdef Summary* p = self.summaries[slot >> CHUNK_BITS] + (slot & (CHUNK - 1))
        cdef const double* q = s.window.block
        cdef int n = s.window.n
        cdef double median
        cdef Ranks ranks
        TURN_OPEN(p)
        p.n = n
        if n:
            median = quantile(q, n, 0.5)
            set_ranks(&ranks, n)
            WORD_STORE(p.mean, mean_of(&s.moments, &ranks) if q[0] < q[n - 1] else q[0])
            WORD_STORE(p.deviation, deviation_of(&s.moments, &ranks) if q[0] < q[n - 1] else 0.0)
            WORD_STORE(p.q1, quantile(q, n, 0.25))
            WORD_STORE(p.median, median)
            WORD_STORE(p.q3, quantile(q, n, 0.75))
            WORD_STORE(p.mad, median_deviation(&s.window, median))
            WORD_STORE(p.p95, quantile(q, n, 0.95))
            WORD_STORE(p.p99, quantile(q, n, 0.99))
        TURN_CLOSE(p)

    cdef int run(self, const Samples* c) noexcept nogil:
        """Judge the samples of one run, in order.  Verdicts and cases are added to those before.

        Returns -1 where memory is out: the state is then undefined and must not be used again.
        """
        cdef Py_ssize_t i, n = c.n
        cdef int32_t slot, ahead, previous = -1
        cdef Series* s = NULL
        cdef Window* w
        cdef Py_ssize_t first = self.verdict_count
        cdef Py_ssize_t out = first
        cdef int64_t* swap
        if n == 0:
            return 0
        if self.reserve_samples(n) < 0:
            return -1
        memset(self.verdict_of_sample, 0xff, n * sizeof(int32_t))
        if sort_by_slot(c.slot, n, self.order, self.order_other):
            swap = self.order
            self.order = self.order_other
            self.order_other = swap
        for i in range(n):
            slot = <int32_t> (self.order[i] >> 32)
            # Series far apart in memory: ask for the header well ahead, for the window soon after.
            if i + 12 < n:
                ahead = <int32_t> (self.order[i + 12] >> 32)
                if ahead != slot:
                    PREFETCH(self.at(ahead))
            if i + 6 < n:
                ahead = <int32_t> (self.order[i + 6] >> 32)
                if ahead != slot:
                    w = &self.at(ahead).window
                    PREFETCH(w.block + w.capacity + w.head)
                    PREFETCH(w.block + (w.n >> 1))
                    PREFETCH(w.block + (w.n >> 2))
                    PREFETCH(w.block + (w.n >> 1) + (w.n >> 2))
                    PREFETCH(w.block + w.mad_low)
                    PREFETCH(w.block + w.mad_low + (w.n >> 1))
                    PREFETCH(w.block + (w.n >> 3))
                    PREFETCH(w.block + 3 * (w.n >> 3))
                    PREFETCH(w.block + 5 * (w.n >> 3))
                    PREFETCH(w.block + 7 * (w.n >> 3))
            if slot != previous:
                if s != NULL:
                    self.publish(s, previous)
                s = self.at(slot)
                previous = slot
            if self.step(s, slot, <uint32_t> self.order[i], c) < 0:
                return -1
        self.publish(s, previous)
        for i in range(n):
            if self.verdict_of_sample[i] >= 0:
                self.verdict_order[out] = self.verdict_of_sample[i]
                out += 1
        return 0

    cdef int reserve_samples(self, Py_ssize_t n) noexcept nogil:
        cdef Py_ssize_t room = self.sample_room if self.sample_room else 256
        if n <= self.sample_room:
            return 0
        while room < n:
            room *= 2
        free(self.order)
        free(self.order_other)
        free(self.verdict_of_sample)
        self.order = <int64_t*> malloc(room * sizeof(int64_t))
        self.order_other = <int64_t*> malloc(room * sizeof(int64_t))
        self.verdict_of_sample = <int32_t*> malloc(room * sizeof(int32_t))
        if self.order == NULL or self.order_other == NULL or self.verdict_of_sample == NULL:
            return -1
        self.sample_room = room
        return 0

    cdef int reserve_verdicts(self) noexcept nogil:
        cdef Py_ssize_t room = self.verdict_room * 2 if self.verdict_room else 64
        cdef Verdict* verdicts = <Verdict*> realloc(self.verdicts, room * sizeof(Verdict))
        cdef int32_t* order
        if verdicts == NULL:
            return -1
        self.verdicts = verdicts
        order = <int32_t*> realloc(self.verdict_order, room * sizeof(int32_t))
        if order == NULL:
            return -1
        self.verdict_order = order
        self.verdict_room = room
        return 0

    cdef int reserve_cases(self, int more) noexcept nogil:
        cdef Py_ssize_t room = self.case_room if self.case_room else 16
        cdef Case* cases
        if self.case_count + more <= self.case_room:
            return 0
        while room < self.case_count + more:
            room *= 2
        cases = <Case*> realloc(self.cases, room * sizeof(Case))
        if cases == NULL:
            return -1
        self.cases = cases
        self.case_room = room
        return 0

    cdef void forget_batch(self) noexcept nogil:
        self.verdict_count = 0
        self.case_count = 0

    def judge(self, const int32_t[::1] slot, const double[::1] value, const int64_t[::1] time,
              bint every=False):
        """Judge a batch of samples in order, each against its window before it enters.

        What came of it is read with `reports.verdicts`, `reports.fired` and `reports.cases`.

        Parameters
        ----------
        slot : int32[n]
            Slots of open series.
        value : float64[n]
            Finite values.
        time : int64[n], nanoseconds
            Never decreasing: T.
        every : bool
            Give a verdict for every judged sample, not only for those that fired.

        Raises
        ------
        ValueError
            Columns differ in length, or a value is not finite.
        IndexError
            A slot holds no series.
        MemoryError
            Memory is out; the bank must not be used again.
        """
        cdef Samples c
        cdef Py_ssize_t i, n = slot.shape[0]
        cdef int rc
        if value.shape[0] != n or time.shape[0] != n:
            raise ValueError("expected columns of one length")
        self.forget_batch()
        if n == 0:
            return
        watched = np.full(n, every, np.uint8)
        cdef const uint8_t[::1] watched_view = watched
        for i in range(n):
            if not 0 <= slot[i] < self.reached or not self.at(slot[i]).live:
                raise IndexError(f"slot {slot[i]} holds no series")
            if not value[i] - value[i] == 0:
                raise ValueError("expected finite values")
        c.n = n
        c.slot = &slot[0]
        c.value = &value[0]
        c.event = NULL
        c.clock = c.time = &time[0]
        c.offset = NULL
        c.index = NULL
        c.watched = &watched_view[0]
        with nogil:
            rc = self.run(&c)
        if rc < 0:
            raise MemoryError

    @property
    def nbytes(self):
        """Bytes held by series, summaries and windows."""
        cdef Py_ssize_t slot, chunks = (self.reached + CHUNK - 1) // CHUNK
        cdef size_t total = chunks * CHUNK * (sizeof(Series) + sizeof(Summary))
        for slot in range(self.reached):
            total += <size_t> self.at(<int32_t> slot).window.capacity * 2 * sizeof(double)
        return total
