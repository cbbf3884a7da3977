# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""What must be decided in position order, before a batch is judged: time, repeats, and who fits.

T is the largest min(time, received) so far.  An event whose id came before is neither judged nor
stored; one older than seven days behind T is stored only; one behind the allowed lateness is judged
and counted.  A series beyond the cap is judged as `__other__`.  What remains is shown to the tests,
call by call, and becomes columns of samples for the bank.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from sentinel._core.bank cimport Bank
from sentinel._core.evidence cimport Calls, Evidence
from sentinel._core.recent cimport RecentIds
from sentinel._core.roster cimport Roster
from sentinel._core.step cimport METRICS, Samples

from sentinel._core.roster import OTHER_KEY

# State of an event, as bits
cdef enum:
    REPEATED = 1
    LATE = 2
    STALE = 4
    OVERFLOWED = 8
    UNJUDGED = 16

    ERROR = 7

    AHEAD = 8               # events whose id is asked for while others are placed

EVENT_REPEATED, EVENT_LATE, EVENT_STALE = REPEATED, LATE, STALE
EVENT_OVERFLOWED, EVENT_UNJUDGED = OVERFLOWED, UNJUDGED

cdef struct Events:
    # The columns of a batch, by event; `number` and `subject_of` are by key of the batch.
    const int32_t* key
    const int64_t* time
    const int64_t* received
    const double* values
    const uint64_t* id_high
    const uint64_t* id_low
    const int64_t* offset
    const int32_t* index
    const uint8_t* finish
    const uint32_t* user
    const uint32_t* session
    int32_t* number
    int32_t* subject_of
    int32_t* subject        # by event; -1 where the tests do not see it
    int64_t* counted_at     # by event: min(time, received)
    int64_t* clock
    uint8_t* state
    uint8_t* watched


