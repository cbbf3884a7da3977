"""How deep JSON is nested and how many lines hold something, without decoding it."""
from libc.stdint cimport uint8_t
from libc.string cimport memchr


cdef inline Py_ssize_t depth_of(const uint8_t* text, Py_ssize_t n) noexcept nogil:
    """Return the deepest nesting of brackets outside strings.

    For text that is JSON up to some place, this is at least the depth a decoder has reached there,
    since both tell strings from structure alike.
    """
    cdef Py_ssize_t i = 0, depth = 0, deepest = 0
    cdef uint8_t c
    while i < n:
        c = text[i]
        if c == 34:                                         # a string: to its end
            i += 1
            while i < n and text[i] != 34:
                i += 2 if text[i] == 92 else 1              # the backslash takes one more
        elif (c | 32) == 123:                               # [ or {
            depth += 1
            deepest = max(deepest, depth)
        elif (c | 32) == 125:                               # ] or }
            depth -= 1
        i += 1
    return deepest


cdef inline Py_ssize_t count_brackets(const uint8_t* text, Py_ssize_t n) noexcept nogil:
    """Count opening brackets, those in strings too: a bound on the depth at a few bytes a cycle."""
    cdef Py_ssize_t i, begin, brackets = 0
    cdef uint8_t of_block
    for begin in range(0, n, 255):                          # what a byte can count to
        of_block = 0
        for i in range(begin, min(begin + 255, n)):
            of_block += (text[i] | 32) == 123
        brackets += of_block
    return brackets


cdef inline bint is_blank(uint8_t c) noexcept nogil:
    """Tell JSON white space other than the line feed."""
    return c == 32 or c == 9 or c == 13


cdef inline Py_ssize_t count_lines_of(
        const uint8_t* text, Py_ssize_t n, Py_ssize_t max_bytes,
        Py_ssize_t max_depth) noexcept nogil:
    """Return how many lines hold something, -1 where one is long, deep or not `{...}`.

    If all lines are `{...}` and a decoder finds as many objects as there are lines, then each line
    is one object: no line break can lie inside an object, since after its `}` no `{` may follow.
    """
    cdef const uint8_t* line = text
    cdef const uint8_t* end = text + n
    cdef const uint8_t* stop
    cdef const uint8_t* next_line
    cdef Py_ssize_t lines = 0
    while line < end:
        stop = <const uint8_t*>memchr(line, 10, end - line)
        if stop == NULL:
            stop = end
        next_line = stop + 1
        if stop - line > max_bytes:
            return -1
        while line < stop and is_blank(line[0]):
            line += 1
        while line < stop and is_blank(stop[-1]):
            stop -= 1
        if line < stop:
            if line[0] != 123 or stop[-1] != 125:
                return -1
            if count_brackets(line, stop - line) > max_depth and \
                    depth_of(line, stop - line) > max_depth:
                return -1
            lines += 1
        line = next_line
    return lines
