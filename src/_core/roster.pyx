# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""Which series there are: keys, their numbers, the cap, and who leaves after a week of silence."""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, realloc

from sentinel._core.bank cimport Bank
from sentinel._core.step cimport METRICS, Series

cdef enum:
    # Series of `__other__`: one key a tenant, for this many tenants.
    OTHER_MAX = METRICS * 128
    BATCH_EVENTS = 65536    # the largest batch for whose new series slots are kept

OTHER = "__other__"
OTHER_KEY = ("default", OTHER, OTHER)

cdef int64_t HOUR_NS = 3600 * <int64_t> 1000000000


cdef inline bint is_other(key) except -1:
    """Say whether a key is that of what is beyond the cap; a service of that name alone is not."""
    return key[2] == OTHER and tuple(key[1:]) == OTHER_KEY


cdef class Roster:
    """The series of one partition by key and metric, in a bank.

    Parameters
    ----------
    max_series : int
        Cap on series, those of `__other__` beside it.
    **rules
        What `Bank` takes.
    """

    def __cinit__(self, *, Py_ssize_t max_series=100_000, **rules):
        # Twice the series, and a batch of new ones: what went idle leaves when its batch is read.
        self.bank = Bank(capacity=2 * (max_series + OTHER_MAX) + METRICS * BATCH_EVENTS, **rules)
        self.max_series = max_series
        self.key_numbers = {}
        self.keys = []
        self.free_keys = []
        self.leaving = set()
        self.leaving_keys = []

    def __dealloc__(self):
        free(self.slots)

    cdef bint is_tight(self) noexcept:
        """Say whether the series of one more key may be too many."""
        return (self.ordinary + METRICS > self.max_series
                or self.others + METRICS > OTHER_MAX)

    cdef bint may_sweep(self, int64_t clock) noexcept:
        """Say whether some series may be idle at T = `clock`, and the last look was long ago."""
        return clock > self.next_sweep + HOUR_NS

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

    cdef int forget_idle(self, int64_t clock) except -1:
        """Forget series that have been idle for too long; verdicts of this batch may name them."""
        cdef Py_ssize_t slot
        cdef Series* s
        cdef int number, metric
        cdef int64_t earliest = clock
        for slot in range(self.bank.reached):
            s = self.bank.at(<int32_t> slot)
            if not s.live or s.last == 0:
                continue
            if clock - s.last <= self.bank.rules.idle_ns:
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

    def live_slots(self, int64_t clock):
        """Return the slots of all series that are not idle at T, ascending."""
        cdef Py_ssize_t slot
        cdef Series* s
        found = []
        for slot in range(self.bank.reached):
            s = self.bank.at(<int32_t> slot)
            if s.live and not (s.last and clock - s.last > self.bank.rules.idle_ns):
                found.append(slot)
        return found
