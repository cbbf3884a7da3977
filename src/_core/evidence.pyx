# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False, embedsignature=True
"""Evidence: every test of every subject of a partition, a batch at a time.

Calls are judged in the order of the log, without the GIL.  Buckets that T has passed are closed
before the next call of their subject, and all that are due at the end of a run, each marked with
the event at which T passed it; so a stream cut anywhere gives the same findings.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from sentinel._core.channel cimport Nature
from sentinel._core.findings cimport CHANNELS, LEVEL_CHANNELS, Hit, date_findings
from sentinel._core.lenders cimport add_lender, drop_lender
from sentinel._core.rates cimport NS, count_call
from sentinel._core.shares cimport ShareNature
from sentinel._core.steps cimport (
    METRICS, Call, call_step, close_due, next_due, pass_silence, whole_step)
from sentinel._core.subject cimport (
    Subject, accept_channel_of, borrow, end_subject, first_threshold, learn_week, lends_better,
    name_of, restart_subject, set_threshold, start_subject)

cdef extern from *:
    """
    #define NEVER 0x7fffffffffffffffLL
    """
    const int64_t NEVER

cdef enum:
    PARENT_CALLS = 400      # calls after which a subject may lend what it knows


cdef class Evidence:
    """All subjects of a partition.

    Parameters
    ----------
    levels : sequence of 6 (dead, effect, singles, up, down)
        What each channel of levels is: half the dead band and the effect floor in logarithms,
        whether one call can open, and which directions are trouble.
    shares : sequence of 2 (more, large)
        The shifts that are looked for in failures and in answers that are cut off.
    off : sequence of 11 int
        By channel, bits of the tests that are switched off.
    fixed : float
        Threshold of every test; 0: from the allowance.
    allowed : float
        False alarms a service and week.
    lean : float
        Nats taken off every threshold.
    zone : sequence of (second, offset)
        From which second since 1970 on local time is how many seconds ahead of UTC, ascending.
    """

    def __cinit__(self, *, int64_t lateness_ns, int64_t idle_ns, **laws):
        self.numbers, self.keys, self.free_numbers = {}, [], []
        self.laws.lateness = (lateness_ns + NS - 1) // NS
        self.laws.idle_ns = idle_ns
        self.next_due = NEVER
        self.judge_by(**laws)

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.reached):
            end_subject(self.at(<int32_t> i))
        for i in range(self.chunk_count):
            free(self.subjects[i])
        free(self.subjects)
        free(self.lenders.numbers)
        free(self.out.rows)
        free(self.out.hits)

    def judge_by(self, *, levels, shares, off, double fixed, double allowed, double lean, zone):
        """Judge by other laws from the next call on; what was learned stays."""
        cdef int i
        cdef int64_t[::1] zone_at
        cdef int32_t[::1] zone_offset
        if len(levels) != LEVEL_CHANNELS or len(shares) != 2 or len(off) != CHANNELS:
            raise ValueError("expected a law for each channel")
        for i in range(LEVEL_CHANNELS):
            dead, effect, singles, up, down = levels[i]
            self.laws.levels[i] = Nature(dead, effect, singles, up, down)
        for i in range(2):
            more, large = shares[i]
            self.laws.shares[i] = ShareNature(more, large)
        for i in range(CHANNELS):
            self.laws.off[i] = off[i]
        self.laws.fixed = fixed
        self.laws.allowed = allowed
        self.laws.lean = lean
        zone_at = self.zone_at = np.array([second for second, _ in zone] or [0], np.int64)
        zone_offset = self.zone_offset = np.array([o for _, o in zone] or [0], np.int32)
        self.laws.zone.n = <int> len(zone)
        self.laws.zone.at = &zone_at[0]
        self.laws.zone.offset = &zone_offset[0]
        for i in range(<int> self.reached):
            if self.at(i).live and self.at(i).service == i:
                set_threshold(self.at(i), &self.laws)
        for i in range(<int> self.reached):
            if self.at(i).live:
                self.at(i).high = self.at(self.at(i).service).high

    cdef inline Subject* at(self, int32_t number) noexcept nogil:
        return self.subjects[number >> SUBJECT_BITS] + (number & (SUBJECT_CHUNK - 1))

    cdef int32_t take(self, key, int32_t service) except -1:
        """Make a subject; `service` is negative where it is a service as a whole."""
        cdef int32_t number
        cdef Subject** subjects
        cdef Subject* s
        if self.free_numbers:
            number = self.free_numbers.pop()
            self.keys[number] = key
        else:
            number = <int32_t> self.reached
            if number >> SUBJECT_BITS == self.chunk_count:
                subjects = <Subject**> realloc(
                    self.subjects, (self.chunk_count + 1) * sizeof(Subject*))
                if subjects == NULL:
                    raise MemoryError
                self.subjects = subjects
                subjects[self.chunk_count] = <Subject*> calloc(SUBJECT_CHUNK, sizeof(Subject))
                if subjects[self.chunk_count] == NULL:
                    raise MemoryError
                self.chunk_count += 1
            self.reached += 1
            self.keys.append(key)
        s = self.at(number)
        memset(s, 0, sizeof(Subject))
        s.live = True
        s.service = service if service >= 0 else number
        s.model, s.house = name_of((key[0], key[1], key[3])), name_of(key[:2])
        s.name = name_of(key)
        start_subject(s)
        s.high = first_threshold(&self.laws)
        self.numbers[key] = number
        return number

    cdef int32_t subject_of(self, key) except -1:
        """Return the number of the subject of a key, made where it is new."""
        found = self.numbers.get(key)
        if found is not None:
            return found
        return self.take(key, self.whole_of((key[0], key[1], key[2], None)))

    cdef int32_t whole_of(self, key) except -1:
        """Return the number of a service as a whole, made where it is new."""
        found = self.numbers.get(key)
        return self.take(key, -1) if found is None else found

    cdef int expect(self, int32_t number) except -1:
        """Take note of a subject that was read back: its next bucket, and that it may lend."""
        cdef Subject* s = self.at(number)
        if s.calls >= PARENT_CALLS and s.service != number \
                and add_lender(&self.lenders, number) < 0:
            raise MemoryError
        self.note_due(s)
        return 0

    cdef void note_due(self, const Subject* s) noexcept nogil:
        cdef int64_t due = next_due(s, &self.laws)
        if due < self.next_due:
            self.next_due = due

    cdef void forget_batch(self) noexcept nogil:
        self.out.n = self.out.hit_n = 0

    cdef int run(self, const Calls* c, int base) noexcept nogil:
        """Judge the calls `base` to n - 1.  Returns -1 where memory is out: the state is void."""
        cdef Py_ssize_t i
        for i in range(base, c.n):
            if c.subject[i] >= 0 and self.step(c, i) < 0:
                return -1
        if c.n > base and c.clock[c.n - 1] // NS >= self.next_due:
            return self.close_all(c.clock[c.n - 1], c)
        return 0

    cdef int step(self, const Calls* c, Py_ssize_t i) noexcept nogil:
        cdef Call call
        cdef Subject* s = self.at(c.subject[i])
        cdef Subject* whole = self.at(s.service)
        cdef int64_t clock = c.clock[i], now = clock // NS
        cdef Py_ssize_t first = self.out.n
        if close_due(whole, s.service, &self.laws, now, &self.out) < 0:
            return -1
        if close_due(s, c.subject[i], &self.laws, now, &self.out) < 0:
            return -1
        date_findings(&self.out, first, c.clock, i)
        if s.last and clock - s.last > self.laws.idle_ns:
            restart_subject(s, first_threshold(&self.laws))
        if whole.last and clock - whole.last > self.laws.idle_ns:
            restart_subject(whole, first_threshold(&self.laws))
        first = self.out.n
        if (pass_silence(whole, s.service, clock, <int32_t> i, &self.out) < 0
                or pass_silence(s, c.subject[i], clock, <int32_t> i, &self.out) < 0):
            return -1
        if s.calls == 0 and self.find_parent(s, clock) < 0:
            return -1
        learn_week(whole, &self.laws, clock)
        # Its buckets are closed at its next call or at the end of a run, and calls of its siblings
        # in between must not matter.
        s.high = whole.high
        count_call(&whole.rate, c.counted_at[i] // NS, now, self.laws.lateness)
        count_call(&s.rate, c.counted_at[i] // NS, now, self.laws.lateness)
        s.last = s.touched = whole.last = whole.touched = clock
        s.calls += 1
        whole.calls += 1
        if s.calls == PARENT_CALLS and add_lender(&self.lenders, c.subject[i]) < 0:
            return -1
        call.values = c.values + i * METRICS
        call.at.time = c.time[i]
        call.at.offset = c.offset[i]
        call.at.index = c.index[i]
        call.clock = clock
        call.finish = c.finish[i]
        call.user = c.user[i]
        call.session = c.session[i]
        call.event = <int32_t> i
        if whole_step(whole, s.service, &self.laws, &call, whole.high, &self.out) < 0:
            return -1
        if call_step(s, c.subject[i], &self.laws, &call, s.high, &self.out) < 0:
            return -1
        if self.out.n > first:
            c.watched[i] = 1
        self.note_due(s)
        self.note_due(whole)
        return 0

    cdef int find_parent(self, Subject* s, int64_t clock) noexcept nogil:
        """Let a new subject borrow from whom knows its model best, else from whom knows most."""
        cdef Py_ssize_t i = 0
        cdef int32_t number
        cdef Subject* other
        cdef Subject* best = NULL
        while i < self.lenders.n:
            number = self.lenders.numbers[i]
            other = self.at(number)
            if not other.live or other.service == number or other.calls < PARENT_CALLS:
                drop_lender(&self.lenders, i)       # it went, or began anew
                continue
            i += 1
            if other.house != s.house or clock - other.last > self.laws.idle_ns:
                continue
            if best == NULL or lends_better(other, best, s):
                best = other
        return borrow(s, best, best.model == s.model) if best != NULL else 0

    cdef int close_all(self, int64_t clock, const Calls* c) noexcept nogil:
        """Close all buckets that are due at T = `clock`."""
        cdef Py_ssize_t i, first = self.out.n
        cdef Subject* s
        cdef int64_t due
        self.next_due = NEVER
        for i in range(self.reached):
            s = self.at(<int32_t> i)
            if not s.live:
                continue
            if close_due(s, <int32_t> i, &self.laws, clock // NS, &self.out) < 0:
                return -1
            due = next_due(s, &self.laws)
            if due < self.next_due and clock - s.last <= self.laws.idle_ns:
                self.next_due = due
        if c != NULL:
            date_findings(&self.out, first, c.clock, c.n - 1)
        return 0

    cdef int forget_idle(self, int64_t clock) except -1:
        """Forget subjects without a call for longer than the idle time, before a batch.

        A service as a whole stays for as long as one of its subjects does: that may be one that was
        read back and has not spoken yet.
        """
        cdef Py_ssize_t i
        cdef Subject* s
        idle, needed = [], set()
        for i in range(self.reached):
            s = self.at(<int32_t> i)
            if not s.live:
                continue
            if s.last and clock - s.last > self.laws.idle_ns:
                idle.append(i)
            else:
                needed.add(s.service)
        for i in idle:
            if i not in needed:
                s = self.at(<int32_t> i)
                end_subject(s)
                memset(s, 0, sizeof(Subject))
                del self.numbers[self.keys[i]]
                self.keys[i] = None
                self.free_numbers.append(i)
        return 0

    def subjects_live(self, int64_t clock):
        """Return the keys of all subjects that are not idle at T = `clock`, in no order."""
        cdef Subject* s
        found = []
        for key, number in self.numbers.items():
            s = self.at(number)
            if not (s.last and clock - s.last > self.laws.idle_ns):
                found.append(key)
        return found

    def touched_at(self, key):
        """Return T at which a subject last changed, by a call or because T passed."""
        return self.at(self.numbers[key]).touched

    def learned(self, key):
        """Return how many samples each channel of a subject rests on; None where it is unknown.

        Safe from any thread while another judges.
        """
        cdef Subject* s
        cdef int i
        number = self.numbers.get(key)
        if number is None:
            return None
        s = self.at(number)
        return [s.learned[i] for i in range(CHANNELS)]

    def accept(self, key, int channel):
        """Take what a channel saw last for what is usual; says whether there is such a subject."""
        number = self.numbers.get(key)
        if number is None or not 0 <= channel < CHANNELS:
            return False
        if accept_channel_of(self.at(number), channel) < 0:
            raise MemoryError
        return True

    def judge(self, list keys, const int32_t[::1] key, const double[:, ::1] values,
              const int64_t[::1] time, const int64_t[::1] clock, const uint8_t[::1] finish,
              const uint32_t[::1] user, const uint32_t[::1] session):
        """Judge a batch of n calls by itself, in order; what `Partition.judge` does with a batch.

        Parameters
        ----------
        keys : list of (tenant, environment, service, model)
            What `key`, int32[n], points into.
        values : float64[n, 8]
            Finite, or NaN where absent.
        time, clock : int64[n], nanoseconds
            End of each call; T, never decreasing.
        finish : uint8[n]
            1 where the answer was cut off, 0 where not, 2 where that is not said.
        user, session : uint32[n]
            Hashes; 0 where not said.
        """
        cdef Py_ssize_t n = key.shape[0], i
        cdef Calls c
        self.forget_batch()
        if n == 0:
            return
        subject = np.array([self.subject_of(k) for k in keys], np.int32)[np.asarray(key)]
        cdef const int32_t[::1] subject_view = subject
        offset = np.arange(n, dtype=np.int64)
        cdef const int64_t[::1] offset_view = offset
        index = np.zeros(n, np.int32)
        cdef const int32_t[::1] index_view = index
        watched = np.zeros(n, np.uint8)
        cdef uint8_t[::1] watched_view = watched
        c = Calls(n, &subject_view[0], &values[0, 0], &time[0], &clock[0], &clock[0],
                  &offset_view[0], &index_view[0], &finish[0], &user[0], &session[0],
                  &watched_view[0])
        with nogil:
            i = self.run(&c, 0)
        if i < 0:
            raise MemoryError

    def advance(self, int64_t clock):
        """Close what is due at T = `clock`, which no call brought."""
        self.forget_batch()
        if clock // NS >= self.next_due and self.close_all(clock, NULL) < 0:
            raise MemoryError

    def findings(self):
        """Return what was found in the last batch, in order, as dicts."""
        cdef Py_ssize_t i
        rows = []
        for i in range(self.out.n):
            row = <dict> self.out.rows[i]
            row["key"] = self.keys[row["subject"]]
            rows.append(row)
        rows.sort(key=lambda f: (f["event"], not f["due"], f["clock"] if f["due"] else 0,
                                 f["key"][:3], f["key"][3] or "", f["channel"]))
        return rows

    def hits(self):
        """Return (event, key, channel, value) of every call that an open test counted, in order."""
        cdef Py_ssize_t i
        cdef const Hit* h
        rows = []
        for i in range(self.out.hit_n):
            h = &self.out.hits[i]
            rows.append((h.event, self.keys[h.subject], h.channel, h.value))
        return rows
