# cython: cdivision=True
"""Phone numbers: international ones by their prefix, national ones by the shapes people write.

What has no shape of its own, such as ten digits in one piece, counts only after a word that says
what it is; and a word that says something else (order, ticket, serial) takes a shape back.
"""
from libc.stdint cimport uint8_t

from sentinel._core.digits cimport *
from sentinel._core.letters cimport *

cdef enum:
    LOOK_BACK = 40          # bytes before a number that are searched for a word
    MOST = 15               # digits of a number with its country code (ITU-T E.164)
    SAYS_NOTHING = 0, SAYS_CALL = 1, SAYS_PHONE = 2, SAYS_OTHER = 4

cdef extern from *:
    """
    /* Bit 1: a verb of calling; 2: a name of a phone; 4: a name of something else. */
    static const struct { const char* word; unsigned char size, says; } hint_words[] = {
        {"phone", 5, 2}, {"tel", 3, 2}, {"mobile", 6, 2}, {"cell", 4, 2}, {"fax", 3, 2},
        {"whatsapp", 8, 2}, {"sms", 3, 2}, {"handy", 5, 2}, {"mobil", 5, 2}, {"movil", 5, 2},
        {"m\\xC3\\xB3vil", 6, 2}, {"portable", 8, 2}, {"celular", 7, 2}, {"cellulare", 9, 2},
        {"t\\xC3\\xA9l", 4, 2}, {"tlf", 3, 2}, {"rufnummer", 9, 2}, {"landline", 8, 2},
        {"\\xE7\\x94\\xB5\\xE8\\xAF\\x9D", 6, 2}, {"\\xE9\\x9B\\xBB\\xE8\\xA9\\xB1", 6, 2},
        {"\\xE6\\x89\\x8B\\xE6\\x9C\\xBA", 6, 2}, {"msisdn", 6, 2}, {"gsm", 3, 2},
        {"call", 4, 1}, {"dial", 4, 1}, {"text me", 7, 1}, {"reach", 5, 1}, {"ring", 4, 1},
        {"ruf", 3, 1}, {"appel", 5, 1}, {"ll\\xC3\\xA1m", 5, 1}, {"llam", 4, 1}, {"contact", 7, 1},
        {"chiam", 5, 1}, {"ligue", 5, 1}, {"erreich", 7, 1},
        {"order", 5, 4}, {"invoice", 7, 4}, {"ticket", 6, 4}, {"id", 2, 4}, {"ids", 3, 4},
        {"ref", 3, 4}, {"reference", 9, 4}, {"isbn", 4, 4}, {"sku", 3, 4}, {"serial", 6, 4},
        {"tracking", 8, 4}, {"part", 4, 4}, {"account", 7, 4}, {"version", 7, 4}, {"build", 5, 4},
        {"token", 5, 4}, {"tokens", 6, 4}, {"case", 4, 4}, {"commit", 6, 4}, {"hash", 4, 4},
        {"epoch", 5, 4}, {"timestamp", 9, 4}, {"seed", 4, 4}, {"batch", 5, 4}, {"item", 4, 4},
        {"product", 7, 4}, {"request", 7, 4}, {"transaction", 11, 4}, {"shipment", 8, 4},
        {"model", 5, 4}, {"code", 4, 4}, {"bytes", 5, 4}, {"row", 3, 4}, {"rows", 4, 4},
        {"bestellnummer", 13, 4}, {"rechnung", 8, 4}, {"pedido", 6, 4}, {"commande", 8, 4},
        {"article", 7, 4}, {"doi", 3, 4}, {"page", 4, 4}, {"ean", 3, 4}, {"upc", 3, 4}};
    #define HINT_WORDS ((int)(sizeof hint_words / sizeof hint_words[0]))
    static short hint_head[256], hint_next[HINT_WORDS];     /* words by first byte, 0: none */

    static void index_hints(void) {
        for (int w = HINT_WORDS; w-- > 0;) {
            unsigned char first = (unsigned char)hint_words[w].word[0];
            hint_next[w] = hint_head[first];
            hint_head[first] = (short)(w + 1);
        }
    }
    static inline int is_letter(unsigned char c) { return (c | 32) >= 97 && (c | 32) <= 122; }
    static inline int hint_at(const unsigned char* s, Py_ssize_t begin, Py_ssize_t end) {
        int says = 0;
        for (Py_ssize_t i = begin; i < end; i++) {
            for (int w = hint_head[is_letter(s[i]) ? s[i] | 32 : s[i]]; w; w = hint_next[w - 1]) {
                Py_ssize_t size = hint_words[w - 1].size, k = 1;
                const unsigned char* word = (const unsigned char*)hint_words[w - 1].word;
                if (i + size > end) continue;
                while (k < size && word[k] == (is_letter(s[i + k]) ? s[i + k] | 32 : s[i + k])) k++;
                if (k < size) continue;
                int before = i > begin && is_letter(s[i - 1]);
                int after = i + size < end && is_letter(s[i + size]);
                /* Names of other things are whole words; phone stands in other words too. */
                if (hint_words[w - 1].says == 4 ? before || after
                        : size <= 4 && (before || (size == 3 && after && word[0] != 't'))) continue;
                says |= hint_words[w - 1].says;
            }
        }
        return says;
    }
    """
    void index_hints() noexcept
    int hint_at(const uint8_t* s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil


cdef inline int hint(const uint8_t* s, Py_ssize_t floor, Py_ssize_t i) noexcept nogil:
    """Return what the words on the same line before i say of a number there."""
    cdef Py_ssize_t begin = i
    cdef int says
    while begin > floor and begin > i - LOOK_BACK and s[begin - 1] != 10:
        begin -= 1
    says = hint_at(s, begin, i)
    if i > begin and (s[i - 1] == 35 or (i - 1 > begin and s[i - 1] == 32 and s[i - 2] == 35)):
        says |= SAYS_OTHER              # 35: a number sign
    return says


cdef inline bint in_chinese(const uint8_t* s, Py_ssize_t floor, Py_ssize_t i) noexcept nogil:
    """Tell whether a character of Chinese, Japanese or Korean stands in the 40 bytes before i."""
    cdef Py_ssize_t k
    for k in range(max(floor, i - LOOK_BACK), i):
        if 0xE3 <= s[k] <= 0xED:
            return True
    return False


cdef inline int country_digits(const Number* a, int at) noexcept nogil:
    """Return how many digits the country code has that begins at digit `at`; 0: there is none."""
    cdef int two = a.digit[at] * 10 + a.digit[at + 1]
    if a.digit[at] == 1 or a.digit[at] == 7:
        return 1
    if two == 20 or two == 27 or 30 <= two <= 34 or two == 36 or 39 <= two <= 41 \
            or 43 <= two <= 49 or 51 <= two <= 58 or 60 <= two <= 66 or two == 81 or two == 82 \
            or two == 84 or two == 86 or 90 <= two <= 95 or two == 98:
        return 2
    if 21 <= two <= 26 or two == 29 or two == 35 or two == 37 or two == 38 or two == 42 \
            or two == 50 or two == 59 or 67 <= two <= 69 or two == 80 or two == 85 or two == 87 \
            or two == 88 or two == 96 or two == 97 or two == 99:
        return 3
    return 0


cdef inline int longest(const Number* a, int at) noexcept nogil:
    """Return how many digits a number of this country has at most, its code included."""
    cdef int two = a.digit[at] * 10 + a.digit[at + 1]
    if a.digit[at] == 1 or a.digit[at] == 7 or two == 33 or two == 34 or two == 31 or two == 41 \
            or two == 48 or two == 61 or two == 32 or two == 65:
        return 11
    if two == 45 or two == 47:
        return 10
    if two == 44 or two == 91 or two == 81 or two == 82 or two == 46 or two == 52:
        return 12
    return 13 if two == 49 or two == 39 or two == 55 or two == 86 else MOST


cdef inline int international(
        const uint8_t* s, Py_ssize_t n, const Number* a, int skip) noexcept nogil:
    """Return how many groups a number takes whose country code begins at digit `skip`."""
    cdef int groups = 0, most, count
    if a.first[a.groups] - skip < 8 or country_digits(a, skip) == 0:
        return 0
    most = longest(a, skip)
    while groups < a.groups:
        count = a.first[groups + 1] - skip
        # (0): a digit that is dialled at home only
        if count > most + (groups > 0 and a.groups > 1 and size_of(a, 1) == 1):
            break
        groups += 1
    if groups == 0 or a.first[groups] - skip < 8 or not ends_clean(s, n, a.end[groups - 1]):
        return 0
    return groups


cdef inline bint is_date(const Number* a) noexcept nogil:
    """Tell whether the first three groups look like a date, such as 2024-01-31 or 31.01.2024."""
    cdef int one = size_of(a, 0), two = size_of(a, 1), three = size_of(a, 2)
    if a.groups < 3 or two > 2 or a.between[1] != a.between[2]:
        return False
    return (one == 4 and three <= 2) or (one <= 2 and three == 4)


cdef inline int american(const Number* a, bint bracket) noexcept nogil:
    """Return how many groups of 3-3-4 there are, with a 1 or 001 before them or not."""
    cdef int g = 0
    if a.groups >= 4 and (size_of(a, 0) == 1 and a.digit[0] == 1 or
                          size_of(a, 0) == 3 and value_of(a, 0) == 1):
        g = 1
    if a.groups - g >= 2 and size_of(a, g) == 3 and size_of(a, g + 1) == 7 and a.between[g + 1] \
            & BRACKET and a.digit[a.first[g]] > 1 and a.digit[a.first[g + 1]] > 1:
        return g + 2
    if a.groups - g < 3 or size_of(a, g) != 3 or size_of(a, g + 1) != 3 or size_of(a, g + 2) != 4:
        return 0
    if a.digit[a.first[g]] < 2 or a.digit[a.first[g + 1]] < 2:
        return 0
    if a.between[g + 1] & SLASH or a.between[g + 2] & (SLASH | BRACKET):
        return 0
    return 0 if a.between[g + 1] & BRACKET and not bracket and g == 0 else g + 3


cdef inline int with_trunk_zero(const Number* a, bint bracket) noexcept nogil:
    """Return how many groups begin with a 0 as national numbers do: 9 to 12 digits, 2 to 5 groups.
    """
    cdef int groups = 1, count
    if a.digit[0] != 0 or a.digit[1] == 0 or size_of(a, 0) < 2 or size_of(a, 0) > 5:
        return 0
    while groups < a.groups and groups < 5 and 2 <= size_of(a, groups) <= 8 \
            and a.first[groups + 1] <= 12 \
            and (groups < 2 or not a.between[groups] & (BRACKET | SLASH)) \
            and (groups < 3 or a.between[groups] == a.between[groups - 1]):
        groups += 1
    count = a.first[groups]
    if groups < 2 or count < 9 or is_date(a):
        return 0
    if (groups == 2 and size_of(a, 1) < 4) or (groups > 2 and count > 11):
        return 0
    if a.between[1] & SLASH and size_of(a, 1) < 4:
        return 0
    return 0 if a.between[1] == DOT and size_of(a, 0) == 2 and size_of(a, 1) != 2 else groups


cdef inline int of_known_shape(const Number* a, bint bracket) noexcept nogil:
    """Return how many groups have a shape that hardly anything but a phone number has."""
    cdef int first = a.digit[0], one = size_of(a, 0), two = size_of(a, 1), three = size_of(a, 2)
    cdef uint8_t between = a.between[1] if a.groups > 1 else 0
    if bracket and 2 <= one <= 3 and between & BRACKET and 4 <= two <= 5 and three == 4:
        return 3                                                    # (11) 91234-5678
    if bracket and between & BRACKET and first == 0 and a.groups > 1 and one + two >= 9 \
            and two >= 5:
        return 2                                                    # (030) 1234567
    if a.groups == 1 and first == 0 and a.digit[1] > 0 and 10 <= one <= 11 \
            and not is_article(a.digit, one):
        return 1                                                    # 07700900123
    if between == DOT or between & ~(BLANK | DASH):
        return 0
    if one == 2 and between == BLANK and 4 <= two <= 5 and three == 4 and a.between[2] == DASH \
            and first > 0:
        return 3                                                    # 11 91234-5678
    if one == 3 and two == 4 and three == 4 and first == 1 and a.digit[1] > 2 \
            and a.between[2] == between:
        return 3                                                    # 138 0013 8000
    if one == 5 and two == 5 and first > 5 and (a.groups == 2 or a.between[2] != between):
        return 2                                                    # 98765 43210
    if one == 3 and two == 2 and three == 2 and size_of(a, 3) == 2 and first > 5 \
            and a.between[2] == between and a.between[3] == between:
        return 4                                                    # 612 34 56 78
    return 0


cdef inline int by_its_name(const Number* a, int says) noexcept nogil:
    """Return how many groups are a phone number because a word before them says so."""
    cdef int groups = 1
    if is_date(a):
        return 0
    while groups < a.groups and groups < 5 and a.first[groups + 1] <= 12 \
            and size_of(a, groups) >= 2 and not a.between[groups] & (SLASH | BRACKET):
        groups += 1
    if a.groups == 1 and says == SAYS_CALL:
        return 1 if 10 <= a.first[1] <= 12 else 0
    if size_of(a, 0) < 2 or a.first[groups] < 7 or a.first[groups] > 12:
        return 0
    return groups


cdef inline Py_ssize_t extension_end(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t end) noexcept nogil:
    """Return where an extension after a number ends (x123, ext. 123), else `end`."""
    cdef Py_ssize_t k = end, digits
    while k < n and k < end + 2 and (s[k] == 32 or s[k] == 44):
        k += 1
    if begins(s, n, k, b"ext", 3):
        k += 9 if begins(s, n, k, b"extension", 9) else 3
        k += k < n and s[k] == 46
    elif begins(s, n, k, b"x", 1):
        k += 1
    else:
        return end
    k += k < n and s[k] == 32
    digits = k
    while k < n and k < digits + 6 and LETTERS[s[k]] & DIGIT:
        k += 1
    return k if k > digits and ends_clean(s, n, k) else end


cdef inline bint find_phone(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, const Number* a,
        Find* found) noexcept nogil:
    """Find a phone number that begins with the first group of `a`."""
    cdef Py_ssize_t i = a.begin[0], end
    cdef bint plus, bracket = i > floor and s[i - 1] == 40
    cdef int groups = 0, says = SAYS_NOTHING, count = a.first[a.groups]
    if count < 7:
        return False
    i -= bracket
    plus = i > floor and s[i - 1] == 43 and (i - 1 == floor or not LETTERS[s[i - 2]] & WORD)
    i -= plus
    if plus:
        groups = international(s, n, a, 0)
    elif is_date(a):
        return False
    elif a.digit[0] == 0 and a.digit[1] == 0 and a.groups > 1 \
            and (size_of(a, 0) == 2 or size_of(a, 0) > 3):
        groups = international(s, n, a, 2)
        if groups and hint(s, floor, i) & SAYS_OTHER:
            return False
    if groups == 0:
        groups = american(a, bracket)
        if groups == 0:
            groups = with_trunk_zero(a, bracket)
        if groups == 0:
            groups = of_known_shape(a, bracket)
        says = hint(s, floor, i)
        if says & SAYS_OTHER and not says & SAYS_PHONE:
            return False
        if groups == 0 and a.first[1] == 11 and a.digit[0] == 1 and a.digit[1] > 2 \
                and in_chinese(s, floor, i):
            groups = 1                                              # 13800138000
        if groups == 0 and says & (SAYS_PHONE | SAYS_CALL):
            groups = by_its_name(a, says)
        if groups == 0:
            return False
        # One of a row of numbers, or the beginning of a longer one, is none.
        if not says and groups > 1 and a.between[groups - 1] == BLANK and (
                follows_blank_digit(s, floor, i)
                or (a.groups > groups and a.between[groups] == BLANK)):
            return False
        if not says and a.groups > groups and a.between[groups] == a.between[groups - 1]:
            return False
    end = extension_end(s, n, a.end[groups - 1])
    if end == a.end[groups - 1] and not ends_clean(s, n, end):
        return False
    found.begin, found.end, found.kind = i, end, PHONE
    return True
