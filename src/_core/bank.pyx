# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""The series of one partition: windows and votes, judged a batch at a time.

A batch is judged in the order of its slots, not of its samples: all samples of one series follow
each other while its window is in the cache.  A series' step reads nothing but its own series, so
the result is the one of the given order; verdicts come back in it.

One thread judges.  Any thread may read a summary at the same time: each has a sequence counter
that is odd while it is written, and neither series nor summaries ever move.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from sentinel._core.order cimport sort_by_slot
from sentinel._core.outcome cimport free_outcome
from sentinel._core.step cimport METRICS, step
from sentinel._core.summary cimport publish
from sentinel._core.window cimport Window, set_ranks

cdef extern from *:
    """
    #define PREFETCH(p) __builtin_prefetch((const void *)(p), 1)
    """
    void PREFETCH(const void*) noexcept nogil


cdef inline void prefetch_window(const Window* w) noexcept nogil:
    """Ask for what a step reads first: where the sample goes, the quartiles, the searches' path."""
    cdef int n = w.n
    PREFETCH(w.block + w.capacity + w.head)
    PREFETCH(w.block + (n >> 1))
    PREFETCH(w.block + (n >> 2))
    PREFETCH(w.block + (n >> 1) + (n >> 2))
    PREFETCH(w.block + w.mad_low)
    PREFETCH(w.block + w.mad_low + (n >> 1))
    PREFETCH(w.block + (n >> 3))
    PREFETCH(w.block + 3 * (n >> 3))
    PREFETCH(w.block + 5 * (n >> 3))
    PREFETCH(w.block + 7 * (n >> 3))


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
        if idle_ns < 1:
            raise ValueError("expected idle_ns above 0")
        if not 0 < capacity < 2**31:
            raise ValueError("expected 0 < capacity < 2**31")
        cdef Py_ssize_t chunks = (capacity + CHUNK - 1) // CHUNK
        self.set_thresholds(
            voters=voters, zscore=zscore, iqr=iqr, mad=mad, cusum=cusum, drift=drift)
        self.rules.size = window_size
        self.rules.least = min_samples
        set_ranks(&self.rules.full, window_size)
        self.rules.idle_ns = idle_ns
        self.capacity = capacity
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
        free(self.verdict_of_sample)
        free_outcome(&self.out)

    # Slots

    cdef inline Series* at(self, int32_t slot) noexcept nogil:
        return self.series[slot >> CHUNK_BITS] + (slot & (CHUNK - 1))

    cdef inline Summary* summary_at(self, int32_t slot) noexcept nogil:
        return self.summaries[slot >> CHUNK_BITS] + (slot & (CHUNK - 1))

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
        publish(self.summary_at(slot), &s.window, &s.moments)
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

    def set_thresholds(self, *, voters, double zscore, double iqr, double mad, double cusum,
                       double drift):
        """Judge by other thresholds from the next batch on; windows and sums stay."""
        if len(voters) != METRICS:
            raise ValueError(f"expected voters for {METRICS} metrics, got {len(voters)}")
        for i in range(METRICS):
            self.rules.voters[i] = voters[i]
        self.rules.zscore = zscore
        self.rules.iqr = iqr
        self.rules.mad = mad
        self.rules.cusum = cusum
        self.rules.drift = drift

    # Judging

    cdef int run(self, const Samples* c) noexcept nogil:
        """Judge the samples of one run, in order.  Verdicts are added to those before.

        Returns -1 where memory is out: the state is then undefined and must not be used again.
        """
        cdef Py_ssize_t i, n = c.n
        cdef int32_t slot, ahead, previous = -1
        cdef Series* s = NULL
        cdef Py_ssize_t sample, out = self.out.verdict_count
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
                    prefetch_window(&self.at(ahead).window)
            if slot != previous:
                if s != NULL:
                    publish(self.summary_at(previous), &s.window, &s.moments)
                s = self.at(slot)
                previous = slot
            sample = <uint32_t> self.order[i]
            if step(s, &self.rules, sample, c, self.verdict_of_sample, &self.out) < 0:
                return -1
        publish(self.summary_at(previous), &s.window, &s.moments)
        for i in range(n):
            if self.verdict_of_sample[i] >= 0:
                self.out.order[out] = self.verdict_of_sample[i]
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

    cdef void forget_batch(self) noexcept nogil:
        self.out.verdict_count = 0

    def judge(self, const int32_t[::1] slot, const double[::1] value, const int64_t[::1] time,
              bint every=False):
        """Judge a batch of samples in order, each against its window before it enters.

        What came of it is read with `reports.verdicts` and `reports.fired`.

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
        c.clock = &time[0]
        c.watched = &watched_view[0]
        with nogil:
            rc = self.run(&c)
        if rc < 0:
            raise MemoryError

    @property
    def idle_ns(self):
        """A series that has been idle for longer than this, in T, starts again empty."""
        return self.rules.idle_ns

    @property
    def nbytes(self):
        """Bytes held by series, summaries and windows."""
        cdef Py_ssize_t slot, chunks = (self.reached + CHUNK - 1) // CHUNK
        cdef size_t total = chunks * CHUNK * (sizeof(Series) + sizeof(Summary))
        for slot in range(self.reached):
            total += <size_t> self.at(<int32_t> slot).window.capacity * 2 * sizeof(double)
        return total
