# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What the tests ask of an event beside its numbers: was it cut off, and who called.

Read after redaction, so who called is a pseudonym, and a canonical record read again says the same.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from sentinel._core.slots cimport *

import numpy as np

CUT_OFF = frozenset((
    # Why an answer ended, in the words of the providers: its length was the limit.
    "length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length"))

cdef enum:
    ENDED, CUT, UNSAID


cdef inline uint32_t hash_of(PyObject* value) noexcept nogil:
    """Return a hash of a text that is the same in every process (FNV-1a); never 0."""
    cdef const uint8_t* c
    cdef Py_ssize_t i
    cdef uint64_t h = 0xcbf29ce484222325ULL
    if not PyUnicode_CheckExact(value):
        return 0
    c = <const uint8_t*>PyUnicode_DATA(value)
    for i in range(PyUnicode_GET_LENGTH(value) * PyUnicode_KIND(value)):
        h = (h ^ c[i]) * 0x100000001b3ULL
    return <uint32_t>(h ^ h >> 32) | 1


cdef class Marker:
    """Reads the marks of events of one class; threads may share it."""

    cdef Py_ssize_t of_event[3]
    cdef Py_ssize_t of_response[1]
    cdef object event_type
    cdef object response_type

    def __init__(self, event, response):
        self.event_type, self.response_type = event, response
        resolve(event, ("response", "user_id", "session_id"), self.of_event)
        resolve(response, ("finish_reason",), self.of_response)

    def read(self, list events not None):
        """Return finish (1 cut off, 0 not, 2 not said), user and session (hashes, 0: not said)."""
        cdef Py_ssize_t i, n = len(events)
        cdef PyObject* event
        cdef PyObject* value
        finish = np.full(n, UNSAID, np.uint8)
        user, session = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
        cdef uint8_t[::1] finish_view = finish
        cdef uint32_t[::1] user_view = user, session_view = session
        for i in range(n):
            if type(events[i]) is not self.event_type:
                raise TypeError(f"expected {self.event_type.__name__}")
            event = PyList_GET_ITEM(<PyObject*>events, i)
            value = slot(event, self.of_event[0])
            if value != NULL and <PyObject*>Py_TYPE(value) == <PyObject*>self.response_type:
                value = slot(value, self.of_response[0])
                if value != NULL:
                    finish_view[i] = CUT if <object>value in CUT_OFF else ENDED
            value = slot(event, self.of_event[1])
            if value != NULL:
                user_view[i] = hash_of(value)
            value = slot(event, self.of_event[2])
            if value != NULL:
                session_view[i] = hash_of(value)
        return finish, user, session
