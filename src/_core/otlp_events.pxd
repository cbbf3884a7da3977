"""The event that a call is told by: see the .pyx."""
from sentinel._core.otlp_calls cimport Call
from sentinel._core.otlp_found cimport Found
from sentinel._core.otlp_text cimport Shared
from sentinel._core.slots cimport PyObject

cdef enum:
    # Indexes into FIELDS.
    AT_TIMESTAMP, AT_EVENT_ID, AT_MODEL, AT_ENVIRONMENT, AT_PROVIDER, AT_TRACE_ID, AT_SPAN_ID
    AT_PROMPT, AT_RESPONSE, AT_TOTAL, AT_LATENCY, AT_TTFT, AT_COST, AT_USER, AT_SESSION
    AT_METADATA, AT_ERRORS, AT_SERVICE
    FIELD_COUNT

cdef class EventMaker:
    cdef Py_ssize_t[FIELD_COUNT] at
    cdef Py_ssize_t[2][2] of_side
    cdef Py_ssize_t[2] of_answer
    cdef object event_type
    cdef object prompt_type
    cdef object response_type
    cdef dict providers

    cdef object event_of(self, const Call* call, const Found* found, Shared* shared)
    cdef int put_text(
        self, PyObject* slots, int at, const Found* found, int target, Shared* shared) except -1
    cdef int put_ids(self, PyObject* slots, const Call* call) except -1
    cdef int put_times(self, PyObject* slots, const Call* call, const Found* found) except -1
    cdef int put_identity(self, PyObject* slots, int at, const Found* found, int target) except -1
    cdef int put_sides(self, PyObject* slots, const Found* found, Shared* shared) except -1
    cdef int put_metadata(self, PyObject* slots, const Call* call, const Found* found) except -1
    cdef int put_content(self, PyObject* slots, int side, list parts) except -1