cdef class Partition:
    """One partition's series by key, with its clock and its recent event ids.

    Parameters
    ----------
    lateness_ns, stale_ns : int
        How far behind T an event is late, and stale.
    laws : dict
        What `Evidence` judges by.
    **rules
        What `Roster` takes: max_series, voters, thresholds, window_size, min_samples, idle_ns.
    """

    cdef readonly Roster roster
    cdef readonly Bank bank
    cdef readonly Evidence evidence
    cdef readonly RecentIds recent
    cdef public int64_t clock
    cdef int64_t lateness_ns, stale_ns
    # The samples of one run
    cdef int32_t* slot
    cdef double* value
    cdef int32_t* event
    cdef Py_ssize_t sample_room

    def __cinit__(self, *, dict laws not None, int64_t lateness_ns=10_000_000_000,
                  int64_t stale_ns=7 * 24 * 3600 * 1_000_000_000, **rules):
        self.roster = Roster(**rules)
        self.bank = self.roster.bank
        self.evidence = Evidence(
            lateness_ns=lateness_ns, idle_ns=self.bank.idle_ns, **laws)
        self.recent = RecentIds()
        self.lateness_ns = lateness_ns
        self.stale_ns = stale_ns

    def __dealloc__(self):
        free(self.slot)
        free(self.value)
        free(self.event)

    def advance(self, int64_t clock):
        """Let T come to `clock` without an event; what the tests find is in `evidence`."""
        if clock > self.clock:
            self.clock = clock
        self.evidence.advance(self.clock)

    def judge(self, list keys, const int32_t[::1] key, const int64_t[::1] time,
              const int64_t[::1] received, const double[:, ::1] values,
              const uint64_t[::1] id_high, const uint64_t[::1] id_low,
              const int64_t[::1] offset, const int32_t[::1] index,
              const uint8_t[::1] finish, const uint32_t[::1] user, const uint32_t[::1] session):
        """Judge n events in position order.

        Parameters
        ----------
        keys : list of (tenant, environment, service, model)
            What `key` points into.
        key : int32[n]
        time, received : int64[n], nanoseconds
        values : float64[n, 8]
            Finite, or NaN where absent.
        id_high, id_low : uint64[n]
            Event ids.
        offset : int64[n]
        index : int32[n]
            Positions, ascending.
        finish : uint8[n]
            1 where the answer was cut off, 0 where not, 2 where that is not said.
        user, session : uint32[n]
            Hashes of who called; 0 where not said.

        Returns
        -------
        clock : int64[n]
            T at each event.
        state : uint8[n]
            Bits EVENT_*; 0 for an ordinary event.
        """
        cdef Py_ssize_t n = key.shape[0], i
        cdef Events e
        if not (time.shape[0] == received.shape[0] == values.shape[0] == id_high.shape[0]
                == id_low.shape[0] == offset.shape[0] == index.shape[0] == finish.shape[0]
                == user.shape[0] == session.shape[0] == n):
            raise ValueError("expected columns of one length")
        if values.shape[1] != METRICS:
            raise ValueError(f"expected {METRICS} metrics")
        self.bank.forget_batch()
        self.evidence.forget_batch()
        clock = np.empty(n, np.int64)
        state = np.zeros(n, np.uint8)
        if n == 0:
            return clock, state
        if self.roster.may_sweep(self.clock):
            self.roster.forget_idle(self.clock)
            self.evidence.forget_idle(self.clock)
        self.roster.let_go()
        numbers = np.empty((2, len(keys)), np.int32)
        by_event = np.empty(n, np.int32)
        counted_at = np.empty(n, np.int64)
        watched = np.zeros(n, np.uint8)
        cdef int64_t[::1] clock_view = clock, counted_view = counted_at
        cdef uint8_t[::1] state_view = state, watched_view = watched
        cdef int32_t[:, ::1] number = numbers
        cdef int32_t[::1] subject = by_event
        for i in range(n):
            if not 0 <= key[i] < number.shape[1]:
                raise IndexError("expected keys of this batch")
        self.reserve(n * METRICS)
        e = Events(&key[0], &time[0], &received[0], &values[0, 0], &id_high[0], &id_low[0],
                   &offset[0], &index[0], &finish[0], &user[0], &session[0], &number[0, 0],
                   &number[1, 0], &subject[0], &counted_view[0], &clock_view[0], &state_view[0],
                   &watched_view[0])
        self.judge_events(&e, n, keys, numbers)
        return clock, state

    cdef int judge_events(self, const Events* e, Py_ssize_t n, list keys, numbers) except -1:
        """Turn events into samples and judge these, in one run unless the cap gets in the way."""
        cdef Samples c
        cdef Calls calls
        cdef Py_ssize_t i = 0, base
        cdef int rc
        c.slot = self.slot
        c.value = self.value
        c.event = self.event
        c.clock = e.clock
        c.watched = e.watched
        calls = Calls(0, e.subject, e.values, e.time, e.counted_at, e.clock, e.offset, e.index,
                      e.finish, e.user, e.session, e.watched)
        numbers[1] = [self.evidence.numbers.get(k, -1) for k in keys]
        while i < n:
            numbers[0] = [self.roster.key_numbers.get(k, -1) for k in keys]
            c.n = 0
            base = i
            while i < n and self.place(i, e, keys, &c.n):
                i += 1
                if i + AHEAD < n:
                    self.recent.expect(e.id_high[i + AHEAD], e.id_low[i + AHEAD])
            calls.n = i
            with nogil:
                rc = self.evidence.run(&calls, base)
                if rc == 0:
                    rc = self.bank.run(&c)
            if rc < 0:
                raise MemoryError
            if i < n:
                # The cap was reached while samples of series that are idle by now were waiting.
                self.roster.forget_idle(self.clock)
        return 0

    cdef int reserve(self, Py_ssize_t n) except -1:
        if n <= self.sample_room:
            return 0
        free(self.slot)
        free(self.value)
        free(self.event)
        self.slot = <int32_t*> malloc(n * sizeof(int32_t))
        self.value = <double*> malloc(n * sizeof(double))
        self.event = <int32_t*> malloc(n * sizeof(int32_t))
        self.sample_room = n
        if self.slot == NULL or self.value == NULL or self.event == NULL:
            self.sample_room = 0
            raise MemoryError
        return 0

    cdef bint place(self, Py_ssize_t i, const Events* e, list keys, Py_ssize_t* made) except? -1:
        """Turn event i into samples; False where idle series must be given back before."""
        cdef const double* values = e.values + i * METRICS
        cdef int32_t number = e.number[e.key[i]]
        cdef int32_t slot
        cdef bint fresh = False
        cdef int metric
        cdef int64_t at = e.time[i] if e.time[i] < e.received[i] else e.received[i]
        if at > self.clock:
            self.clock = at
        e.clock[i] = self.clock
        e.counted_at[i] = at
        e.subject[i] = -1
        e.watched[i] = values[ERROR] > 0
        if self.recent.is_repeat(e.id_high[i], e.id_low[i], self.clock, e.offset[i], e.index[i]):
            e.state[i] = REPEATED
            return True
        if e.time[i] < self.clock - self.stale_ns:
            e.state[i] = STALE
            return True
        if e.time[i] < self.clock - self.lateness_ns:
            e.state[i] = LATE
        for metric in range(METRICS):
            if values[metric] == values[metric] and (
                    number < 0 or self.roster.slots[number * METRICS + metric] < 0):
                fresh = True
        if fresh and self.clock > self.roster.next_sweep and self.roster.is_tight():
            return False
        for metric in range(METRICS):
            if values[metric] != values[metric]:
                continue
            slot = self.roster.slots[number * METRICS + metric] if number >= 0 else -1
            if slot < 0:
                slot = self.open_for(keys[e.key[i]], metric, &e.state[i])
                number = self.roster.key_numbers.get(keys[e.key[i]], -1)
                e.number[e.key[i]] = number
                if slot < 0:
                    continue
            self.slot[made[0]] = slot
            self.value[made[0]] = values[metric]
            self.event[made[0]] = <int32_t> i
            made[0] += 1
        if e.state[i] & OVERFLOWED:
            if not e.state[i] & UNJUDGED:
                e.subject[i] = self.evidence.subject_of((keys[e.key[i]][0], *OTHER_KEY))
            return True
        if e.subject_of[e.key[i]] < 0:
            e.subject_of[e.key[i]] = self.evidence.subject_of(keys[e.key[i]])
        e.subject[i] = e.subject_of[e.key[i]]
        return True

    cdef int32_t open_for(self, key, int metric, uint8_t* state) except? -1:
        """Return the slot of a new series, beyond the cap that of `__other__`, or -1."""
        cdef int32_t slot = self.roster.open_series(key, metric)
        if slot >= 0:
            return slot
        state[0] |= OVERFLOWED
        slot = self.roster.open_series((key[0], *OTHER_KEY), metric)
        if slot < 0:
            state[0] |= UNJUDGED
        return slot
