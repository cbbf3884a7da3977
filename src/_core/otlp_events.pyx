# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The event that a call is told by, made straight in the slots of its Structs."""
cimport cython
from cpython.datetime cimport import_datetime
from libc.stdint cimport int64_t, uint64_t

from sentinel._core.instants cimport MICROSECONDS_END, instant_of
from sentinel._core.otlp_calls cimport SPAN_ID_BYTES, TRACE_ID_BYTES, Call, is_known, share_of
from sentinel._core.otlp_found cimport *
from sentinel._core.otlp_text cimport Shared, event_id_of, hex_of, shared_text, text_of
from sentinel._core.otlp_values cimport (
    cost_of, count_of, errors_of, milliseconds_between, object_of)
from sentinel._core.slots cimport COUNT_LIMIT, PyObject, put, resolve, slot

import_datetime()

cdef tuple FIELDS = (
    "timestamp", "event_id", "model", "environment", "provider", "trace_id", "span_id", "prompt",
    "response", "total_tokens", "latency_ms", "ttft_ms", "cost_usd", "user_id", "session_id",
    "metadata", "errors", "service_name")
cdef tuple SIDE_FIELDS = ("text", "tokens")
cdef tuple ANSWER_FIELDS = ("finish_reason", "model")
cdef tuple COUNTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
cdef tuple TEXTS = ("agent_name", "prompt_name")


@cython.final
cdef class EventMaker:
    """Makes events of one class; holds nothing of them."""

    def __init__(self, event, prompt, response, providers):
        self.event_type, self.prompt_type, self.response_type = event, prompt, response
        self.providers = dict(providers)
        resolve(event, FIELDS, self.at)
        resolve(prompt, SIDE_FIELDS, self.of_side[0])
        resolve(response, SIDE_FIELDS, self.of_side[1])
        resolve(response, ANSWER_FIELDS, self.of_answer)

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
