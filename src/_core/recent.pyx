# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""The event ids of the last minutes, each with the position that first brought it.

A circle of entries in order of arrival, and an open-addressing table over it.  An event is a repeat
only of an *earlier* position: a log read again from an older offset does not take itself for one.

The table holds half of the hash beside the place, so that only an id that is likely the same is
looked up in the circle, which lies elsewhere in memory.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

cdef extern from *:
    """
    #define PREFETCH(p) __builtin_prefetch(p)
    #define PLACE_MASK 0xffffffffULL
    """
    void PREFETCH(const void*) noexcept nogil
    const uint64_t PLACE_MASK

cdef enum:
    FIRST_ROOM = 1024       # a power of two, as every later room

cdef inline uint64_t mix(uint64_t high, uint64_t low) noexcept nogil:
    """Spread 128 bits over 64 (the finaliser of MurmurHash3): ids may count up by one."""
    cdef uint64_t h = high ^ (low * <uint64_t> 0x9e3779b97f4a7c15)
    h = (h ^ (h >> 33)) * <uint64_t> 0xff51afd7ed558ccd
    h = (h ^ (h >> 33)) * <uint64_t> 0xc4ceb9fe1a85ec53
    return h ^ (h >> 33)


cdef inline uint64_t entry_of(uint64_t hashed, Py_ssize_t place) noexcept nogil:
    """Return what the table holds of an id: its home lies in the upper half."""
    return (hashed & ~PLACE_MASK) | <uint64_t> (place + 1)


cdef class RecentIds:
    """Remembers up to `limit` event ids for `keep_ns` of T; O(1) an id, 56 to 112 bytes each."""

    def __cinit__(self, Py_ssize_t limit=1_000_000, int64_t keep_ns=600 * 1_000_000_000):
        if not 0 < limit < 2**30:
            raise ValueError("expected 0 < limit < 2**30")
        self.limit = limit
        self.keep_ns = keep_ns
        self.enlarge()

    def __dealloc__(self):
        free(self.ring)
        free(self.table)

    def __len__(self):
        return self.count

    cdef int enlarge(self) except -1:
        cdef Py_ssize_t room = self.room * 2 if self.room else FIRST_ROOM
        cdef Py_ssize_t i, at
        cdef Seen* ring = <Seen*> malloc(room * sizeof(Seen))
        cdef uint64_t* table = <uint64_t*> calloc(2 * room, sizeof(uint64_t))
        if ring == NULL or table == NULL:
            free(ring)
            free(table)
            raise MemoryError
        for i in range(self.count):
            ring[i] = self.ring[(self.first + i) & (self.room - 1)]
        free(self.ring)
        free(self.table)
        self.ring = ring
        self.table = table
        self.room = room
        self.first = 0
        for i in range(self.count):
            at = self.find(ring[i].high, ring[i].low)
            table[at] = entry_of(mix(ring[i].high, ring[i].low), i)
        return 0

    cdef void expect(self, uint64_t high, uint64_t low) noexcept nogil:
        """Ask for the part of the table that an id will need soon."""
        PREFETCH(&self.table[(mix(high, low) >> 32) & <uint64_t> (2 * self.room - 1)])

    cdef Py_ssize_t find(self, uint64_t high, uint64_t low) noexcept nogil:
        """Return the place of an id in the table, or the empty place where it belongs."""
        cdef Py_ssize_t mask = 2 * self.room - 1
        cdef uint64_t hashed = mix(high, low)
        cdef Py_ssize_t at = <Py_ssize_t> (hashed >> 32) & mask
        cdef const Seen* seen
        while self.table[at]:
            if (self.table[at] ^ hashed) >> 32 == 0:
                seen = &self.ring[(self.table[at] & PLACE_MASK) - 1]
                if seen.high == high and seen.low == low:
                    return at
            at = (at + 1) & mask
        return at

    cdef void drop_oldest(self) noexcept nogil:
        """Forget the oldest id; what follows it in the table closes up (Knuth, 6.4 algorithm R)."""
        cdef Py_ssize_t mask = 2 * self.room - 1
        cdef const Seen* seen = &self.ring[self.first]
        cdef Py_ssize_t hole = self.find(seen.high, seen.low)
        cdef Py_ssize_t at = hole, home
        # Those after it are dropped next.
        seen = &self.ring[(self.first + 4) & (self.room - 1)]
        self.expect(seen.high, seen.low)
        while True:
            at = (at + 1) & mask
            if self.table[at] == 0:
                break
            home = <Py_ssize_t> (self.table[at] >> 32) & mask
            if ((at - home) & mask) >= ((at - hole) & mask):
                self.table[hole] = self.table[at]
                hole = at
        self.table[hole] = 0
        self.first = (self.first + 1) & (self.room - 1)
        self.count -= 1

    cdef bint is_repeat(self, uint64_t high, uint64_t low, int64_t clock, int64_t offset,
                        int32_t index) except -1:
        """Say whether an earlier position brought this id; remember it otherwise.

        `clock` never decreases from call to call.
        """
        cdef Py_ssize_t at
        cdef const Seen* known
        cdef Seen* seen
        while self.count and clock - self.ring[self.first].clock > self.keep_ns:
            self.drop_oldest()
        at = self.find(high, low)
        if self.table[at]:
            known = &self.ring[(self.table[at] & PLACE_MASK) - 1]
            return known.offset < offset or (known.offset == offset and known.index < index)
        if self.count == self.limit:
            self.drop_oldest()
            at = self.find(high, low)
        elif self.count == self.room:
            self.enlarge()
            at = self.find(high, low)
        seen = &self.ring[(self.first + self.count) & (self.room - 1)]
        seen.high = high
        seen.low = low
        seen.clock = clock
        seen.offset = offset
        seen.index = index
        seen.unused = 0
        self.table[at] = entry_of(mix(high, low), seen - self.ring)
        self.count += 1
        return False

    def add(self, uint64_t high, uint64_t low, int64_t clock, int64_t offset, int32_t index=0):
        """Remember an id; returns True where an earlier position had brought it."""
        return self.is_repeat(high, low, clock, offset, index)

    def save(self):
        """Return the ids as bytes, oldest first, 40 each: two u64, T, offset, index, zero."""
        cdef Py_ssize_t end = min(self.first + self.count, self.room)
        cdef bytes entries = PyBytes_FromStringAndSize(NULL, self.count * sizeof(Seen))
        cdef char* to = entries
        memcpy(to, &self.ring[self.first], (end - self.first) * sizeof(Seen))
        memcpy(to + (end - self.first) * sizeof(Seen), self.ring,
               (self.first + self.count - end) * sizeof(Seen))
        return entries

    def load(self, const unsigned char[::1] saved):
        """Take up what `save` returned; for a new, empty object."""
        cdef Seen seen
        cdef Py_ssize_t i
        if saved.shape[0] % sizeof(Seen):
            raise ValueError("expected whole entries of saved event ids")
        for i in range(saved.shape[0] // <Py_ssize_t> sizeof(Seen)):
            memcpy(&seen, &saved[i * sizeof(Seen)], sizeof(Seen))
            self.is_repeat(seen.high, seen.low, seen.clock, seen.offset, seen.index)
