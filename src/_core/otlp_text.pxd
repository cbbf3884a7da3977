# cython: cdivision=True
"""Python texts from the bytes of a request that is known to be whole: names, ids, contents."""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

from sentinel._core.otlp_found cimport (
    IS_LIST, IS_TABLE, IS_TEXT, Value, equals, hash_of, read_value)
from sentinel._core.slots cimport Py_INCREF, Py_XDECREF, PyObject, PyUnicode_DATA, \
    PyUnicode_GET_LENGTH
from sentinel._core.wire cimport BYTES, DEPTH_MAX, Field, Piece, next_field

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t length, unsigned int largest)
    object PyUnicode_DecodeUTF8(const char* text, Py_ssize_t length, const char* errors)
    bint PyUnicode_IS_ASCII(PyObject* text)

cdef enum:
    SHARED = 128            # texts that are remembered within one request
    SHARED_MAX = 64         # bytes of one

cdef struct Shared:
    PyObject* texts[SHARED]


cdef inline object text_of(Piece piece):
    """Return bytes that are known to be UTF-8 as a text."""
    return PyUnicode_DecodeUTF8(<const char*>piece.at, piece.end - piece.at, NULL)


cdef inline object shared_text(Shared* shared, Piece piece):
    """Return a text, the same object as before where it came a moment ago: services, models."""
    cdef Py_ssize_t n = piece.end - piece.at
    cdef uint64_t place
    cdef PyObject* known
    if n > SHARED_MAX:
        return text_of(piece)
    place = hash_of(piece.at, n) % SHARED
    known = shared.texts[place]
    if known != NULL and PyUnicode_GET_LENGTH(known) == n \
            and memcmp(PyUnicode_DATA(known), piece.at, n) == 0:
        return <object>known
    text = text_of(piece)
    if PyUnicode_IS_ASCII(<PyObject*>text):         # then its characters are its bytes
        Py_INCREF(<PyObject*>text)
        shared.texts[place] = <PyObject*>text
        Py_XDECREF(known)
    return text


cdef inline void drop_shared(Shared* shared) noexcept:
    """Let the remembered texts go."""
    for i in range(SHARED):
        Py_XDECREF(shared.texts[i])
        shared.texts[i] = NULL


cdef inline uint8_t digit(uint64_t nibble) noexcept nogil:
    """Return a hexadecimal digit."""
    return <uint8_t>(nibble + (48 if nibble < 10 else 87))


cdef inline object hex_of(Piece piece):
    """Return the hexadecimal digits of a few bytes."""
    cdef Py_ssize_t i, n = piece.end - piece.at
    text = PyUnicode_New(2 * n, 127)
    cdef uint8_t* out = <uint8_t*>PyUnicode_DATA(<PyObject*>text)
    for i in range(n):
        out[2 * i] = digit(piece.at[i] >> 4)
        out[2 * i + 1] = digit(piece.at[i] & 15)
    return text


cdef inline uint64_t big_endian(const uint8_t* at) noexcept nogil:
    """Return eight bytes as a number, the largest part first."""
    cdef uint64_t value = 0
    cdef int i
    for i in range(8):
        value = value << 8 | at[i]
    return value


cdef inline uint64_t scattered(uint64_t x) noexcept nogil:
    """Return another number for each: the last step of splitmix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL
    return x ^ x >> 31


cdef inline object event_id_of(const uint8_t* trace_id, const uint8_t* span_id):
    """Return the event id of a span, as a uuid of version 8: the same for the same two ids.

    The span id is scattered first: some tracers make half of the trace id of it, and the two would
    cancel out.
    """
    cdef uint64_t span = big_endian(span_id)
    cdef uint64_t[2] bits
    cdef int i, at = 0
    bits[0] = big_endian(trace_id) ^ scattered(span + 0x9E3779B97F4A7C15ULL)
    bits[1] = big_endian(trace_id + 8) ^ scattered(span)
    bits[0] = bits[0] & ~0xF000ULL | 0x8000ULL
    bits[1] = bits[1] & ~(0xC0ULL << 56) | 0x80ULL << 56
    text = PyUnicode_New(36, 127)
    cdef uint8_t* out = <uint8_t*>PyUnicode_DATA(<PyObject*>text)
    for i in range(32):
        if i == 8 or i == 12 or i == 16 or i == 20:
            out[at] = 45
            at += 1
        out[at] = digit(bits[i >> 4] >> (60 - 4 * (i & 15)) & 15)
        at += 1
    return text


cdef inline int add_contents(Piece piece, bint is_content, list parts) except -1:
    """Add the texts under `content` of an AnyValue that holds messages, in their order."""
    cdef Value value
    value.kind = 0
    value.text.at = value.text.end = NULL
    read_value(piece, &value)
    if value.kind == IS_TEXT:
        if is_content and value.text.end > value.text.at:
            parts.append(text_of(value.text))
    elif value.kind == IS_LIST or value.kind == IS_TABLE:
        add_inside(value.inside, value.kind, is_content, parts)
    return 0


cdef inline int add_inside(Piece inside, int kind, bint is_content, list parts) except -1:
    """Add the texts under `content` of a list or a table."""
    cdef Field field
    while inside.at < inside.end and next_field(&inside, &field, DEPTH_MAX):
        if field.number == 1 and field.wire == BYTES:
            if kind == IS_LIST:
                add_contents(field.piece, is_content, parts)
            else:
                add_pair(field.piece, parts)
    return 0


cdef inline int add_pair(Piece pair, list parts) except -1:
    """Add the texts under `content` of a KeyValue."""
    cdef Field field
    cdef Piece key, value
    key.at = key.end = value.at = value.end = NULL
    while pair.at < pair.end and next_field(&pair, &field, DEPTH_MAX):
        if field.wire == BYTES and field.number == 1:
            key = field.piece
        elif field.wire == BYTES and field.number == 2:
            value = field.piece
    return add_contents(value, equals(key, b"content", 7), parts)
