# cython: cdivision=True
"""The protobuf wire format, read where it lies: fields, varints, groups, UTF-8.

Nothing is copied and nothing read beyond `end`, whatever the bytes are.  What is taken and what is
not is what Google's parser (upb) does: a tag has at most 5 bytes and 32 bits, a length at most 5
bytes and 31 bits, a varint at most 10 bytes, of which the bits beyond 64 are dropped.
https://protobuf.dev/programming-guides/encoding/
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    # Wire types.
    VARINT = 0, FIXED64 = 1, BYTES = 2, GROUP = 3, GROUP_END = 4, FIXED32 = 5
    DEPTH_MAX = 100         # messages and groups within one another, as official parsers have it

cdef struct Piece:
    const uint8_t* at
    const uint8_t* end

cdef struct Field:
    uint32_t number
    int wire
    uint64_t value          # of a varint, fixed64 or fixed32
    Piece piece             # of bytes


cdef inline bint read_varint(
        Piece* rest, uint64_t* out, int most) noexcept nogil:
    """Read a varint of at most `most` bytes; False where it is longer or ends early."""
    cdef const uint8_t* at = rest.at
    cdef uint64_t value = 0
    cdef int shift = 0
    while at < rest.end and shift < 7 * most:
        value |= <uint64_t>(at[0] & 0x7F) << shift
        if at[0] < 0x80:
            out[0] = value
            rest.at = at + 1
            return True
        at += 1
        shift += 7
    return False


cdef inline bint read_tag(Piece* rest, Field* out) noexcept nogil:
    """Read number and wire type of a field; False where it is no tag.

    No field has the number 0, and it is for the caller to say so: within groups, of which nothing
    is read, the official parser does not mind.
    """
    cdef uint64_t tag = 0
    if not read_varint(rest, &tag, 5) or tag >> 32 != 0:
        return False
    out.number = <uint32_t>(tag >> 3)
    out.wire = <int>(tag & 7)
    return True


cdef inline bint read_content(Piece* rest, Field* out) noexcept nogil:
    """Read what follows a tag that begins no group; False where there is less than it says."""
    cdef uint32_t half = 0
    if out.wire == VARINT:
        return read_varint(rest, &out.value, 10)
    if out.wire == BYTES:
        if not read_varint(rest, &out.value, 5) or out.value > <uint64_t>(rest.end - rest.at) \
                or out.value >> 31 != 0:
            return False
        out.piece.at = rest.at
        out.piece.end = rest.at = rest.at + out.value
        return True
    if out.wire == FIXED64:
        if rest.end - rest.at < 8:
            return False
        memcpy(&out.value, rest.at, 8)              # little-endian, as every machine we run on
        rest.at += 8
        return True
    if out.wire == FIXED32:
        if rest.end - rest.at < 4:
            return False
        memcpy(&half, rest.at, 4)
        out.value = half
        rest.at += 4
        return True
    return False


cdef inline bint skip_group(Piece* rest, uint32_t number, int depth) noexcept nogil:
    """Go past a group and those within it; `depth` groups may be open at once.

    Without recursion: the numbers of the open ones are kept, and each must be closed by its own.
    """
    cdef uint32_t[DEPTH_MAX] open_numbers
    cdef int level = 0
    cdef Field field
    field.value = 0
    if depth < 1:
        return False
    open_numbers[0] = number
    while level >= 0:
        if not read_tag(rest, &field):
            return False
        if field.wire == GROUP:
            level += 1
            if level >= depth:
                return False
            open_numbers[level] = field.number
        elif field.wire == GROUP_END:
            if field.number != open_numbers[level]:
                return False
            level -= 1
        elif not read_content(rest, &field):
            return False
    return True


cdef inline bint next_field(Piece* rest, Field* out, int depth) noexcept nogil:
    """Read one field; a group is gone past.  False where the bytes are malformed."""
    out.value = 0
    if not read_tag(rest, out) or out.number == 0:
        return False
    if out.wire == GROUP:
        return skip_group(rest, out.number, depth)
    return read_content(rest, out)


cdef inline bint is_utf8(Piece text) noexcept nogil:
    """Tell whether bytes are UTF-8: shortest forms only, no surrogates, up to U+10FFFF."""
    cdef const uint8_t* at = text.at
    cdef const uint8_t* end = text.end
    cdef uint64_t eight = 0
    cdef uint8_t c
    cdef uint32_t point
    cdef int more, i
    while at < end:
        if end - at >= 8:
            memcpy(&eight, at, 8)
            if eight & 0x8080808080808080ULL == 0:
                at += 8
                continue
        c = at[0]
        at += 1
        if c < 0x80:
            continue
        more = 1 if c < 0xE0 else (2 if c < 0xF0 else 3)
        if c < 0xC2 or c > 0xF4 or end - at < more:
            return False
        point = c & (0x3F >> more)
        for i in range(more):
            if at[i] & 0xC0 != 0x80:
                return False
            point = point << 6 | (at[i] & 0x3F)
        at += more
        if (more == 2 and (point < 0x800 or 0xD800 <= point < 0xE000)) \
                or (more == 3 and (point < 0x10000 or point > 0x10FFFF)):
            return False
    return True
