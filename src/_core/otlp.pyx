# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""From the bytes of an OTLP request to events, without building its messages.

The classes and the names of attributes are given to `CallReader`; what is refused is refused by
intake afterwards, so a value of the wrong type is put into the event as it came.
"""
cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from sentinel._core.otlp_calls cimport *
from sentinel._core.otlp_events cimport EventMaker
from sentinel._core.otlp_found cimport *
from sentinel._core.otlp_schema cimport LOGS, METRICS, is_whole
from sentinel._core.otlp_text cimport Shared, add_inside, drop_shared, text_of
from sentinel._core.slots cimport PyObject
from sentinel._core.wire cimport BYTES, DEPTH_MAX, Field, Piece, next_field

TARGET_NAMES = (
    "service_name", "environment", "provider", "model", "response.model", "kind", "ttft",
    "prompt.tokens", "response.tokens", "total_tokens", "cache_read", "cache_write", "reasoning",
    "cost_usd", "cost_amount", "cost_currency", "cost_prompt", "cost_completion", "user_id",
    "session_id", "error_type", "exception_type", "exception_message", "response.finish_reason",
    "prompt.text", "response.text", "agent_name", "prompt_name", "prompt_version",
    "level", "level_message", "usage_details", "cost_details", "first_token_at", "parameters")
OUTCOME_NAMES = ("event", "no_gen_ai", "no_call", "no_usage", "told_by_span")


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

    cdef EventMaker maker
    cdef NameTable attributes
    cdef NameTable words

    def __init__(self, event, prompt, response, *, names, words, providers):
        self.maker = EventMaker(event, prompt, response, providers)
        self.attributes = NameTable({
            name.encode(): (TARGET_NAMES.index(target), rank)
            for target, found in names.items() for rank, name in enumerate(found)})
        self.words = NameTable({word.encode(): (0, 0) for word in words})

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
        event = self.reader.maker.event_of(&call, &found, &self.shared)
        if self.message != LOGS:
            self.add_texts(piece, &found, <PyObject*>event)
        if has(&found, USAGE_DETAILS) or has(&found, COST_DETAILS) \
                or has(&found, FIRST_TOKEN_AT) or has(&found, PARAMETERS):
            self.details.append((len(self.events), call.start, *(
                text_of(found.values[target].text) if has(&found, target) else None
                for target in (USAGE_DETAILS, COST_DETAILS, FIRST_TOKEN_AT, PARAMETERS))))
        self.events.append(event)
        return 0

    cdef int add_texts(self, Piece span, const Found* found, PyObject* event) except -1:
        """Add the texts of prompt and response: all that stand under names of the best rank."""
        cdef int side
        cdef list parts
        for side in range(2):
            if has(found, PROMPT_TEXT + side):
                parts = []
                if found.is_more[side]:
                    self.collect(span, side, found, parts)
                else:
                    add_text(&found.values[PROMPT_TEXT + side], parts)
                self.reader.maker.put_content(event, side, parts)
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
        return add_text(&value, parts)


cdef int add_text(const Value* value, list parts) except -1:
    """Add a text as it is, of messages their contents."""
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
