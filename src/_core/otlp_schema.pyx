# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Which bytes are an OTLP request, and which are none.

A request is looked through once, in whole, before anything of it is used: what comes after may rely
on every length and every text.  The table is the .proto files of OTLP 1.x (a test compares them).
A field that the table does not have, or that comes with another wire type, is gone past, as the
specification asks.  https://opentelemetry.io/docs/specs/otlp/
"""
from libc.stdint cimport uint8_t, uint64_t

from sentinel._core.wire cimport (
    BYTES, DEPTH_MAX, GROUP, Field, Piece, is_utf8, read_content, read_tag, read_varint,
    skip_group)

cdef enum:
    FIELDS = 17             # the largest field number is 16
    # Kinds of field that need a look; any other is only gone past.  From CHILD on: a message.
    PLAIN = 0, TEXT = 1, PACKED_VARINT = 2, PACKED_FIXED64 = 3, CHILD = 8

SCHEMA = {
    "ExportTraceServiceRequest": {1: "ResourceSpans"},
    "ExportLogsServiceRequest": {1: "ResourceLogs"},
    "ExportMetricsServiceRequest": {1: "ResourceMetrics"},
    "ResourceSpans": {1: "Resource", 2: "ScopeSpans", 3: "text"},
    "ScopeSpans": {1: "InstrumentationScope", 2: "Span", 3: "text"},
    "Span": {3: "text", 5: "text", 9: "KeyValue", 11: "Event", 13: "Link", 15: "Status"},
    "Event": {2: "text", 3: "KeyValue"},
    "Link": {3: "text", 4: "KeyValue"},
    "Status": {2: "text"},
    "ResourceLogs": {1: "Resource", 2: "ScopeLogs", 3: "text"},
    "ScopeLogs": {1: "InstrumentationScope", 2: "LogRecord", 3: "text"},
    "LogRecord": {3: "text", 5: "AnyValue", 6: "KeyValue", 12: "text"},
    "ResourceMetrics": {1: "Resource", 2: "ScopeMetrics", 3: "text"},
    "ScopeMetrics": {1: "InstrumentationScope", 2: "Metric", 3: "text"},
    "Metric": {1: "text", 2: "text", 3: "text", 5: "Gauge", 7: "Sum", 9: "Histogram",
               10: "ExponentialHistogram", 11: "Summary", 12: "KeyValue"},
    "Gauge": {1: "NumberDataPoint"},
    "Sum": {1: "NumberDataPoint"},
    "Histogram": {1: "HistogramDataPoint"},
    "ExponentialHistogram": {1: "ExponentialHistogramDataPoint"},
    "Summary": {1: "SummaryDataPoint"},
    "NumberDataPoint": {5: "Exemplar", 7: "KeyValue"},
    "HistogramDataPoint": {6: "packed_fixed64", 7: "packed_fixed64", 8: "Exemplar", 9: "KeyValue"},
    "ExponentialHistogramDataPoint": {1: "KeyValue", 8: "Buckets", 9: "Buckets", 11: "Exemplar"},
    "SummaryDataPoint": {6: "ValueAtQuantile", 7: "KeyValue"},
    "Exemplar": {7: "KeyValue"},
    "Buckets": {2: "packed_varint"},
    "ValueAtQuantile": {},
    "Resource": {1: "KeyValue", 3: "EntityRef"},
    "EntityRef": {1: "text", 2: "text", 3: "text", 4: "text"},
    "InstrumentationScope": {1: "text", 2: "text", 3: "KeyValue"},
    "KeyValue": {1: "text", 2: "AnyValue"},
    "AnyValue": {1: "text", 5: "ArrayValue", 6: "KeyValueList"},
    "ArrayValue": {1: "AnyValue"},
    "KeyValueList": {1: "KeyValue"},
}
"""Message -> field number -> what must be looked at in it: text, a packed list, or a message."""

cdef uint8_t[64][FIELDS] KINDS


cdef int fill() except -1:
    """Write the table down as numbers."""
    cdef int message, number
    codes = {name: CHILD + i for i, name in enumerate(SCHEMA)}
    codes |= {"text": TEXT, "packed_varint": PACKED_VARINT, "packed_fixed64": PACKED_FIXED64}
    for message, fields in enumerate(SCHEMA.values()):
        for number, kind in fields.items():
            KINDS[message][number] = codes[kind]
    return 0


fill()


cdef bint are_varints(Piece rest) noexcept nogil:
    """Tell whether bytes are varints and nothing else."""
    cdef uint64_t value = 0
    while rest.at < rest.end:
        if not read_varint(&rest, &value, 10):
            return False
    return True


cdef bint is_whole(int message, Piece piece, int depth) noexcept nogil:
    """Tell whether bytes are a message of this kind; `depth` more may lie within one another."""
    cdef Field field
    cdef int kind
    field.value = 0
    while piece.at < piece.end:
        if not read_tag(&piece, &field) or field.number == 0:
            return False
        if field.wire == GROUP:
            if not skip_group(&piece, field.number, depth):
                return False
            continue
        if not read_content(&piece, &field):
            return False
        if field.wire != BYTES or field.number >= FIELDS:
            continue
        kind = KINDS[message][field.number]
        if kind >= CHILD:
            if depth == 0 or not is_whole(kind - CHILD, field.piece, depth - 1):
                return False
        elif kind == TEXT:
            if not is_utf8(field.piece):
                return False
        elif kind == PACKED_FIXED64:
            if (field.piece.end - field.piece.at) % 8 != 0:
                return False
        elif kind == PACKED_VARINT and not are_varints(field.piece):
            return False
    return True


def is_request(int message, const uint8_t[::1] body not None):
    """Tell whether a body is a request: of traces (0), logs (1) or metrics (2)."""
    cdef Piece piece
    cdef bint whole
    if body.shape[0] == 0:
        return True
    piece.at, piece.end = &body[0], &body[0] + body.shape[0]
    with nogil:
        whole = is_whole(message, piece, DEPTH_MAX)
    return whole
