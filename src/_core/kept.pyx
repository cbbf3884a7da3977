# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""From a list of events to what a store keeps of them: texts as UTF-8, side by side, and sizes.

One pass, right after the events were made, while they still lie in the cache; from then on nobody
has to go through them again.  The classes are given to `Keeper`, as to `columns.Reader`.
"""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from sentinel._core.slots cimport *

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(PyObject* text, Py_ssize_t* size)

TEXTS = ("event_id", "provider", "trace_id", "span_id", "user_id", "session_id", "finish_reason",
         "response_model", "error_classes", "metadata", "prompt_text", "response_text")
SIZES = ("prompt_length", "response_length")

cdef enum:
    # Indexes into TEXTS, and how many of them are fields of the event itself.
    EVENT_ID = 0, OF_EVENT = 6, FINISH_REASON = 6, ANSWERED_BY = 7, CLASSES = 8, METADATA = 9
    PROMPT_TEXT = 10, RESPONSE_TEXT = 11, TEXT_COUNT = 12
    ABSENT = -1

cdef struct Pile:
    char* data
    Py_ssize_t used
    Py_ssize_t room


cdef inline int32_t add(Pile* pile, PyObject* text) except -2:
    """Put a text on a pile; returns its bytes, ABSENT for NULL.  Half a surrogate pair is `?`."""
    cdef Py_ssize_t size
    cdef const char* utf8
    cdef bytes clean
    if text == NULL:
        return ABSENT
    utf8 = PyUnicode_AsUTF8AndSize(text, &size)
    if utf8 == NULL:
        PyErr_Clear()
        clean = (<object>text).encode("utf-8", "replace")
        utf8, size = clean, len(clean)
    if size == 0:
        return 0                        # there may be no pile yet
    if size > 0x7FFFFFFF - pile.used:
        raise OverflowError("expected at most 2 GiB of texts in a batch")
    if pile.used + size > pile.room:
        enlarge(pile, pile.used + size)
    memcpy(pile.data + pile.used, utf8, size)
    pile.used += size
    return <int32_t>size


cdef int enlarge(Pile* pile, Py_ssize_t least) except -1:
    cdef Py_ssize_t room = max(least, 2 * pile.room, 256)
    cdef char* data = <char*>realloc(pile.data, room)
    if data == NULL:
        raise MemoryError
    pile.data, pile.room = data, room
    return 0


@cython.final
cdef class Keeper:
    """Reads events of one class; holds nothing of them, so threads may share it."""

    cdef Py_ssize_t of_event[10]
    cdef Py_ssize_t of_prompt[2]
    cdef Py_ssize_t of_response[4]

    def __init__(self, event, prompt, response):
        resolve(event, TEXTS[:OF_EVENT] + ("prompt", "response", "errors", "metadata"),
                self.of_event)
        resolve(prompt, ("length", "text"), self.of_prompt)
        resolve(response, ("length", "finish_reason", "model", "text"), self.of_response)

    def read(self, list events not None):
        """Return (lengths, data, sizes, metadata) of canonical events.

        `lengths`: int32[n, len(TEXTS)] as bytes, those of each text, -1 where it is absent; an
        event id that is a uuid in its usual form is absent, too, as the batch has its bits.
        `data`: the texts of each of TEXTS, end to end.  `sizes`: int64[n, 2] as bytes, -1 where
        absent.  `metadata`: the objects that are to be written as texts; their lengths are 0 until
        then.  Bytes, because a batch of one event costs little so, and many of them join quickly.
        """
        cdef Py_ssize_t i, n = len(events)
        cdef Pile[TEXT_COUNT] piles
        cdef int k
        cdef bytes lengths = PyBytes_FromStringAndSize(NULL, n * TEXT_COUNT * sizeof(int32_t))
        cdef bytes sizes = PyBytes_FromStringAndSize(NULL, n * 2 * sizeof(int64_t))
        cdef int32_t[TEXT_COUNT] length
        cdef int64_t[2] size
        cdef list metadata = []
        for k in range(TEXT_COUNT):
            piles[k].data, piles[k].used, piles[k].room = NULL, 0, 0
        try:
            for i in range(n):
                self.read_one(PyList_GET_ITEM(<PyObject*>events, i), piles, length, size, metadata)
                memcpy(<char*>lengths + i * sizeof(length), length, sizeof(length))
                memcpy(<char*>sizes + i * sizeof(size), size, sizeof(size))
            data = [PyBytes_FromStringAndSize(piles[k].data, piles[k].used)
                    if piles[k].used else b"" for k in range(TEXT_COUNT)]
        finally:
            for k in range(TEXT_COUNT):
                free(piles[k].data)
        return lengths, data, sizes, metadata

    cdef int read_one(self, PyObject* event, Pile* piles, int32_t* length, int64_t* size,
                      list metadata) except -1:
        """Read one event into a row of lengths and one of sizes."""
        cdef Py_ssize_t* at = self.of_event
        cdef PyObject* value = slot(event, at[EVENT_ID])
        cdef PyObject* response = slot(event, at[OF_EVENT + 1])
        cdef uint64_t high, low
        cdef int k
        if value != NULL and read_uuid(value, &high, &low) == 1:
            value = NULL
        length[0] = add(&piles[0], value)
        for k in range(1, OF_EVENT):
            length[k] = add(&piles[k], slot(event, at[k]))
        for k in range(2):
            value = NULL if response == NULL else slot(response, self.of_response[1 + k])
            length[FINISH_REASON + k] = add(&piles[FINISH_REASON + k], value)
        value = slot(event, at[OF_EVENT])
        value = NULL if value == NULL else slot(value, self.of_prompt[1])
        length[PROMPT_TEXT] = add(&piles[PROMPT_TEXT], value)
        value = NULL if response == NULL else slot(response, self.of_response[3])
        length[RESPONSE_TEXT] = add(&piles[RESPONSE_TEXT], value)
        value = slot(event, at[OF_EVENT + 2])
        if value == NULL or PyList_GET_SIZE(value) == 0:
            length[CLASSES] = ABSENT
        else:
            text = ",".join(<object>value)
            length[CLASSES] = add(&piles[CLASSES], <PyObject*>text)
        value = slot(event, at[OF_EVENT + 3])
        length[METADATA] = ABSENT
        if value != NULL and PyDict_GET_SIZE(value):
            length[METADATA] = 0
            metadata.append(<object>value)
        size[0] = size_of(slot(event, at[OF_EVENT]), self.of_prompt[0])
        size[1] = size_of(response, self.of_response[0])
        return 0


cdef inline int64_t size_of(PyObject* side, Py_ssize_t at) except -2:
    """Return a length in characters, ABSENT where there is none."""
    cdef PyObject* value = NULL if side == NULL else slot(side, at)
    return ABSENT if value == NULL else <int64_t>PyLong_AsLong(value)
