# cython: cdivision=True
"""`password=...` and its kin: a name that says its value is secret, a separator, and the value.

The name is what stands before a `:`, `=` or `>`, 64 bytes at most; the value is what stands in
quotes, else what runs to the next white space.  Looked at in vain, a pair costs a bounded look.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from sentinel._core.letters cimport *

cdef enum:
    NAME_BACK = 64
    BLANKS = 16             # between name, separator and value
    PLAIN_MOST = 256        # bytes of a value that may be plain
    WORDS_MOST = 256
    HARMLESS = 0            # what a name says of its value
    STRONG = 1              # it is secret
    WEAK = 2                # it is, if it looks random
    PROVIDER = 3            # it is, if it looks random and is long

cdef struct SecretWord:
    const uint8_t* text     # lower case, without _ - . and spaces
    int size
    int says

cdef struct SecretWords:
    int count
    SecretWord word[WORDS_MOST]
    short head[256]         # words by first byte, 0: none
    short next[WORDS_MOST]
    uint8_t begins[1024]    # by the low five bits of the first two bytes: 1 where a word has them

cdef struct Name:
    int size
    int last                # where the last word of two begins
    uint8_t text[NAME_BACK]             # lower case, without _ - . and spaces
    uint8_t starts[NAME_BACK + 1]       # 1 where something new begins: after _, a capital, a digit

cdef extern from *:
    """
    static const struct { const char* word; unsigned char size; } plain_words[] = {
    #define W(text) {text, sizeof text - 1}
        /* of code and forms, after any separator */
        W("null"), W("none"), W("nil"), W("true"), W("false"), W("undefined"), W("required"),
        W("optional"), W("string"), W("str"), W("text"), W("bytes"), W("varchar"), W("char"),
        W("bool"), W("boolean"), W("int"), W("integer"), W("number"), W("any"), W("object"),
        W("password"), W("passwd"), W("secret"), W("token"), W("secretstr"), W("self"),
        W("n/a"), W("empty"), W("redacted"), W("masked"), W("hidden"), W("[redacted]"),
        /* of prose, after a colon */
        W("must"), W("should"), W("the"), W("a"), W("an"), W("your"), W("my"), W("is"), W("was"),
        W("be"), W("not"), W("no"), W("yes"), W("na"), W("can"), W("cannot"), W("can't"),
        W("will"), W("at"), W("use"), W("enter"), W("minimum"), W("please"), W("needs"),
        W("reset"), W("field"), W("and"), W("or"), W("for"), W("in"), W("of"), W("to"), W("with"),
        W("from"), W("this"), W("that"), W("it"), W("on"), W("if"), W("i"), W("you"), W("we"),
        W("incorrect"), W("invalid"), W("wrong"), W("forgotten"), W("expired"), W("changed"),
        W("updated"), W("missing"), W("blank"), W("encrypted"), W("hashed"), W("provided"),
        W("needed"), W("disabled"), W("enabled"), W("off"), W("new"), W("how"), W("what"),
        W("keep"), W("never"), W("always"), W("do"), W("don't"), W("are"), W("have"), W("has"),
        W("there"), W("they"), W("make"), W("choose"), W("check"), W("set"), W("go"), W("click"),
        W("see"), W("when"), W("then"), W("so"), W("but"), W("as"), W("by"), W("rotation"),
        W("policy"), W("ok")};
    #define CODE_WORDS 33
    #define PLAIN_WORDS ((int)(sizeof plain_words / sizeof plain_words[0]))
    """
    ctypedef struct PlainWord:
        const char* word
        int size
    const PlainWord* plain_words
    int PLAIN_WORDS, CODE_WORDS


cdef inline int two_bytes(const uint8_t* text) noexcept nogil:
    """Return a number of ten bits for two bytes; words have at least two."""
    return (text[0] & 31) << 5 | (text[1] & 31)


cdef inline void index_words(SecretWords* words) noexcept nogil:
    """Make the table be entered by the first byte of a word."""
    cdef int w
    cdef uint8_t first
    for w in range(256):
        words.head[w] = 0
    for w in range(1024):
        words.begins[w] = 0
    for w in range(words.count - 1, -1, -1):
        first = words.word[w].text[0]
        words.begins[two_bytes(words.word[w].text)] = 1
        words.next[w] = words.head[first]
        words.head[first] = <short>(w + 1)


cdef inline void read_name(
        const uint8_t* s, Py_ssize_t begin, Py_ssize_t end, Name* name) noexcept nogil:
    """Read the bytes of a name, at most 64, as one word in lower case."""
    cdef Py_ssize_t i
    cdef uint8_t c, kind = 0, before = 1
    name.size, name.last = 0, 0
    for i in range(max(begin, end - NAME_BACK), end):
        c = s[i]
        if c == 32:
            name.last = name.size
        if not (LETTERS[c] & (UPPER | LOWER | DIGIT) or c >= 128):
            before = 1
            continue
        kind = 2 if LETTERS[c] & UPPER else 4 if LETTERS[c] & DIGIT else 3
        name.starts[name.size] = before == 1 or (kind == 2 and before != 2) or kind == 4
        name.text[name.size] = lower(c)
        name.size += 1
        before = kind
    name.starts[name.size] = 1


cdef inline bint goes_on(const Name* name, int at) noexcept nogil:
    """Tell whether letters at `at` belong to a longer word: secretary, but not secrets, secretkey.
    """
    if name.starts[at]:
        return False
    if name.text[at] == 115 and name.starts[at + 1]:
        return False
    return not (at + 3 <= name.size and memcmp(name.text + at, b"key", 3) == 0
                or at + 5 <= name.size and memcmp(name.text + at, b"token", 5) == 0
                or at + 4 <= name.size and memcmp(name.text + at, b"hash", 4) == 0)


cdef inline int says_of(const Name* name, const SecretWords* words) noexcept nogil:
    """Return what the name says of its value, the strongest word first."""
    cdef int at, w, end, says = HARMLESS
    cdef const SecretWord* word
    for at in range(name.size - 1):
        if not words.begins[two_bytes(name.text + at)]:
            continue
        w = words.head[name.text[at]]
        while w:
            word = &words.word[w - 1]
            w = words.next[w - 1]
            end = at + word.size
            if end > name.size or memcmp(name.text + at, word.text, word.size) != 0:
                continue
            if word.says == PROVIDER:
                if name.starts[at]:
                    says = says or PROVIDER
            elif end <= name.last:
                continue                        # a word of the sentence before
            elif word.says == WEAK:
                if end == name.size:
                    says = WEAK
            elif not goes_on(name, end):
                return STRONG
    return says


cdef inline bint is_plain(
        const uint8_t* s, Py_ssize_t begin, Py_ssize_t end, bint in_prose) noexcept nogil:
    """Tell a value that is no secret: a word of prose or code, a variable, a call, a mask."""
    cdef Py_ssize_t i, size = end - begin
    cdef int w
    cdef uint8_t c = s[begin]
    if c == 91 or c == 123 or c == 40:                                      # [ { (
        return placeholder_end(s, end, begin) == begin
    if c == 60 or c == 37:                                                  # <it>, %it%, %(it)s
        return s[end - 1] == c + 2 * (c == 60) or (size > 1 and s[begin + 1] == 40)
    if c == 36:                                                             # $it, ${it}, $(it)
        return size > 1 and (s[begin + 1] == 123 or s[begin + 1] == 40
                             or run_end(s, end, begin + 1, UPPER | LOWER | WORD) == end
                             and count_of(s, begin, end, DIGIT) == 0)
    if c == 42 or c == 46 or lower(c) == 120 or c == 45:                    # ****, xxxx
        i = begin
        while i < end and s[i] == c:
            i += 1
        if i == end or (i > begin + 3 and not LETTERS[s[i]] & WORD):
            return True
    while size > 1 and (s[begin + size - 1] == 46 or s[begin + size - 1] == 44
                        or s[begin + size - 1] == 63 or s[begin + size - 1] == 33
                        or s[begin + size - 1] >= 128):
        size -= 1
    for w in range(PLAIN_WORDS if in_prose else CODE_WORDS):
        if plain_words[w].size == size and begins(s, end, begin, plain_words[w].word, size):
            return True
    i = run_end(s, end, begin, UPPER | LOWER)
    while i < end and (s[i] == 46 or s[i] == 95):
        i = run_end(s, end, i + 1, UPPER | LOWER)
    if i == end or i == begin:
        return False
    # A call or an element, in code: get_secret(), os.environ["KEY"], Optional[str]
    if s[i] == 40:
        return s[end - 1] == 41 or memcmp(s + begin, b"get", 3) == 0 or \
            run_end(s, end, begin, UPPER | LOWER) != i
    return s[i] == 91


cdef inline bint is_random_value(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t least) noexcept nogil:
    """Tell whether a run of at least so many bytes looks random: letters and digits mixed."""
    cdef Py_ssize_t end = run_end(s, min(n, begin + 256), begin, DOTTED), size
    cdef int digits = count_of(s, begin, end, DIGIT)
    size = end - begin
    if size < least or digits == 0 or (end < n and (s[end] == 40 or s[end] == 91)):
        return False
    if digits == size:
        return size >= 14
    return distinct(s, begin, end) >= (5 if size < 16 else 8) \
        and (digits > 1 or count_of(s, begin, end, UPPER) > 1)


cdef inline Py_ssize_t quoted_end(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, uint8_t quote, bint escaped) noexcept nogil:
    """Return where a value in quotes ends: before its quote, at the end of the line or text."""
    cdef Py_ssize_t k
    while i < n and s[i] != 10:
        if s[i] == 92:
            k = i
            while k < n and s[k] == 92:
                k += 1
            if escaped and k < n and s[k] == quote:
                return i
            if not escaped and (k - i) % 2 == 1:
                k += 1                  # the last backslash takes what follows
            i = k
        elif s[i] == quote and not escaped:
            return i
        else:
            i += 1
    return min(i, n)


cdef inline Py_ssize_t word_end(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, uint8_t stop) noexcept nogil:
    """Return where a value without quotes ends: at white space or `stop`, without what closes."""
    cdef Py_ssize_t end = max(i, placeholder_end(s, n, i)), least = end
    while end < n and s[end] > 32 and s[end] != stop:
        end += 1
    while end > least and (s[end - 1] == 44 or s[end - 1] == 59 or s[end - 1] == 46
                           or s[end - 1] == 41 or s[end - 1] == 93 or s[end - 1] == 125
                           or s[end - 1] == 34 or s[end - 1] == 39 or s[end - 1] == 92):
        end -= 1
    return end


cdef inline bint find_value(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, int says, bint in_prose,
        uint8_t stop, Find* found) noexcept nogil:
    """Find the value that begins at i, after the separator."""
    cdef Py_ssize_t begin = i, end
    cdef bint escaped
    cdef uint8_t quote
    while begin < n and begin < i + 4 and s[begin] == 92:
        begin += 1
    escaped = begin > i
    if begin < n and (s[begin] == 34 or s[begin] == 39 or s[begin] == 96):
        quote = s[begin]
        begin += 1
        if placeholder_end(s, n, begin) > begin:
            end = placeholder_end(s, n, begin)
            if end >= n or s[end] == quote or s[end] == 92 or s[end] == 10:
                return False
        if begins(s, n, begin, b"-----begin ", 11):
            return False
        if says != STRONG and not is_random_value(s, n, begin, 8 if says == WEAK else 14):
            return False
        end = quoted_end(s, n, begin, quote, escaped)
        if end == begin or (says == STRONG and end - begin < 64 and is_plain(s, begin, end, False)
                            and s[begin] != 40 and s[begin] != 91):
            return False
        found.begin, found.end, found.kind = begin, end, SECRET
        return True
    if begins(s, n, i, b"-----begin ", 11):
        return False
    if says != STRONG and not is_random_value(s, n, i, 8 if says == WEAK else 14):
        return False
    end = word_end(s, min(n, i + PLAIN_MOST), i, stop)
    if end == i or placeholder_end(s, n, i) >= end \
            or (says == STRONG and end < i + PLAIN_MOST and is_plain(s, i, end, in_prose)):
        return False
    if end == i + PLAIN_MOST:
        end = word_end(s, n, i, stop)
    found.begin, found.end, found.kind = i, end, SECRET
    return True


cdef inline Py_ssize_t skip_blanks(const uint8_t* s, Py_ssize_t n, Py_ssize_t i) noexcept nogil:
    """Return where at most 16 spaces and tabs that begin at i end."""
    cdef Py_ssize_t stop = min(n, i + BLANKS)
    while i < stop and (s[i] == 32 or s[i] == 9):
        i += 1
    return i


cdef inline bint find_pair(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i,
        const SecretWords* words, Find* found) noexcept nogil:
    """Find the value of a secret whose separator stands at i."""
    cdef Py_ssize_t end = i, begin, k
    cdef Name name
    cdef int says
    cdef uint8_t stop = 60 if s[i] == 62 else 0         # <password>it</password>
    while end > floor and end > i - BLANKS and (s[end - 1] == 32 or s[end - 1] == 9):
        end -= 1
    if s[i] == 62 and end != i:
        return False                            # a comparison
    k = end
    while end > floor and end > k - 4 and (
            s[end - 1] == 34 or s[end - 1] == 39 or s[end - 1] == 92 or s[end - 1] == 96
            or s[end - 1] == 42 or s[end - 1] == 93):
        end -= 1
    begin = run_start(s, max(floor, end - NAME_BACK), end, NAME)
    if end - begin < 3 and not (begin > floor and s[begin - 1] == 32):
        return False
    if begin > floor and (s[begin - 1] == 63 or s[begin - 1] == 38):
        stop = 38                               # ?password=it&more
    if begin > floor and s[begin - 1] == 32:
        begin = run_start(s, max(floor, end - NAME_BACK), begin - 1, NAME)
    read_name(s, begin, end, &name)
    says = says_of(&name, words)
    if says == HARMLESS:
        return False
    k = i + 1
    while k < n and k < i + 4 and (s[k] == 58 or s[k] == 61 or s[k] == 62):
        k += 1
    k = skip_blanks(s, n, k)
    if begins(s, n, k, b"bearer ", 7) or begins(s, n, k, b"basic ", 6) \
            or begins(s, n, k, b"token ", 6):
        k = skip_blanks(s, n, k + 5 + (s[k + 5] != 32))
    return k < n and find_value(s, n, k, says, s[i] == 58, stop, found)
