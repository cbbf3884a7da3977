# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""From the bytes of an OTLP request to events, without building its messages.

The classes and the names of attributes are given to `CallReader`; what is refused is refused by
intake afterwards, so a value of the wrong type is put into the event as it came.
"""
cimport cython
from cpython.datetime cimport import_datetime
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from sentinel._core.instants cimport MICROSECONDS_END, instant_of
from sentinel._core.otlp_calls cimport *
from sentinel._core.otlp_found cimport *
from sentinel._core.otlp_schema cimport LOGS, METRICS, is_whole
from sentinel._core.otlp_text cimport (
    Shared, add_inside, drop_shared, event_id_of, hex_of, shared_text, text_of)
from sentinel._core.otlp_values cimport (
    cost_of, count_of, errors_of, milliseconds_between, object_of)
from sentinel._core.slots cimport COUNT_LIMIT, PyObject, put, resolve, slot
from sentinel._core.wire cimport BYTES, DEPTH_MAX, Field, Piece, next_field

import_datetime()

TARGET_NAMES = (
    "service_name", "environment", "provider", "model", "response.model", "kind", "ttft",
    "prompt.tokens", "response.tokens", "total_tokens", "cache_read", "cache_write", "reasoning",
    "cost_usd", "cost_amount", "cost_currency", "cost_prompt", "cost_completion", "user_id",
    "session_id", "error_type", "exception_type", "exception_message", "response.finish_reason",
    "prompt.text", "response.text", "agent_name", "prompt_name", "prompt_version",
    "level", "level_message", "usage_details", "cost_details", "first_token_at")
OUTCOME_NAMES = ("event", "no_gen_ai", "no_call", "no_usage", "told_by_span")

cdef tuple FIELDS = (
    "timestamp", "event_id", "model", "environment", "provider", "trace_id", "span_id", "prompt",
    "response", "total_tokens", "latency_ms", "ttft_ms", "cost_usd", "user_id", "session_id",
    "metadata", "errors", "service_name")
cdef tuple SIDE_FIELDS = ("text", "tokens")
cdef tuple ANSWER_FIELDS = ("finish_reason", "model")
cdef tuple COUNTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
cdef tuple TEXTS = ("agent_name", "prompt_name")

cdef enum:
    # Indexes into FIELDS.
    AT_TIMESTAMP, AT_EVENT_ID, AT_MODEL, AT_ENVIRONMENT, AT_PROVIDER, AT_TRACE_ID, AT_SPAN_ID
    AT_PROMPT, AT_RESPONSE, AT_TOTAL, AT_LATENCY, AT_TTFT, AT_COST, AT_USER, AT_SESSION
    AT_METADATA, AT_ERRORS, AT_SERVICE
    FIELD_COUNT


@cython.final
cdef class NameTable:
    """Names of attributes or words, and what each is about."""

    cdef Names names
    cdef list kept          # the bytes that the table points to

    def __cinit__(self, table):
        cdef uint64_t places = 16, at
        cdef Name* place
        cdef bytes text
        while places < 4 * <uint64_t>len(table):
            places *= 2
        self.kept = []
        self.names.last = places - 1
        self.names.places = <Name*>calloc(places, sizeof(Name))
        if self.names.places == NULL:
            raise MemoryError
        for text, (target, rank) in table.items():
            self.kept.append(text)
            at = hash_of(text, len(text)) & self.names.last
            while self.names.places[at].text != NULL:
                at = (at + 1) & self.names.last
            place = &self.names.places[at]
            place.hash, place.text, place.length = hash_of(text, len(text)), text, len(text)
            place.target, place.rank = target, rank

    def __dealloc__(self):
        free(self.names.places)


@cython.final
cdef class CallReader:
    """Reads requests of spans and of log records; holds nothing of them, so threads may share it.

    names
        Target -> names of attributes, the best first; `#` in a name stands for any number.
    words
        Operations that are calls of a model, in lower case.
    providers
        Names that providers went by -> the names they go by now.
    """

    cdef Py_ssize_t[FIELD_COUNT] at
    cdef Py_ssize_t[2][2] of_side
    cdef Py_ssize_t[2] of_answer
    cdef object event_type
    cdef object prompt_type
    cdef object response_type
    cdef NameTable attributes
    cdef NameTable words
    cdef dict providers

    def __init__(self, event, prompt, response, *, names, words, providers):
        self.event_type, self.prompt_type, self.response_type = event, prompt, response
        resolve(event, FIELDS, self.at)
        resolve(prompt, SIDE_FIELDS, self.of_side[0])
        resolve(response, SIDE_FIELDS, self.of_side[1])
        resolve(response, ANSWER_FIELDS, self.of_answer)
        self.attributes = NameTable({
            name.encode(): (TARGET_NAMES.index(target), rank)
            for target, found in names.items() for rank, name in enumerate(found)})
        self.words = NameTable({word.encode(): (0, 0) for word in words})
        self.providers = dict(providers)

    def read(self, int message, bytes body not None):
        """Return events, details of some of them, and counts by outcome; None for no request."""
        cdef Piece piece, inner
        cdef Field field
        cdef bint whole
        cdef Found resource
        cdef Reading reading = Reading.__new__(Reading)
        piece.at = body
        piece.end = piece.at + len(body)
        with nogil:
            whole = is_whole(message, piece, DEPTH_MAX)
        if not whole:
            return None
        reading.reader, reading.message = self, message
        reading.events, reading.details = [], []
        while piece.at < piece.end and next_field(&piece, &field, DEPTH_MAX):
            if field.number != 1 or field.wire != BYTES:
                continue
            forget(&resource)
            self.read_resource(field.piece, &resource)
            inner = field.piece
            while inner.at < inner.end and next_field(&inner, &field, DEPTH_MAX):
                if field.number == 2 and field.wire == BYTES:
                    reading.read_scope(field.piece, &resource)
        return reading.events, reading.details, [reading.counts[i] for i in range(OUTCOMES)]

    cdef int read_resource(self, Piece group, Found* found) except -1:
        """Find out whose the spans are: the resource may stand behind them."""
        cdef Field field
        cdef Piece resource
        cdef uint64_t wanted = 1ULL << SERVICE | 1ULL << ENVIRONMENT
        while group.at < group.end and next_field(&group, &field, DEPTH_MAX):
            if field.number != 1 or field.wire != BYTES:
                continue
            resource = field.piece
            while resource.at < resource.end and next_field(&resource, &field, DEPTH_MAX):
                if field.number == 1 and field.wire == BYTES:
                    pick(&self.attributes.names, found, field.piece, wanted)
        return 0

    cdef object event_of(self, const Call* call, const Found* found, Shared* shared):
        """Return the event that a call is told by."""
        cdef object event = self.event_type("")
        cdef PyObject* slots = <PyObject*>event
        self.put_text(slots, AT_SERVICE, found, SERVICE, shared)
        self.put_text(slots, AT_ENVIRONMENT, found, ENVIRONMENT, shared)
        self.put_text(slots, AT_MODEL, found, MODEL if has(found, MODEL) else ANSWERED_BY, shared)
        if has(found, PROVIDER):
            provider = shared_text(shared, found.values[PROVIDER].text)
            provider = self.providers.get(provider, provider)
            put(slots, self.at[AT_PROVIDER], <PyObject*>provider)
        self.put_ids(slots, call)
        self.put_times(slots, call, found)
        self.put_identity(slots, AT_USER, found, USER)
        self.put_identity(slots, AT_SESSION, found, SESSION)
        self.put_sides(slots, found, shared)
        self.put_metadata(slots, call, found)
        cost = cost_of(found)
        put(slots, self.at[AT_COST], <PyObject*>cost)
        errors = errors_of(call, found)
        put(slots, self.at[AT_ERRORS], <PyObject*>errors)
        return event

    cdef int put_text(
            self, PyObject* slots, int at, const Found* found, int target, Shared* shared
    ) except -1:
        """Put a text where it belongs, None where nothing was said."""
        text = shared_text(shared, found.values[target].text) if has(found, target) else None
        put(slots, self.at[at], <PyObject*>text)
        return 0

    cdef int put_ids(self, PyObject* slots, const Call* call) except -1:
        """Put the ids of trace and span, and the event id that is made of both."""
        cdef bint traced = is_known(call.trace_id, TRACE_ID_BYTES)
        cdef bint spanned = is_known(call.span_id, SPAN_ID_BYTES)
        if traced:
            name = hex_of(call.trace_id)
            put(slots, self.at[AT_TRACE_ID], <PyObject*>name)
        if spanned:
            name = hex_of(call.span_id)
            put(slots, self.at[AT_SPAN_ID], <PyObject*>name)
        if traced and spanned:
            name = event_id_of(call.trace_id.at, call.span_id.at)
            put(slots, self.at[AT_EVENT_ID], <PyObject*>name)
        return 0

    cdef int put_times(self, PyObject* slots, const Call* call, const Found* found) except -1:
        """Put the end of the call, how long it took, and the time to its first token."""
        cdef const Value* ttft = &found.values[TTFT]
        if call.end != 0:
            when = instant_of(<int64_t>(call.end // 1000)) \
                if call.end // 1000 < <uint64_t>MICROSECONDS_END else call.end
            put(slots, self.at[AT_TIMESTAMP], <PyObject*>when)
            if call.start != 0:
                took = milliseconds_between(call.start, call.end)
                put(slots, self.at[AT_LATENCY], <PyObject*>took)
        if has(found, TTFT):
            # A later name for it told seconds as a double, nanoseconds as a whole number.
            if ttft.kind == IS_REAL or (ttft.kind == IS_WHOLE and found.ranks[TTFT] == 0):
                took = 1000.0 * (ttft.real if ttft.kind == IS_REAL else <double>ttft.whole)
            else:
                took = <double>ttft.whole / 1e6 if ttft.kind == IS_WHOLE else object_of(ttft)
            put(slots, self.at[AT_TTFT], <PyObject*>took)
        elif call.first_token != 0 and call.start != 0:
            took = milliseconds_between(call.start, call.first_token)
            put(slots, self.at[AT_TTFT], <PyObject*>took)
        return 0

    cdef int put_identity(self, PyObject* slots, int at, const Found* found, int target) except -1:
        """Put the id of a user or a session."""
        if has(found, target):
            identity = object_of(&found.values[target])
            put(slots, self.at[at], <PyObject*>identity)
        return 0

    cdef int put_sides(self, PyObject* slots, const Found* found, Shared* shared) except -1:
        """Put the tokens of both sides, what answered and why it ended."""
        asked, answered = count_of(found, PROMPT_TOKENS), count_of(found, COMPLETION_TOKENS)
        cached = cached_apart(asked, found)
        if asked is not None:
            asked = asked + cached if cached else asked
            side = self.prompt_type()
            put(<PyObject*>side, self.of_side[0][1], <PyObject*>asked)
            put(slots, self.at[AT_PROMPT], <PyObject*>side)
        if answered is not None or has(found, FINISH_REASON) or has(found, ANSWERED_BY):
            side = self.response_type()
            put(<PyObject*>side, self.of_side[1][1], <PyObject*>answered)
            if has(found, FINISH_REASON):
                text = shared_text(shared, found.values[FINISH_REASON].text)
                put(<PyObject*>side, self.of_answer[0], <PyObject*>text)
            if has(found, MODEL) and has(found, ANSWERED_BY):
                text = shared_text(shared, found.values[ANSWERED_BY].text)
                if text != shared_text(shared, found.values[MODEL].text):
                    put(<PyObject*>side, self.of_answer[1], <PyObject*>text)
            put(slots, self.at[AT_RESPONSE], <PyObject*>side)
        if asked is None or answered is None:
            total = count_of(found, TOTAL_TOKENS)
            put(slots, self.at[AT_TOTAL], <PyObject*>total)
        return 0

    cdef int put_metadata(self, PyObject* slots, const Call* call, const Found* found) except -1:
        """Put what the event has no field for."""
        cdef dict metadata = {}
        cdef double share = share_of(call.state)
        cdef int[3] counts = [CACHE_READ, CACHE_WRITE, REASONING]
        cdef int[2] texts = [AGENT_NAME, PROMPT_NAME]
        cdef int i
        for i in range(3):
            if has(found, counts[i]):
                metadata[COUNTS[i]] = count_of(found, counts[i])
        if metadata and cached_apart(count_of(found, PROMPT_TOKENS), found):
            metadata["cache_tokens_added"] = True
        for i in range(2):
            if has(found, texts[i]):
                metadata[TEXTS[i]] = text_of(found.values[texts[i]].text)
        if has(found, PROMPT_VERSION):
            metadata["prompt_version"] = object_of(&found.values[PROMPT_VERSION])
        if share < 1.0:
            metadata["sampling_probability"] = share
        if metadata:
            put(slots, self.at[AT_METADATA], <PyObject*>metadata)
        return 0

    cdef int put_content(self, PyObject* slots, int side, list parts) except -1:
        """Put the text of prompt (0) or response (1)."""
        if not parts:
            return 0
        text = parts[0] if len(parts) == 1 else "\n".join(parts)
        if slot(slots, self.at[AT_PROMPT + side]) == NULL:
            new = self.prompt_type() if side == 0 else self.response_type()
            put(slots, self.at[AT_PROMPT + side], <PyObject*>new)
        put(slot(slots, self.at[AT_PROMPT + side]), self.of_side[side][0], <PyObject*>text)
        return 0


cdef object cached_apart(object asked, const Found* found):
    """Return what to add to the prompt's tokens: 0, or the cached ones where these are more.

    The conventions count them within; who passes on what a provider says may not.
    """
    cdef object cached = 0
    if type(asked) is not int or not (has(found, CACHE_READ) or has(found, CACHE_WRITE)):
        return 0
    for part in (count_of(found, CACHE_READ), count_of(found, CACHE_WRITE)):
        if type(part) is int:
            if not 0 <= part <= COUNT_LIMIT:
                return 0
            cached += part
    return cached if 0 <= asked < cached else 0


@cython.final
cdef class Reading:
    """One request while it is read."""

    cdef CallReader reader
    cdef int message
    cdef list events
    cdef list details
    cdef int64_t[OUTCOMES] counts
    cdef Shared shared

    def __dealloc__(self):
        drop_shared(&self.shared)

    cdef int read_scope(self, Piece scope, const Found* resource) except -1:
        """Read the spans or records of one scope."""
        cdef Field field
        while scope.at < scope.end and next_field(&scope, &field, DEPTH_MAX):
            if field.number == 2 and field.wire == BYTES:
                self.read_call(field.piece, resource)
        return 0

    cdef int read_call(self, Piece piece, const Found* resource) except -1:
        """Read one span or record, and add the event that it tells of, if it does."""
        cdef Call call
        cdef Found found
        cdef const Names* names = &self.reader.attributes.names
        cdef int outcome
        memset(&call, 0, sizeof(call))
        forget(&found)
        for target in (SERVICE, ENVIRONMENT):
            found.ranks[target], found.values[target] = \
                resource.ranks[target], resource.values[target]
        if self.message == LOGS:
            read_record(names, piece, &call, &found)
        else:
            read_span(names, piece, &call, &found)
        outcome = outcome_of(&self.reader.words.names, &found)
        if self.message == LOGS and outcome == CALL:
            if not has_usage(&found):
                outcome = NO_USAGE
            elif call.flags & SAMPLED and is_known(call.span_id, SPAN_ID_BYTES):
                outcome = TOLD_BY_SPAN      # which knows how long it took
        self.counts[outcome] += 1
        if outcome != CALL:
            return 0
        event = self.reader.event_of(&call, &found, &self.shared)
        if self.message != LOGS:
            self.add_texts(piece, &found, <PyObject*>event)
        if has(&found, USAGE_DETAILS) or has(&found, COST_DETAILS) or has(&found, FIRST_TOKEN_AT):
            self.details.append((len(self.events), call.start, *(
                text_of(found.values[target].text) if has(&found, target) else None
                for target in (USAGE_DETAILS, COST_DETAILS, FIRST_TOKEN_AT))))
        self.events.append(event)
        return 0

    cdef int add_texts(self, Piece span, const Found* found, PyObject* event) except -1:
        """Add the texts of prompt and response: all that stand under names of the best rank."""
        cdef int side
        cdef list parts
        for side in range(2):
            if has(found, PROMPT_TEXT + side):
                parts = []
                self.collect(span, side, found, parts)
                self.reader.put_content(event, side, parts)
        return 0

    cdef int collect(self, Piece span, int side, const Found* found, list parts) except -1:
        """Collect the texts of one side from the attributes of a span and of its events."""
        cdef Field field
        cdef Piece event
        while span.at < span.end and next_field(&span, &field, DEPTH_MAX):
            if field.number == 9 and field.wire == BYTES:
                self.collect_pair(field.piece, side, found, parts)
            elif field.number == 11 and field.wire == BYTES:
                event = field.piece
                while event.at < event.end and next_field(&event, &field, DEPTH_MAX):
                    if field.number == 3 and field.wire == BYTES:
                        self.collect_pair(field.piece, side, found, parts)
        return 0

    cdef int collect_pair(self, Piece pair, int side, const Found* found, list parts) except -1:
        """Collect the text of an attribute, if it is one of this side and of the best rank."""
        cdef Value value
        cdef const Name* name = open_pair(&self.reader.attributes.names, pair, &value)
        if name == NULL or name.target != PROMPT_TEXT + side \
                or name.rank != found.ranks[PROMPT_TEXT + side]:
            return 0
        if value.kind == IS_TEXT:
            if value.text.end > value.text.at:
                parts.append(text_of(value.text))
        elif value.kind == IS_LIST or value.kind == IS_TABLE:
            add_inside(value.inside, value.kind, False, parts)
        return 0


def count_points(bytes body not None):
    """Return how many data points of metrics tell of calls of models, and how many do not.

    None where the body is no request.
    """
    cdef Piece piece, group, scope
    cdef Field field
    cdef int64_t[2] counts = [0, 0]
    piece.at = body
    piece.end = piece.at + len(body)
    if not is_whole(METRICS, piece, DEPTH_MAX):
        return None
    while piece.at < piece.end and next_field(&piece, &field, DEPTH_MAX):
        if field.number != 1 or field.wire != BYTES:
            continue
        group = field.piece
        while group.at < group.end and next_field(&group, &field, DEPTH_MAX):
            if field.number != 2 or field.wire != BYTES:
                continue
            scope = field.piece
            while scope.at < scope.end and next_field(&scope, &field, DEPTH_MAX):
                if field.number == 2 and field.wire == BYTES:
                    count_metric(field.piece, counts)
    return counts[0], counts[1]


cdef void count_metric(Piece metric, int64_t* counts) noexcept nogil:
    """Count the data points of one metric: they are field 1 of whatever kind it is."""
    cdef Field field
    cdef Piece inside
    cdef int64_t points = 0
    cdef bint tells = False
    while metric.at < metric.end and next_field(&metric, &field, DEPTH_MAX):
        if field.wire != BYTES:
            continue
        if field.number == 1:
            tells = begins(field.piece, b"gen_ai.", 7) or begins(field.piece, b"llm.", 4)
        elif 5 <= field.number <= 11:
            inside = field.piece
            while inside.at < inside.end and next_field(&inside, &field, DEPTH_MAX):
                points += field.number == 1 and field.wire == BYTES
    counts[0 if tells else 1] += points
