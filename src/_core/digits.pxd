# cython: cdivision=True
"""Groups of digits with what stands between them, and what such groups can be but a phone number.

A number is read from the first digit of a group, eight groups and forty digits at most, so a text
of nothing but digits costs a fixed amount for each group.
"""
from libc.stdint cimport uint8_t

from sentinel._core.letters cimport *

cdef enum:
    BLANK = 1, DASH = 2, DOT = 4, SLASH = 8, BRACKET = 16       # what stands before a group
    GROUPS = 8, DIGITS = 40

cdef struct Number:
    int groups
    uint8_t digit[DIGITS]           # values 0 to 9, of all groups
    int first[GROUPS + 1]           # where in `digit` a group begins; one more than groups
    Py_ssize_t begin[GROUPS]
    Py_ssize_t end[GROUPS]
    uint8_t between[GROUPS]         # before the group; 0 for the first


cdef inline int blank_or_dash(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, uint8_t* what) noexcept nogil:
    """Return how many bytes a space or a dash takes, those of typography too; 0 for others."""
    cdef uint8_t c = s[i] if i < n else 0
    if c == 32:
        what[0] = BLANK
        return 1
    if c == 45:
        what[0] = DASH
        return 1
    if c == 0xC2 and i + 1 < n and s[i + 1] == 0xA0:            # U+00A0
        what[0] = BLANK
        return 2
    if c == 0xE2 and i + 2 < n:
        if s[i + 1] == 0x80 and (s[i + 2] == 0xAF or s[i + 2] == 0x89):     # U+202F, U+2009
            what[0] = BLANK
            return 3
        if (s[i + 1] == 0x80 and 0x90 <= s[i + 2] <= 0x95) \
                or (s[i + 1] == 0x88 and s[i + 2] == 0x92):     # U+2010 to U+2015, U+2212
            what[0] = DASH
            return 3
    return 0


cdef inline int separator(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, uint8_t* what) noexcept nogil:
    """Return how many bytes stand between a group that ends at i and the next; 0: none follows."""
    cdef Py_ssize_t k = i
    cdef uint8_t one = 0
    cdef int size, taken
    what[0] = 0
    for taken in range(3):
        size = blank_or_dash(s, n, k, &one)
        if size == 0:
            size = 1
            if k < n and (s[k] == 40 or s[k] == 41):
                one = BRACKET
            elif taken == 0 and k < n and s[k] == 46:
                one = DOT
            elif k < n and s[k] == 47:
                one = SLASH
            else:
                break
        if what[0] & one:
            break
        what[0] |= one
        k += size
        if is_a(s, n, k, DIGIT):
            return <int>(k - i)
    return 0


cdef inline int read_number(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, Number* number) noexcept nogil:
    """Read groups from the digit at i; return how many, 0 where one group alone is too long."""
    cdef int count = 0, size
    cdef uint8_t between = 0
    number.groups = 0
    while number.groups < GROUPS:
        number.first[number.groups] = count
        number.begin[number.groups] = i
        number.between[number.groups] = between
        while i < n and LETTERS[s[i]] & DIGIT:
            if count == DIGITS:
                return number.groups
            number.digit[count] = s[i] - 48
            count += 1
            i += 1
        number.end[number.groups] = i
        number.groups += 1
        number.first[number.groups] = count
        size = separator(s, n, i, &between)
        if size == 0:
            break
        i += size
    return number.groups


cdef inline int size_of(const Number* number, int group) noexcept nogil:
    """Return how many digits a group has; 0 for one that is not there."""
    return number.first[group + 1] - number.first[group] if group < number.groups else 0


cdef inline int value_of(const Number* number, int group) noexcept nogil:
    """Return the value of a group of at most nine digits."""
    cdef int i, value = 0
    for i in range(number.first[group], number.first[group + 1]):
        value = value * 10 + number.digit[i]
    return value


cdef inline bint starts_clean(
        const uint8_t* s, Py_ssize_t floor, Py_ssize_t i) noexcept nogil:
    """Tell whether a number may start at i: not within a word, a decimal, a uuid or a date."""
    cdef uint8_t c
    if i <= floor:
        return True
    c = s[i - 1]
    if LETTERS[c] & WORD:
        return False
    if c == 45 or c == 46 or c == 44 or c == 47:
        return i - 2 < floor or not LETTERS[s[i - 2]] & (WORD if c == 45 else DIGIT)
    return True


cdef inline bint ends_clean(const uint8_t* s, Py_ssize_t n, Py_ssize_t end) noexcept nogil:
    """Tell whether a number may end here: not within a word, a decimal or an address."""
    if end >= n:
        return True
    if LETTERS[s[end]] & WORD or s[end] == 64:
        return False
    return not ((s[end] == 46 or s[end] == 44) and is_a(s, n, end + 1, DIGIT))


cdef inline bint follows_blank_digit(
        const uint8_t* s, Py_ssize_t floor, Py_ssize_t i) noexcept nogil:
    """Tell whether a digit and a space stand before i: the number may be one of a row."""
    return i - 2 >= floor and s[i - 1] == 32 and (LETTERS[s[i - 2]] & DIGIT) != 0


cdef inline bint luhn(const uint8_t* digit, int count) noexcept nogil:
    """Tell whether the check digit is right (ISO/IEC 7812-1)."""
    cdef int i, x, total = 0
    for i in range(count):
        x = digit[count - 1 - i]
        if i & 1:
            x = 2 * x - 9 if x > 4 else 2 * x
        total += x
    return total % 10 == 0


