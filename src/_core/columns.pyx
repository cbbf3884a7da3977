# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""From a list of events to columns: the loop of intake that runs once an event.

Nothing here knows the classes by name: they are given to `Reader`, which refuses a class whose
fields are not plain slots.  An event is first brought into one form (flat fields move into the
nested ones; ids and environment come out of the metadata), then measured.  What is impossible
becomes a fault, `kind * 64 + index into PATHS`, looked up in FAULTS and PATHS; bad data never
raises.
"""
cimport cython
from cpython.datetime cimport import_datetime
from libc.math cimport NAN, isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from sentinel._core.instants cimport (
    PyDateTime_Check, PyDateTime_CheckExact, PyDateTime_DATE_GET_TZINFO, PyDateTime_TimeZone_UTC,
    instant_of, read_epoch, read_instant)
from sentinel._core.slots cimport *

from collections import namedtuple

import numpy as np

import_datetime()

EVENT_FIELDS = (
    "service_name", "event_id", "timestamp", "model", "environment", "provider", "trace_id",
    "span_id", "prompt", "response", "total_tokens", "latency_ms", "ttft_ms", "cost_usd", "user_id",
    "session_id", "metadata", "errors", "model_name", "prompt_tokens", "completion_tokens",
    "request_id", "prompt_text", "response_text")
PROMPT_FIELDS = ("text", "length", "tokens")
RESPONSE_FIELDS = ("text", "length", "tokens", "finish_reason", "model")
PATHS = (
    *("$." + name for name in EVENT_FIELDS),
    *("$.prompt." + name for name in PROMPT_FIELDS),
    *("$.response." + name for name in RESPONSE_FIELDS),
    "$.metadata.user_id", "$.metadata.session_id", "$.metadata.environment", "$.metadata[...]")
FAULTS = ("", "missing_field", "wrong_type", "bad_name", "bad_time", "no_time", "too_large",
          "bad_number", "negative")
Columns = namedtuple("Columns", (
    "time", "values", "key", "keys", "id_high", "id_low", "id_source", "fault"))

cdef enum:
    # Indexes into the three tuples of fields and, first to last, into PATHS.
    SERVICE, EVENT_ID, TIMESTAMP, MODEL, ENVIRONMENT, PROVIDER, TRACE_ID, SPAN_ID, PROMPT, RESPONSE
    TOTAL_TOKENS, LATENCY, TTFT, COST, USER, SESSION, METADATA, ERRORS
    MODEL_NAME, PROMPT_TOKENS, COMPLETION_TOKENS, REQUEST_ID, PROMPT_TEXT, RESPONSE_TEXT
    EVENT_COUNT
    TEXT = 0, LENGTH = 1, TOKENS = 2, FINISH_REASON = 3, ANSWERED_BY = 4
    AT_PROMPT = EVENT_COUNT
    AT_RESPONSE = AT_PROMPT + 3
    AT_META_USER = AT_RESPONSE + 5
    AT_META_SESSION, AT_META_ENVIRONMENT, AT_META_VALUE
    KIND = 64               # of a fault, times this
    # Columns of values, in the order of sentinel.model.metric.METRICS (a test compares).
    COL_LATENCY = 0, COL_TTFT, COL_PROMPT, COL_COMPLETION, COL_TOTAL, COL_COST, COL_RATE, COL_ERROR
    METRIC_COUNT
    # Where the 128 bits of an event id come from.
    ID_IS_UUID = 0, ID_IS_TEXT = 1, ID_IS_MISSING = 2
    # Three codes of 21 bits make one packed key; a batch brings at most 3n + 1 names.
    CODE_BITS = 21
    BATCH_MAX = 1 << 19

cdef extern from *:
    """
    #define HASH_FACTOR 0x9E3779B97F4A7C15ULL        /* 2^64 / golden ratio */
    """
    const uint64_t HASH_FACTOR

cdef struct Row:
    double* values
    int64_t time            # in: what an absent timestamp counts as, negative = a fault
    uint64_t id_high
    uint64_t id_low
    uint8_t id_source
    int32_t key

cdef tuple MOVED = ("user_id", "session_id", "environment")   # out of the metadata
cdef str DEFAULT = "default"


@cython.final
cdef class KeyTable:
    """The distinct (environment, service, model) of a batch, numbered as they appear."""

    cdef dict codes
    cdef list names
    cdef list keys
    cdef uint64_t* packed               # key + 1, 0 where free; open addressing
    cdef int32_t* numbers
    cdef Py_ssize_t last
    cdef int shift

    def __cinit__(self, Py_ssize_t n):
        cdef int bits = 3
        while (1 << bits) < 2 * n:
            bits += 1
        self.shift, self.last = 64 - bits, (1 << bits) - 1
        self.packed = <uint64_t*>calloc(1 << bits, sizeof(uint64_t))
        self.numbers = <int32_t*>malloc((1 << bits) * sizeof(int32_t))
        if self.packed == NULL or self.numbers == NULL:
            raise MemoryError
        self.codes, self.names, self.keys = {DEFAULT: 0}, [DEFAULT], []

    def __dealloc__(self):
        free(self.packed)
        free(self.numbers)

    cdef int64_t code_of(self, PyObject* event, Py_ssize_t at) except -2:
        """Return the code of a name, -1 if it is bad; equal names then share one str."""
        cdef PyObject* name = slot(event, at)
        cdef PyObject* known
        cdef int64_t code
        if name == NULL:
            return 0
        known = PyDict_GetItemWithError(<PyObject*>self.codes, name)
        if known != NULL:
            code = PyLong_AsLong(known)
            put(event, at, PyList_GET_ITEM(<PyObject*>self.names, code))
            return code
        if not is_good_name(name):
            return -1
        code = len(self.names)
        self.codes[<object>name] = code
        self.names.append(<object>name)
        return code

    cdef int32_t number_of(self, int64_t environment, int64_t service, int64_t model) except -2:
        """Return the number of a key; a new one gets the next."""
        cdef uint64_t key = 1 + (<uint64_t>environment << 2 * CODE_BITS
                                 | <uint64_t>service << CODE_BITS | <uint64_t>model)
        cdef Py_ssize_t at = <Py_ssize_t>(key * HASH_FACTOR >> self.shift)
        while self.packed[at] != key:
            if self.packed[at] == 0:
                self.packed[at] = key
                self.numbers[at] = <int32_t>len(self.keys)
                self.keys.append(
                    (self.names[environment], self.names[service], self.names[model]))
                break
            at = (at + 1) & self.last
        return self.numbers[at]


@cython.final
cdef class Reader:
    """Reads events of one class; holds nothing of them, so threads may share it."""

    cdef Py_ssize_t of_event[EVENT_COUNT]
    cdef Py_ssize_t of_side[2][5]       # of prompt and response
    cdef object event_type
    cdef object prompt_type
    cdef object response_type

    def __init__(self, event, prompt, response):
        self.event_type, self.prompt_type, self.response_type = event, prompt, response
        resolve(event, EVENT_FIELDS, self.of_event)
        resolve(prompt, PROMPT_FIELDS, self.of_side[0])
        resolve(response, RESPONSE_FIELDS, self.of_side[1])

    def read(self, list events not None, int64_t now, const int64_t[::1] each=None):
        """Bring events into the nested form and return their columns.

        An absent timestamp counts as `now`, or what `each` says of its row (microseconds since
        1970), or is a fault where that is negative.  A row whose `fault` is not 0 has key -1.
        """
        cdef Py_ssize_t i, n = len(events)
        cdef int fault
        cdef Row row
        if n > BATCH_MAX or (each is not None and each.shape[0] != n):
            raise ValueError(f"a batch of {n} events, expected at most {BATCH_MAX}, a time each")
        columns = Columns(
            np.empty(n, np.int64), np.empty((n, METRIC_COUNT)), np.empty(n, np.int32), [],
            np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.uint8),
            np.empty(n, np.uint16))
        cdef KeyTable keys = KeyTable(n)
        cdef int64_t[::1] time = columns.time
        cdef double[:, ::1] values = columns.values
        cdef int32_t[::1] key = columns.key
        cdef uint64_t[::1] high = columns.id_high, low = columns.id_low
        cdef uint8_t[::1] id_source = columns.id_source
        cdef uint16_t[::1] faults = columns.fault
        for i in range(n):
            event = self.event_at(events, i)
            row.values, row.key, row.time = &values[i, 0], -1, (now if each is None else each[i])
            row.id_high, row.id_low, row.id_source = 0, 0, ID_IS_UUID
            fault = self.unfold(event)
            fault = fault or self.read_names(event, &row)
            fault = fault or self.read_time(event, &row)
            fault = fault or self.read_values(event, row.values)
            fault = fault or self.read_key(event, keys, &row)
            time[i], key[i], faults[i] = row.time, row.key, <uint16_t>fault
            high[i], low[i], id_source[i] = row.id_high, row.id_low, row.id_source
        return columns._replace(keys=keys.keys)

    cdef PyObject* event_at(self, list events, Py_ssize_t i) except NULL:
        """Return one event, borrowed."""
        if type(events[i]) is not self.event_type:
            raise TypeError(f"expected {self.event_type.__name__}")
        return PyList_GET_ITEM(<PyObject*>events, i)

    cdef int unfold(self, PyObject* event) except -1:
        """Bring one event into the nested form; what that form says already wins."""
        cdef Py_ssize_t* at = self.of_event
        cdef PyObject* value
        cdef int side, fault
        for side in range(2):
            fault = self.unfold_side(event, side)
            if fault != FINE:
                return fault
        if slot(event, at[MODEL_NAME]) != NULL:
            move(event, at[MODEL_NAME], event, at[MODEL])
        value = slot(event, at[REQUEST_ID])
        if value != NULL:
            if PyLong_CheckExact(value):
                text = str(<object>value)
                put(event, at[REQUEST_ID], <PyObject*>text)
            move(event, at[REQUEST_ID], event, at[EVENT_ID])
        value = slot(event, at[METADATA])
        return FINE if value == NULL else self.unfold_metadata(event, value)

    cdef int unfold_side(self, PyObject* event, int side) except -1:
        """Move flat tokens and text of prompt (0) or response (1) into its structure."""
        cdef Py_ssize_t* at = self.of_event
        cdef PyObject* child = slot(event, at[PROMPT + side])
        expected = self.prompt_type if side == 0 else self.response_type
        if child != NULL and <PyObject*>Py_TYPE(child) != <PyObject*>expected:
            return WRONG_TYPE * KIND + PROMPT + side
        if slot(event, at[PROMPT_TOKENS + side]) == NULL and \
                slot(event, at[PROMPT_TEXT + side]) == NULL:
            return FINE
        if child == NULL:
            new = expected()
            put(event, at[PROMPT + side], <PyObject*>new)
            child = <PyObject*>new
        move(event, at[PROMPT_TOKENS + side], child, self.of_side[side][TOKENS])
        move(event, at[PROMPT_TEXT + side], child, self.of_side[side][TEXT])
        return FINE

    cdef int unfold_metadata(self, PyObject* event, PyObject* metadata) except -1:
        """Take ids and environment out of the metadata; check that what stays is JSON scalars."""
        cdef PyObject* key
        cdef PyObject* value
        cdef int i, kind
        cdef int[3] fields = [USER, SESSION, ENVIRONMENT]
        if not PyDict_CheckExact(metadata):
            return WRONG_TYPE * KIND + METADATA
        for i in range(3):
            key = PyTuple_GET_ITEM(<PyObject*>MOVED, i)
            value = PyDict_GetItemWithError(metadata, key)
            if value == NULL:
                continue
            if value != Py_None:
                if not (PyUnicode_CheckExact(value) or (i < 2 and PyLong_CheckExact(value))):
                    return WRONG_TYPE * KIND + AT_META_USER + i
                if slot(event, self.of_event[fields[i]]) == NULL:
                    put(event, self.of_event[fields[i]], value)
            if PyDict_GET_SIZE(metadata) == 1:
                put(event, self.of_event[METADATA], Py_None)
                return FINE
            PyDict_DelItem(metadata, key)
        kind = scalar_fault(metadata)
        return FINE if kind == FINE else kind * KIND + AT_META_VALUE

    cdef int read_names(self, PyObject* event, Row* row) except -1:
        """Check the names that are no part of the key, and read the event id."""
        cdef Py_ssize_t* at = self.of_event
        cdef int[3] fields = [PROVIDER, TRACE_ID, SPAN_ID]
        cdef int i, kind
        cdef PyObject* name = slot(event, at[EVENT_ID])
        cdef PyObject* response = slot(event, at[RESPONSE])
        if name == NULL:
            row.id_source = ID_IS_MISSING
        elif not PyUnicode_CheckExact(name):
            return WRONG_TYPE * KIND + EVENT_ID
        elif not read_uuid(name, &row.id_high, &row.id_low):
            row.id_source = ID_IS_TEXT
            if not is_good_name(name):
                return BAD_NAME * KIND + EVENT_ID
        for i in range(3):
            kind = name_fault(slot(event, at[fields[i]]))
            if kind != FINE:
                return kind * KIND + fields[i]
        if response != NULL:
            for i in range(FINISH_REASON, ANSWERED_BY + 1):
                kind = name_fault(slot(response, self.of_side[1][i]))
                if kind != FINE:
                    return kind * KIND + AT_RESPONSE + i
        return FINE

    cdef int read_time(self, PyObject* event, Row* row) except -1:
        """Read the timestamp, and leave it in the event as a datetime in UTC."""
        cdef PyObject* when = slot(event, self.of_event[TIMESTAMP])
        cdef int kind = FINE
        if when == NULL:
            if row.time < 0:
                return NO_TIME * KIND + TIMESTAMP
        elif PyDateTime_Check(when):
            kind = read_instant(when, &row.time)
            if kind == FINE and PyDateTime_CheckExact(when) \
                    and PyDateTime_DATE_GET_TZINFO(when) == PyDateTime_TimeZone_UTC:
                return FINE
        else:
            kind = read_epoch(when, &row.time)
        if kind != FINE:
            return kind * KIND + TIMESTAMP
        instant = instant_of(row.time)
        put(event, self.of_event[TIMESTAMP], <PyObject*>instant)
        return FINE

    cdef int read_values(self, PyObject* event, double* values) except -1:
        """Read the metrics, NaN where the event does not say, and check sizes and texts."""
        cdef Py_ssize_t* at = self.of_event
        cdef int[4] fields = [LATENCY, TTFT, COST, TOTAL_TOKENS]
        cdef int[4] columns = [COL_LATENCY, COL_TTFT, COL_COST, COL_TOTAL]
        cdef int i, fault
        for i in range(4):
            fault = read_number(event, at[fields[i]], &values[columns[i]])
            if fault != FINE:
                return fault * KIND + fields[i]
        values[COL_RATE] = NAN
        for i in range(2):
            fault = read_text(
                slot(event, at[PROMPT + i]), self.of_side[i], &values[COL_PROMPT + i])
            if fault != FINE:
                return fault + AT_PROMPT + i * (AT_RESPONSE - AT_PROMPT)
        if values[COL_TOTAL] != values[COL_TOTAL]:
            values[COL_TOTAL] = values[COL_PROMPT] + values[COL_COMPLETION]
        if values[COL_LATENCY] > 0:
            values[COL_RATE] = values[COL_COMPLETION] / (values[COL_LATENCY] / 1000)
            if not isfinite(values[COL_RATE]):
                values[COL_RATE] = NAN
        fault = read_errors(slot(event, at[ERRORS]), &values[COL_ERROR])
        return FINE if fault == FINE else fault * KIND + ERRORS

    cdef int read_key(self, PyObject* event, KeyTable keys, Row* row) except -1:
        """Number the key; a name that is too odd to be a name never reaches the table."""
        cdef int[3] fields = [SERVICE, MODEL, ENVIRONMENT]
        cdef int64_t[3] codes
        cdef PyObject* name
        cdef int i
        for i in range(3):
            name = slot(event, self.of_event[fields[i]])
            if name == NULL and i < 2:
                return MISSING_FIELD * KIND + fields[i]
            if name != NULL and not PyUnicode_CheckExact(name):
                return WRONG_TYPE * KIND + fields[i]
            codes[i] = keys.code_of(event, self.of_event[fields[i]])
            if codes[i] < 0:
                return BAD_NAME * KIND + fields[i]
        row.key = keys.number_of(codes[2], codes[0], codes[1])
        return FINE

    def redact(self, list events not None, dict users not None, dict sessions not None,
               bint keep_texts):
        """Take out texts or leave them, put known pseudonyms; return the rows that need more."""
        cdef Py_ssize_t i
        cdef bint done
        cdef list texts = [], left = []
        cdef Py_ssize_t* at = self.of_event
        cdef PyObject* value
        for i in range(len(events)):
            event = self.event_at(events, i)
            done = hide_text(slot(event, at[PROMPT]), self.of_side[0], keep_texts)
            done &= hide_text(slot(event, at[RESPONSE]), self.of_side[1], keep_texts)
            if not done:
                texts.append(i)
            done = hide_id(event, at[USER], <PyObject*>users)
            done &= hide_id(event, at[SESSION], <PyObject*>sessions)
            value = slot(event, at[ERRORS])
            if value != NULL and PyList_GET_SIZE(value) == 0:
                put(event, at[ERRORS], Py_None)
            value = slot(event, at[METADATA])
            if value != NULL and PyDict_GET_SIZE(value) == 0:
                put(event, at[METADATA], Py_None)
            if not done or slot(event, at[ERRORS]) != NULL or slot(event, at[METADATA]) != NULL:
                left.append(i)
        return texts, left


def uuid_bits(str text not None):
    """Return the two halves of a uuid in its 8-4-4-4-12 form, None for any other text."""
    cdef uint64_t high = 0, low = 0
    return (high, low) if read_uuid(<PyObject*>text, &high, &low) else None


def is_name(str text not None):
    """Tell whether a text is fit for a name: 1 to 256 bytes, no controls, no surrogates."""
    return is_good_name(<PyObject*>text)
