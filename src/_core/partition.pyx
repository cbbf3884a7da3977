# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""What must be decided in position order, before a batch is judged: time, repeats, and who fits.

T is the largest min(time, received) so far.  An event whose id came before is neither judged nor
stored; one older than seven days behind T is stored only; one behind the allowed lateness is judged
and counted.  A series beyond the cap is judged as `__other__`.  What remains becomes columns of
samples for the bank.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc

from sentinel._core.bank cimport Bank
from sentinel._core.recent cimport RecentIds
from sentinel._core.step cimport METRICS, Samples, Series

# State of an event, as bits
cdef enum:
    REPEATED = 1
    LATE = 2
    STALE = 4
    OVERFLOWED = 8
    UNJUDGED = 16

    ERROR = 7

    # Series of `__other__`: one key a tenant, for this many tenants.
    OTHER_MAX = METRICS * 128
    BATCH_EVENTS = 65536    # the largest batch for whose new series slots are kept

EVENT_REPEATED, EVENT_LATE, EVENT_STALE = REPEATED, LATE, STALE
EVENT_OVERFLOWED, EVENT_UNJUDGED = OVERFLOWED, UNJUDGED
OTHER = "__other__"
OTHER_KEY = ("default", OTHER, OTHER)

cdef int64_t HOUR_NS = 3600 * <int64_t> 1000000000

cdef struct Events:
    # The columns of a batch, by event; `number` is by key of the batch.
    const int32_t* key
    const int64_t* time
    const int64_t* received
    const double* values
    const uint64_t* id_high
    const uint64_t* id_low
    const int64_t* offset
    const int32_t* index
    int32_t* number
    int64_t* clock
    uint8_t* state
    uint8_t* watched


cdef inline bint is_other(key) except -1:
    """Say whether a key is that of what is beyond the cap; a service of that name alone is not."""
    return key[2] == OTHER and tuple(key[1:]) == OTHER_KEY