cdef inline bint is_issued(const uint8_t* digit, int count) noexcept nogil:
    """Tell whether an issuer numbers cards of this length so: ranges as the schemes publish them.

    Visa 13, 16, 19; Mastercard 16; American Express 15; Diners 14 to 19; Discover, UnionPay and JCB
    16 to 19, JCB also 15; Maestro 12 to 19; Mir 16 to 19; RuPay, Elo and Troy 16.
    """
    cdef int two = digit[0] * 10 + digit[1]
    cdef int four = two * 100 + digit[2] * 10 + digit[3]
    if digit[0] == 4:
        return count == 13 or count == 16 or count == 19
    if count == 15 and (two == 34 or two == 37 or four == 2131 or four == 1800):
        return True
    if count == 16 and (51 <= two <= 55 or 2221 <= four <= 2720 or two == 81 or two == 82
                        or four == 9792):
        return True
    if count >= 14 and (two == 36 or two == 38 or two == 39 or 3000 <= four <= 3059
                        or four == 3095):
        return True
    if count >= 16 and (two == 35 or two == 62 or two == 64 or two == 65 or two == 60
                        or 2200 <= four <= 2204):
        return True
    return two == 50 or 56 <= two <= 58 or four == 5893 or two == 63 or two == 67 or four == 604


cdef inline bint is_article(const uint8_t* digit, int count) noexcept nogil:
    """Tell whether the check digit is that of a barcode (EAN-13) or of a book (ISBN-10)."""
    cdef int i, total = 0
    if count == 13:
        for i in range(13):
            total += digit[i] * (3 if i & 1 else 1)
        return total % 10 == 0
    if count == 10:
        for i in range(10):
            total += digit[i] * (10 - i)
        return total % 11 == 0
    return False


cdef inline int card(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, const Number* a) noexcept nogil:
    """Return how many groups, from the first, are a payment card; 0: none."""
    cdef int groups, count, best = 0
    cdef uint8_t between = a.between[1] if a.groups > 1 else 0
    if follows_blank_digit(s, floor, a.begin[0]) and a.begin[0] - 5 >= floor \
            and run_start(s, floor, a.begin[0] - 1, DIGIT) == a.begin[0] - 5 \
            and size_of(a, 0) == 4:
        return 0                        # in the middle of a row of fours
    for groups in range(1, min(a.groups, 6) + 1):
        count = a.first[groups]
        if groups > 1 and (a.between[groups - 1] != between or between & ~(BLANK | DASH)):
            break
        if groups > 1 and size_of(a, 0) != 4 and size_of(a, 0) != 6:
            break
        if groups > 2 and size_of(a, groups - 2) < 4:
            break                       # only the last group is short
        if 12 <= count <= 19 and ends_clean(s, n, a.end[groups - 1]) \
                and not (groups > 1 and size_of(a, groups) == 4 and a.between[groups] == between) \
                and is_issued(a.digit, count) and luhn(a.digit, count) \
                and not is_article(a.digit, count):
            best = groups
    return best


cdef inline bint is_ssn(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, const Number* a) noexcept nogil:
    """Tell whether the first three groups are a social security number: 3-2-4, a known area."""
    cdef int area
    if a.groups < 3 or size_of(a, 0) != 3 or size_of(a, 1) != 2 or size_of(a, 2) != 4:
        return False
    if a.between[1] != a.between[2] or a.between[1] & ~(BLANK | DASH | DOT):
        return False
    if not ends_clean(s, n, a.end[2]) or (a.groups > 3 and a.between[3] == a.between[1]):
        return False
    if a.between[1] == BLANK and follows_blank_digit(s, floor, a.begin[0]):
        return False
    area = value_of(a, 0)
    return area != 0 and area != 666 and area < 900 and value_of(a, 1) != 0 and value_of(a, 2) != 0


cdef inline bint is_ipv4(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, const Number* a) noexcept nogil:
    """Tell whether the first four groups are an address that says something of somebody.

    Not: versions, loopback, 0.0.0.0 and masks.
    """
    cdef int i, size
    cdef Py_ssize_t k = a.begin[0]
    if a.groups < 4 or (a.groups > 4 and a.between[4] & DOT) or not ends_clean(s, n, a.end[3]):
        return False
    for i in range(4):
        size = size_of(a, i)
        if (i > 0 and a.between[i] != DOT) or size > 3 or value_of(a, i) > 255 \
                or (size > 1 and a.digit[a.first[i]] == 0):
            return False
    i = value_of(a, 0)
    if i == 0 or i == 127 or (i == 255 and value_of(a, 1) == 255):
        return False
    if k - 2 >= floor and s[k - 1] == 47 and LETTERS[s[k - 2]] & (UPPER | LOWER) \
            and LETTERS[s[run_start(s, floor, k - 1, UPPER | LOWER)]] & UPPER:
        return False                    # Chrome/1.2.3.4
    if k - 2 >= floor and s[k - 1] == 61 and (60 <= s[k - 2] <= 62 or s[k - 2] == 126):
        return False                    # ==1.2.3.4, >=, ~=
    while k > floor and (s[k - 1] == 32 or s[k - 1] == 58 or s[k - 1] == 34 or s[k - 1] == 61):
        k -= 1
    return not (begins(s, n, k - 7, b"version", 7) or begins(s, n, k - 3, b"ver", 3)
                or begins(s, n, k - 7, b"release", 7) or begins(s, n, k - 5, b"build", 5)
                or begins(s, n, k - 4, b"ver.", 4) or begins(s, n, k - 2, b"rv", 2))
