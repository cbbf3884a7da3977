# cython: cdivision=True
"""Which attributes of a span say something, and what they said: by name, without a Python call.

Everything here reads bytes that `otlp_schema` has found whole.  Of the names that mean the same the
one of the best rank counts, of equal names the first.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from sentinel._core.wire cimport BYTES, DEPTH_MAX, FIXED64, VARINT, Field, Piece, next_field

cdef enum:
    # What an attribute is about, in the order of otlp.TARGETS.
    SERVICE, ENVIRONMENT, PROVIDER, MODEL, ANSWERED_BY, CALL_KIND, TTFT, PROMPT_TOKENS
    COMPLETION_TOKENS, TOTAL_TOKENS, CACHE_READ, CACHE_WRITE, REASONING, COST, COST_AMOUNT
    COST_CURRENCY, COST_PROMPT, COST_COMPLETION, USER, SESSION, ERROR_TYPE, EXCEPTION_TYPE
    EXCEPTION_MESSAGE, FINISH_REASON, PROMPT_TEXT, RESPONSE_TEXT, AGENT_NAME
    PROMPT_NAME, PROMPT_VERSION, LEVEL, LEVEL_MESSAGE, USAGE_DETAILS, COST_DETAILS, FIRST_TOKEN_AT
    PARAMETERS, TARGETS
    NO_RANK = 255
    # What an AnyValue holds.
    NOTHING = 0, IS_TEXT, IS_BOOL, IS_WHOLE, IS_REAL, IS_LIST, IS_TABLE, IS_OTHER
    KEY_MAX = 96            # bytes of a name with a number in it

cdef struct Value:
    int kind
    int64_t whole           # also of a bool
    double real
    Piece text              # of a list: its first text
    Piece inside            # the message, of a list or table

cdef struct Name:
    uint64_t hash
    const uint8_t* text     # NULL where the place is free
    Py_ssize_t length
    uint8_t target
    uint8_t rank

cdef struct Names:
    Name* places            # open addressing
    uint64_t last           # places - 1

cdef struct Found:
    Value[TARGETS] values
    uint8_t[TARGETS] ranks
    bint[2] is_more         # than one text of prompt (0) or response (1), of the same rank


cdef inline uint64_t hash_of(const uint8_t* text, Py_ssize_t n) noexcept nogil:
    """Return a hash of bytes, eight at a time: multiply and fold, as wyhash and its kin do."""
    cdef uint64_t h = <uint64_t>n * 0x9E3779B97F4A7C15ULL, part = 0
    while n >= 8:
        memcpy(&part, text, 8)
        h = (h ^ part) * 0xD6E8FEB86659FD93ULL
        h ^= h >> 32
        text += 8
        n -= 8
    part = 0
    memcpy(&part, text, n)
    h = (h ^ part) * 0xD6E8FEB86659FD93ULL
    return h ^ h >> 32


cdef inline bint equals(Piece piece, const char* text, Py_ssize_t n) noexcept nogil:
    """Tell whether bytes are a text of n bytes."""
    return piece.end - piece.at == n and memcmp(piece.at, text, n) == 0


cdef inline const Name* find(const Names* names, const uint8_t* text, Py_ssize_t n) noexcept nogil:
    """Return a name as it stands in the table, NULL where it does not."""
    cdef uint64_t h = hash_of(text, n), at = h & names.last
    while names.places[at].text != NULL:
        if names.places[at].hash == h and names.places[at].length == n \
                and memcmp(names.places[at].text, text, n) == 0:
            return &names.places[at]
        at = (at + 1) & names.last
    return NULL


cdef inline const Name* look_up(const Names* names, Piece key) noexcept nogil:
    """Return the name of an attribute; the first number in it counts as `#`."""
    cdef uint8_t[KEY_MAX] general
    cdef Py_ssize_t n = key.end - key.at, i = 0, size = 0
    cdef const Name* name = find(names, key.at, n)
    if name != NULL or n > KEY_MAX or n < 16 or (key.at[3] != 46 and key.at[3] != 95):
        return name             # such as llm.input_messages.0. ... and gen_ai.prompt.0. ...
    while i < n and not (key.at[i] == 46 and 48 <= key.at[i + 1] <= 57):
        i += 1
        if i == n - 1:
            return NULL
    memcpy(general, key.at, i + 1)
    size = i + 1
    general[size] = 35
    size += 1
    i += 1
    while i < n and 48 <= key.at[i] <= 57:
        i += 1
    memcpy(general + size, key.at + i, n - i)
    return find(names, general, size + n - i)


cdef inline void read_list(Piece piece, Value* out) noexcept nogil:
    """Find the first text of an ArrayValue, unless one was found before."""
    cdef Field field, inner
    cdef Piece element, text
    while piece.at < piece.end and next_field(&piece, &field, DEPTH_MAX):
        if field.number != 1 or field.wire != BYTES:
            continue
        element = field.piece
        text.at = text.end = NULL
        while element.at < element.end and next_field(&element, &inner, DEPTH_MAX):
            if inner.number == 1 and inner.wire == BYTES:
                text = inner.piece
            elif 1 < inner.number <= 8:     # another member of the oneof
                text.at = NULL
        if text.at != NULL and text.end > text.at and out.text.at == NULL:
            out.text = text


cdef inline void read_value(Piece piece, Value* out) noexcept nogil:
    """Read an AnyValue; of several members of its oneof the last counts."""
    cdef Field field
    while piece.at < piece.end and next_field(&piece, &field, DEPTH_MAX):
        if field.wire == BYTES:
            if field.number == 1:
                out.kind, out.text = IS_TEXT, field.piece
            elif field.number == 5:
                if out.kind != IS_LIST:
                    out.text.at = out.text.end = NULL
                out.kind, out.inside = IS_LIST, field.piece
                read_list(field.piece, out)
            elif field.number == 6:
                out.kind, out.inside = IS_TABLE, field.piece
            elif field.number == 7:
                out.kind = IS_OTHER
        elif field.wire == VARINT:
            if field.number == 2:
                out.kind, out.whole = IS_BOOL, field.value != 0
            elif field.number == 3:
                out.kind, out.whole = IS_WHOLE, <int64_t>field.value
            elif field.number == 8:
                out.kind = IS_OTHER
        elif field.wire == FIXED64 and field.number == 4:
            out.kind = IS_REAL
            memcpy(&out.real, &field.value, 8)


cdef inline const Name* open_pair(const Names* names, Piece pair, Value* out) noexcept nogil:
    """Read a KeyValue whose name is in the table; NULL for any other, whose value is not read."""
    cdef Field field
    cdef Piece key, value, rest = pair
    cdef const Name* name
    cdef int values = 0
    key.at = key.end = NULL
    while rest.at < rest.end and next_field(&rest, &field, DEPTH_MAX):
        if field.wire == BYTES and field.number == 1:
            key = field.piece
        elif field.wire == BYTES and field.number == 2:
            value = field.piece
            values += 1
    if key.at == key.end or values == 0:
        return NULL
    name = look_up(names, key)
    if name == NULL:
        return NULL
    out.kind = NOTHING
    out.text.at = out.text.end = NULL
    if values == 1:
        read_value(value, out)
    else:                                   # the parts of one message, by the rules of protobuf
        while pair.at < pair.end and next_field(&pair, &field, DEPTH_MAX):
            if field.wire == BYTES and field.number == 2:
                read_value(field.piece, out)
    return name


cdef inline bint says_something(const Value* value, int target) noexcept nogil:
    """Tell whether a value is of use for a target; an empty text is absent."""
    if value.kind == IS_TEXT:
        return value.text.end > value.text.at
    if value.kind == IS_LIST:
        return value.text.at != NULL or target == PROMPT_TEXT or target == RESPONSE_TEXT
    if value.kind == IS_TABLE:
        return target == PROMPT_TEXT or target == RESPONSE_TEXT
    if value.kind == IS_WHOLE:
        return is_number(target) or target == USER or target == SESSION or target == PROMPT_VERSION
    if value.kind == IS_REAL or value.kind == IS_BOOL:
        return is_number(target)
    return False


cdef inline bint is_number(int target) noexcept nogil:
    """Tell whether a target is a number: of the wrong type it is refused, not passed over."""
    return TTFT <= target <= COST_AMOUNT or target == COST_PROMPT or target == COST_COMPLETION


cdef inline void pick(
        const Names* names, Found* found, Piece pair, uint64_t wanted) noexcept nogil:
    """Keep what an attribute says, if it is one of the wanted targets and better than before."""
    cdef Value value
    cdef const Name* name = open_pair(names, pair, &value)
    cdef int side
    if name == NULL or not wanted >> name.target & 1 or name.rank > found.ranks[name.target] \
            or not says_something(&value, name.target):
        return
    if name.target == PROMPT_TEXT or name.target == RESPONSE_TEXT:
        side = name.target - PROMPT_TEXT
        found.is_more[side] = name.rank == found.ranks[name.target]
    if name.rank == found.ranks[name.target]:
        return
    found.values[name.target] = value
    found.ranks[name.target] = name.rank


cdef inline bint has(const Found* found, int target) noexcept nogil:
    """Tell whether something was said about a target."""
    return found.ranks[target] != NO_RANK


cdef inline void forget(Found* found) noexcept nogil:
    """Begin anew."""
    memset(found.ranks, NO_RANK, sizeof(found.ranks))
