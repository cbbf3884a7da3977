# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What calls cost that do not say so: tokens times the prices that held when they ended.

cost = call + prompt * input + cache_read * read + cache_write * write + answer * output
       + reasoning * thought

in US dollars, where the prices of cached tokens and of reasoning are what these cost beyond what
they cost as part of the prompt and of the answer.  What the sum needs and an event does not say
leaves its cost absent, never 0.
"""
cimport cython
from libc.math cimport NAN, floor
from libc.stdint cimport int64_t, uint16_t
from libc.stdlib cimport free, malloc

from sentinel._core.slots cimport *

cdef enum:
    # Indexes into the fields of an event and of an answer.
    AT_COST, AT_MODEL, AT_PROVIDER, AT_RESPONSE, AT_METADATA, FIELD_COUNT
    # Columns of the values, as in `columns`.
    COL_PROMPT = 2, COL_COMPLETION = 3, COL_COST = 5
    # Numbers of a price, in the order of `intake.prices.Price`.
    SINCE = 0, DAY_FROM, DAY_TO, ABOVE, CALL, INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING
    NUMBERS
    NAMES_MAX = 4096        # remembered; a service has tens

cdef double DAY_US = 86400e6
cdef double PLACES = 1e12   # after the point: a millionth of a token at a dollar a million

cdef tuple COUNTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


@cython.final
cdef class Tariff:
    """The prices of one model; of those whose conditions hold the last one counts."""

    cdef double* numbers
    cdef Py_ssize_t count

    def __cinit__(self, prices):
        """Take prices of NUMBERS numbers each."""
        cdef Py_ssize_t i, k
        self.count = len(prices)
        self.numbers = <double*>malloc((self.count * NUMBERS or 1) * sizeof(double))
        if self.numbers == NULL:
            raise MemoryError
        for i in range(self.count):
            if len(prices[i]) != NUMBERS:
                raise ValueError(f"expected {NUMBERS} numbers a price")
            for k in range(NUMBERS):
                self.numbers[i * NUMBERS + k] = prices[i][k]

    def __dealloc__(self):
        free(self.numbers)

    cdef const double* at(self, int64_t time, double prompt) noexcept nogil:
        """Return the price of a call by its end (us since 1970) and prompt; NULL: there is none."""
        cdef Py_ssize_t i = self.count
        cdef const double* p
        cdef double of_day = <double>time - DAY_US * floor(<double>time / DAY_US)
        while i > 0:
            i -= 1
            p = self.numbers + i * NUMBERS
            if <double>time < p[SINCE] or prompt <= p[ABOVE]:
                continue
            if p[DAY_FROM] <= p[DAY_TO]:
                if p[DAY_FROM] <= of_day < p[DAY_TO]:
                    return p
            elif of_day >= p[DAY_FROM] or of_day < p[DAY_TO]:
                return p
        return NULL


cdef inline double part(double count, double price) noexcept nogil:
    """Return what a count costs; one that is not said costs nothing only where nothing is asked."""
    return 0.0 if price == 0.0 else count * price


cdef inline double count_in(PyObject* metadata, int which) except? -1:
    """Return a count that stands in the metadata; 0 where it does not, or is none."""
    cdef int overflow = 0
    cdef long long count
    cdef PyObject* value = PyDict_GetItemWithError(
        metadata, PyTuple_GET_ITEM(<PyObject*>COUNTS, which))
    if value == NULL or not PyLong_CheckExact(value):
        return 0.0
    count = PyLong_AsLongLongAndOverflow(value, &overflow)
    return <double>count if overflow == 0 and 0 <= count <= <long long>COUNT_LIMIT else 0.0


cdef double cost_of(
        Tariff tariff, int64_t time, const double* values, PyObject* metadata) except? -1:
    """Return what a call costs, NaN where that cannot be said."""
    cdef double prompt = values[COL_PROMPT], answer = values[COL_COMPLETION]
    cdef double read = 0, write = 0, thought = 0, asked, cost
    cdef const double* p
    if metadata != NULL and PyDict_CheckExact(metadata):
        read = count_in(metadata, 0)
        write = count_in(metadata, 1)
        thought = count_in(metadata, 2)
    # Cached tokens are part of the prompt, unless they are more than all of it: counted apart.
    asked = prompt + read + write if read + write > prompt else prompt
    p = tariff.at(time, asked if asked == asked else 0.0)
    if p == NULL:
        return NAN
    thought = answer if thought > answer else thought
    cost = (p[CALL] + part(asked, p[INPUT]) + part(answer, p[OUTPUT])
            + part(read, p[CACHE_READ]) + part(write, p[CACHE_WRITE])
            + part(thought, p[REASONING]))
    return floor(cost * PLACES + 0.5) / PLACES


@cython.final
cdef class Costs:
    """Gives events of one class their costs.  Threads may share one.

    `find(model, answered_by, provider)` returns a Tariff or None, always the same for the same
    names; what it found is remembered.
    """

    cdef Py_ssize_t[FIELD_COUNT] of_event
    cdef Py_ssize_t[1] of_response
    cdef object event_type
    cdef object find
    cdef dict known

    def __init__(self, event, response, find):
        self.event_type, self.find, self.known = event, find, {}
        resolve(event, ("cost_usd", "model", "provider", "response", "metadata"), self.of_event)
        resolve(response, ("model",), self.of_response)

    def fill(self, list events not None, const uint16_t[::1] fault, const int64_t[::1] time,
             double[:, ::1] values):
        """Put the costs that are absent into events that have been read, and into their columns.

        Returns how many events have tokens and a model without prices, by model; None where none.
        """
        cdef Py_ssize_t i, n = len(events)
        cdef PyObject* event
        cdef double cost
        cdef dict unpriced = None
        cdef object told
        if not (fault.shape[0] == time.shape[0] == values.shape[0] == n):
            raise ValueError("expected columns of one length")
        for i in range(n):
            if fault[i] or values[i, COL_COST] == values[i, COL_COST] or (
                    values[i, COL_PROMPT] != values[i, COL_PROMPT]
                    and values[i, COL_COMPLETION] != values[i, COL_COMPLETION]):
                continue
            if type(events[i]) is not self.event_type:
                raise TypeError(f"expected {self.event_type.__name__}")
            event = PyList_GET_ITEM(<PyObject*>events, i)
            tariff = self.tariff_of(event)
            if tariff is None:
                model = <object>slot(event, self.of_event[AT_MODEL])
                unpriced = {} if unpriced is None else unpriced
                unpriced[model] = unpriced.get(model, 0) + 1
                continue
            cost = cost_of(<Tariff>tariff, time[i], &values[i, 0],
                           slot(event, self.of_event[AT_METADATA]))
            if cost == cost and cost <= COUNT_LIMIT:
                values[i, COL_COST] = cost
                told = cost
                put(event, self.of_event[AT_COST], <PyObject*>told)
        return unpriced

    cdef object tariff_of(self, PyObject* event):
        """Return the tariff of the model that was called or answered, None where it has none."""
        cdef PyObject* model = slot(event, self.of_event[AT_MODEL])
        cdef PyObject* provider = slot(event, self.of_event[AT_PROVIDER])
        cdef PyObject* answered_by = slot(event, self.of_event[AT_RESPONSE])
        cdef PyObject* found
        if answered_by != NULL:
            answered_by = slot(answered_by, self.of_response[0])
        names = (<object>model, None if answered_by == NULL else <object>answered_by,
                 None if provider == NULL else <object>provider)
        found = PyDict_GetItemWithError(<PyObject*>self.known, <PyObject*>names)
        if found != NULL:
            return <object>found
        tariff = self.find(*names)
        if tariff is not None and type(tariff) is not Tariff:
            raise TypeError("expected a Tariff")
        if len(self.known) >= NAMES_MAX:
            self.known.clear()
        self.known[names] = tariff
        return tariff