cdef class Partition:
    """One partition's series by key, with its clock and its recent event ids.

    Parameters
    ----------
    max_series : int
        Cap on series, those of `__other__` beside it.
    lateness_ns, stale_ns : int
        How far behind T an event is late, and stale.
    **rules
        What `Bank` takes: voters, thresholds, window_size, min_samples, idle_ns.
    """

    cdef readonly Bank bank
    cdef readonly RecentIds recent
    cdef public int64_t clock
    cdef readonly Py_ssize_t max_series
    cdef int64_t lateness_ns, stale_ns
    cdef dict key_numbers           # (tenant, environment, service, model) -> number
    cdef list keys                  # number -> that tuple, or None
    cdef list free_keys
    cdef int32_t* slots             # by number and metric; -1 where no series is
    cdef Py_ssize_t key_room
    cdef Py_ssize_t ordinary        # series that are not __other__
    cdef Py_ssize_t others          # and those that are
    cdef int64_t next_sweep
    cdef set leaving                # slots of series that went in this batch: still to be named
    cdef list leaving_keys
    # The samples of one run
    cdef int32_t* slot
    cdef double* value
    cdef int32_t* event
    cdef Py_ssize_t sample_room

    def __cinit__(self, *, Py_ssize_t max_series=100_000, int64_t lateness_ns=10_000_000_000,
                  int64_t stale_ns=7 * 24 * 3600 * 1_000_000_000, **rules):
        # Twice the series, and a batch of new ones: what went idle leaves when its batch is read.
        self.bank = Bank(capacity=2 * (max_series + OTHER_MAX) + METRICS * BATCH_EVENTS, **rules)
        self.recent = RecentIds()
        self.max_series = max_series
        self.lateness_ns = lateness_ns
        self.stale_ns = stale_ns
        self.key_numbers = {}
        self.keys = []
        self.free_keys = []
        self.leaving = set()
        self.leaving_keys = []

    def __dealloc__(self):
        free(self.slots)
        free(self.slot)
        free(self.value)
        free(self.event)

    # Keys and series

    cdef int number_of(self, key) except -1:
        """Return the number of a key, a new one where it has none."""
        cdef Py_ssize_t number, room
        cdef int32_t* slots
        known = self.key_numbers.get(key)
        if known is not None:
            return known
        if self.free_keys:
            number = self.free_keys.pop()
            self.keys[number] = key
        else:
            number = len(self.keys)
            if number == self.key_room:
                room = self.key_room * 2 if self.key_room else 64
                slots = <int32_t*> realloc(self.slots, room * METRICS * sizeof(int32_t))
                if slots == NULL:
                    raise MemoryError
                self.slots = slots
                self.key_room = room
            self.keys.append(key)
        for metric in range(METRICS):
            self.slots[number * METRICS + metric] = -1
        self.key_numbers[key] = number
        return <int> number

    cdef int32_t open_series(self, key, int metric) except? -1:
        """Return the slot of a new series of `key`; -1 where there is no room for one."""
        cdef int number
        cdef int32_t slot
        known = self.slot_of(key, metric)
        if known is not None:
            return known
        if self.others >= OTHER_MAX if is_other(key) else self.ordinary >= self.max_series:
            return -1
        number = self.number_of(key)
        slot = self.bank.take_slot(number, metric)
        if slot >= 0:
            self.slots[number * METRICS + metric] = slot
            self.ordinary += not is_other(key)
            self.others += is_other(key)
        elif all(self.slots[number * METRICS + m] < 0 for m in range(METRICS)):
            self.forget_key(number)
        return slot

    cdef int forget_key(self, int number) except -1:
        del self.key_numbers[self.keys[number]]
        self.leaving_keys.append(number)
        return 0

    cdef int let_go(self) except -1:
        """Give back the slots and numbers of what the last batch forgot: nobody asks any more."""
        for slot in self.leaving:
            self.bank.release(slot)
        for number in self.leaving_keys:
            self.keys[number] = None
        self.free_keys += self.leaving_keys
        self.leaving.clear()
        self.leaving_keys.clear()
        return 0

    cdef int forget_idle(self) except -1:
        """Forget series that have been idle for too long; verdicts of this batch may name them."""
        cdef Py_ssize_t slot
        cdef Series* s
        cdef int number, metric
        cdef int64_t earliest = self.clock
        for slot in range(self.bank.reached):
            s = self.bank.at(<int32_t> slot)
            if not s.live or s.last == 0:
                continue
            if self.clock - s.last <= self.bank.rules.idle_ns:
                if s.last < earliest:
                    earliest = s.last
                continue
            if slot in self.leaving:
                continue
            number = s.key
            self.slots[number * METRICS + s.metric] = -1
            self.ordinary -= not is_other(self.keys[number])
            self.others -= is_other(self.keys[number])
            self.leaving.add(slot)
            for metric in range(METRICS):
                if self.slots[number * METRICS + metric] >= 0:
                    break
            else:
                self.forget_key(number)
        self.next_sweep = earliest + self.bank.rules.idle_ns
        return 0

    def key_of(self, int slot):
        """Return the key of a slot's series, and its metric's number; None where it has none."""
        cdef Series* s
        if not 0 <= slot < self.bank.reached:
            return None
        s = self.bank.at(slot)
        return (self.keys[s.key], s.metric) if s.live else None

    def slot_of(self, key, int metric):
        """Return the slot of a series, or None."""
        number = self.key_numbers.get(key)
        if number is None or not 0 <= metric < METRICS:
            return None
        slot = self.slots[<int> number * METRICS + metric]
        return slot if slot >= 0 else None

    def adopt(self, key, int metric):
        """Return the slot of a series, opened where it is new; for series that are read back.

        Raises
        ------
        OverflowError
            There is no room for it.
        """
        slot = self.open_series(key, metric)
        if slot < 0:
            raise OverflowError(f"the partition holds {self.max_series} series")
        return slot

    def live_slots(self):
        """Return the slots of all series that are not idle at T, ascending."""
        cdef Py_ssize_t slot
        cdef Series* s
        found = []
        for slot in range(self.bank.reached):
            s = self.bank.at(<int32_t> slot)
            if s.live and not (s.last and self.clock - s.last > self.bank.rules.idle_ns):
                found.append(slot)
        return found

    # A batch

    def judge(self, list keys, const int32_t[::1] key, const int64_t[::1] time,
              const int64_t[::1] received, const double[:, ::1] values,
              const uint64_t[::1] id_high, const uint64_t[::1] id_low,
              const int64_t[::1] offset, const int32_t[::1] index):
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
                == id_low.shape[0] == offset.shape[0] == index.shape[0] == n):
            raise ValueError("expected columns of one length")
        if values.shape[1] != METRICS:
            raise ValueError(f"expected {METRICS} metrics")
        self.bank.forget_batch()
        clock = np.empty(n, np.int64)
        state = np.zeros(n, np.uint8)
        if n == 0:
            return clock, state
        if self.clock > self.next_sweep + HOUR_NS:
            self.forget_idle()
        self.let_go()
        watched, numbers = np.zeros(n, np.uint8), np.empty(len(keys), np.int32)
        cdef int64_t[::1] clock_view = clock
        cdef uint8_t[::1] state_view = state
        cdef uint8_t[::1] watched_view = watched
        cdef int32_t[::1] number = numbers
        for i in range(n):
            if not 0 <= key[i] < number.shape[0]:
                raise IndexError("expected keys of this batch")
        self.reserve(n * METRICS)
        e = Events(&key[0], &time[0], &received[0], &values[0, 0], &id_high[0], &id_low[0],
                   &offset[0], &index[0], &number[0], &clock_view[0], &state_view[0],
                   &watched_view[0])
        self.judge_events(&e, n, keys, numbers)
        return clock, state

    cdef int judge_events(self, const Events* e, Py_ssize_t n, list keys, numbers) except -1:
        """Turn events into samples and judge these, in one run unless the cap gets in the way."""
        cdef Samples c
        cdef Py_ssize_t i = 0
        cdef int rc
        c.slot = self.slot
        c.value = self.value
        c.event = self.event
        c.clock = e.clock
        c.time = e.time
        c.offset = e.offset
        c.index = e.index
        c.watched = e.watched
        while i < n:
            numbers[:] = [self.key_numbers.get(k, -1) for k in keys]
            c.n = 0
            while i < n and self.place(i, e, keys, &c.n):
                i += 1
            with nogil:
                rc = self.bank.run(&c)
            if rc < 0:
                raise MemoryError
            if i < n:
                # The cap was reached while samples of series that are idle by now were waiting.
                self.forget_idle()
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
                    number < 0 or self.slots[number * METRICS + metric] < 0):
                fresh = True
        if fresh and self.clock > self.next_sweep and (
                self.ordinary + METRICS > self.max_series or self.others + METRICS > OTHER_MAX):
            return False
        for metric in range(METRICS):
            if values[metric] != values[metric]:
                continue
            slot = self.slots[number * METRICS + metric] if number >= 0 else -1
            if slot < 0:
                slot = self.open_for(keys[e.key[i]], metric, &e.state[i])
                number = self.key_numbers.get(keys[e.key[i]], -1)
                e.number[e.key[i]] = number
                if slot < 0:
                    continue
            self.slot[made[0]] = slot
            self.value[made[0]] = values[metric]
            self.event[made[0]] = <int32_t> i
            made[0] += 1
        return True

    cdef int32_t open_for(self, key, int metric, uint8_t* state) except? -1:
        """Return the slot of a new series, beyond the cap that of `__other__`, or -1."""
        cdef int32_t slot = self.open_series(key, metric)
        if slot >= 0:
            return slot
        state[0] |= OVERFLOWED
        slot = self.open_series((key[0], *OTHER_KEY), metric)
        if slot < 0:
            state[0] |= UNJUDGED
        return slot
