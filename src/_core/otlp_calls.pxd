# cython: cdivision=True
"""A span or a log record, as far as a call of a model is told by it.

Everything here reads bytes that `otlp_schema` has found whole.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from sentinel._core.otlp_found cimport (
    ANSWERED_BY, CALL_KIND, COMPLETION_TOKENS, EXCEPTION_MESSAGE, EXCEPTION_TYPE,
    IS_TEXT, MODEL, PROMPT_TEXT, PROMPT_TOKENS, PROVIDER, RESPONSE_TEXT, TOTAL_TOKENS,
    USAGE_DETAILS, Found, Names, equals, find, has, pick)
from sentinel._core.wire cimport (
    BYTES, DEPTH_MAX, FIXED32, FIXED64, VARINT, Field, Piece, next_field)

cdef enum:
    # What became of a span or record, in the order of otlp.OUTCOMES.
    CALL, NO_GEN_AI, NO_CALL, NO_USAGE, TOLD_BY_SPAN
    OUTCOMES
    STATUS_OK = 1, STATUS_ERROR = 2
    WORD_MAX = 32           # bytes of the longest word for an operation, and more
    TRACE_ID_BYTES = 16, SPAN_ID_BYTES = 8
    SAMPLED = 1             # of the flags: the span itself is recorded
    TH_DIGITS = 14          # of a sampling threshold: 56 bits

cdef struct Call:
    Piece trace_id
    Piece span_id
    Piece state             # tracestate
    Piece message           # of the status
    uint64_t start          # nanoseconds since 1970 UTC, 0 = unknown
    uint64_t end
    uint64_t first_token    # the earliest event that tells of one, 0 = none
    int32_t status
    uint32_t flags


cdef inline bint is_known(Piece bytes_of_id, Py_ssize_t length) noexcept nogil:
    """Tell whether an id is one: of its length, and not all zeros."""
    cdef Py_ssize_t i
    if bytes_of_id.end - bytes_of_id.at != length:
        return False
    for i in range(length):
        if bytes_of_id.at[i] != 0:
            return True
    return False


cdef inline void read_status(Piece piece, Call* call) noexcept nogil:
    """Read the status of a span."""
    cdef Field field
    while piece.at < piece.end and next_field(&piece, &field, DEPTH_MAX):
        if field.number == 2 and field.wire == BYTES:
            call.message = field.piece
        elif field.number == 3 and field.wire == VARINT:
            call.status = <int32_t><uint32_t>field.value


cdef inline bint is_first_token(Piece name) noexcept nogil:
    """Tell the events that OpenInference and OpenLLMetry write when an answer begins."""
    return equals(name, b"First Token Stream Event", 24) \
        or equals(name, b"llm.content.completion.chunk", 28)


cdef inline void read_event(
        const Names* names, Piece piece, Call* call, Found* found) noexcept nogil:
    """Read an event of a span: an exception, a text, or the first token."""
    cdef Field field
    cdef Piece name, rest = piece
    cdef uint64_t time = 0
    cdef uint64_t wanted = 1ULL << EXCEPTION_TYPE | 1ULL << EXCEPTION_MESSAGE \
        | 1ULL << PROMPT_TEXT | 1ULL << RESPONSE_TEXT
    name.at = name.end = NULL
    while rest.at < rest.end and next_field(&rest, &field, DEPTH_MAX):
        if field.number == 1 and field.wire == FIXED64:
            time = field.value
        elif field.number == 2 and field.wire == BYTES:
            name = field.piece
        elif field.number == 3 and field.wire == BYTES:
            pick(names, found, field.piece, wanted)
    if time != 0 and is_first_token(name) and (call.first_token == 0 or time < call.first_token):
        call.first_token = time


cdef inline void read_span(
        const Names* names, Piece piece, Call* call, Found* found) noexcept nogil:
    """Read a span; what `found` holds of its resource stays."""
    cdef Field field
    while piece.at < piece.end and next_field(&piece, &field, DEPTH_MAX):
        if field.wire == BYTES:
            if field.number == 9:
                pick(names, found, field.piece, ~0ULL)
            elif field.number == 1:
                call.trace_id = field.piece
            elif field.number == 2:
                call.span_id = field.piece
            elif field.number == 3:
                call.state = field.piece
            elif field.number == 11:
                read_event(names, field.piece, call, found)
            elif field.number == 15:
                read_status(field.piece, call)
        elif field.wire == FIXED64:
            if field.number == 7:
                call.start = field.value
            elif field.number == 8:
                call.end = field.value


cdef inline void read_record(
        const Names* names, Piece piece, Call* call, Found* found) noexcept nogil:
    """Read a log record: its time is the end of the call, and nothing tells the beginning."""
    cdef Field field
    cdef uint64_t observed = 0
    while piece.at < piece.end and next_field(&piece, &field, DEPTH_MAX):
        if field.wire == BYTES:
            if field.number == 6:
                pick(names, found, field.piece, ~0ULL)
            elif field.number == 9:
                call.trace_id = field.piece
            elif field.number == 10:
                call.span_id = field.piece
        elif field.wire == FIXED64:
            if field.number == 1:
                call.end = field.value
            elif field.number == 11:
                observed = field.value
        elif field.wire == FIXED32 and field.number == 8:
            call.flags = <uint32_t>field.value
    if call.end == 0:
        call.end = observed


cdef inline bint has_usage(const Found* found) noexcept nogil:
    """Tell whether tokens are told."""
    return has(found, PROMPT_TOKENS) or has(found, COMPLETION_TOKENS) \
        or has(found, TOTAL_TOKENS) or has(found, USAGE_DETAILS)


cdef inline int outcome_of(const Names* words, const Found* found) noexcept nogil:
    """Tell a call of a model from what only tells about one, and from everything else.

    `words` are the operations that are calls, in lower case.  Where no operation is named, a model
    together with a provider or tokens is a call.
    """
    cdef uint8_t[WORD_MAX] word
    cdef Piece text
    cdef Py_ssize_t i, n
    cdef bint names_model = has(found, MODEL) or has(found, ANSWERED_BY)
    if has(found, CALL_KIND):
        text = found.values[CALL_KIND].text
        n = text.end - text.at
        if found.values[CALL_KIND].kind != IS_TEXT or n > WORD_MAX:
            return NO_CALL
        for i in range(n):
            word[i] = text.at[i] | 32 if 65 <= text.at[i] <= 90 else text.at[i]
        return CALL if find(words, word, n) != NULL else NO_CALL
    if names_model and (has(found, PROVIDER) or has_usage(found)):
        return CALL
    return NO_CALL if names_model or has(found, PROVIDER) or has_usage(found) else NO_GEN_AI


cdef inline bint read_threshold(Piece member, double* share) noexcept nogil:
    """Read `ot=th:c;...` or `ot=p:3;...`, a member of tracestate, as the share of traces kept.

    th: up to 14 hexadecimal digits, zeros follow; kept are 1 - th / 2^56 of them
    (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/).  p, before
    that: 2^-p, from 0 to 62.
    """
    cdef const uint8_t* at = member.at + 3
    cdef uint64_t value
    cdef int digits, digit
    if member.end - at < 3 or not begins(member, b"ot=", 3):
        return False
    while at < member.end:
        value, digits = 0, 0
        if member.end - at >= 4 and at[0] == 116 and at[1] == 104 and at[2] == 58:
            at += 3
            while at < member.end and at[0] != 59:
                digit = at[0] - 48 if 48 <= at[0] <= 57 else at[0] - 87
                if not 0 <= digit < 16 or digits == TH_DIGITS:
                    return False
                value = value << 4 | <uint64_t>digit
                digits += 1
                at += 1
            share[0] = 1.0 - <double>(value << 4 * (TH_DIGITS - digits)) / <double>(1ULL << 56)
            return digits > 0
        if member.end - at >= 3 and at[0] == 112 and at[1] == 58:
            at += 2
            while at < member.end and 48 <= at[0] <= 57 and digits < 3:
                value = value * 10 + (at[0] - 48)
                digits += 1
                at += 1
            share[0] = 1.0 / <double>(1ULL << value) if value < 63 else 0.0
            return digits > 0 and value < 63 and (at == member.end or at[0] == 59)
        while at < member.end and at[0] != 59:
            at += 1
        at += 1
    return False


cdef inline bint begins(Piece piece, const char* text, Py_ssize_t n) noexcept nogil:
    """Tell whether bytes begin with a text of n bytes."""
    piece.end = piece.at + n if piece.end - piece.at >= n else piece.end
    return equals(piece, text, n)


cdef inline double share_of(Piece state) noexcept nogil:
    """Return the share of traces that a tracestate says were kept, 1 where it says nothing."""
    cdef Piece member = state
    cdef const uint8_t* rest
    cdef double share = 1.0
    while member.at < state.end:
        while member.at < state.end and (member.at[0] == 32 or member.at[0] == 9):
            member.at += 1
        member.end = member.at
        while member.end < state.end and member.end[0] != 44:
            member.end += 1
        rest = member.end + 1
        while member.end > member.at and (member.end[-1] == 32 or member.end[-1] == 9):
            member.end -= 1
        if read_threshold(member, &share):
            return share
        share = 1.0
        member.at = rest
    return 1.0
