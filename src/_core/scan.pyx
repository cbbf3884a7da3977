# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Personal data and secrets in texts: finds them, and puts placeholders in their place.

The scan goes from one trigger byte to the next (`letters.pxd`) and asks, by the byte, the grammars
that can have it: each looks back and ahead a bounded number of bytes or takes what it read, so the
time is linear in the text whatever it says.  A placeholder is `[KIND:hash]`: 16 bits of a keyed
hash of the value without its spelling, so that two people stay two and nobody can be worked out.
"""
cimport cython
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from sentinel._core.addresses cimport *
from sentinel._core.digits cimport *
from sentinel._core.letters cimport *
from sentinel._core.pairs cimport *
from sentinel._core.phone cimport *
from sentinel._core.siphash cimport siphash
from sentinel._core.tokens cimport *

KIND_NAMES = ("", "EMAIL", "PHONE", "CARD", "IBAN", "SSN", "IP", "API_KEY", "JWT", "PRIVATE_KEY",
              "SECRET")

cdef enum:
    PLACEHOLDER_MOST = 24   # bytes: a kind of at most 16, and eight more
    NAME_ROOM = 20
    PASSES = 8              # two or three are enough but for a text made to need more
    ALONE = 1 << 14         # bytes from which on others run meanwhile: a scan of less is short

index_hints()
index_prefixes()

cdef struct Finds:
    Find* item
    Py_ssize_t count
    Py_ssize_t room


cdef int keep(Finds* finds, const Find* found) except -1 nogil:
    """Add a find to the list."""
    cdef Py_ssize_t room
    cdef Find* grown
    if finds.count == finds.room:
        room = 16 if finds.room == 0 else 2 * finds.room
        grown = <Find*>realloc(finds.item, room * sizeof(Find))
        if grown == NULL:
            with gil:
                raise MemoryError
        finds.item = grown
        finds.room = room
    finds.item[finds.count] = found[0]
    finds.count += 1
    return 0


cdef Py_ssize_t look_at_digit(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i, Py_ssize_t* looked,
        Find* found) noexcept nogil:
    """Find what begins with, or holds, the digit at i; return where to go on if nothing does."""
    cdef Number a
    cdef int groups
    if i > floor and LETTERS[s[i - 1]] & (UPPER | LOWER):
        if find_iban(s, n, floor, i, found):
            return i
    find_token(s, n, floor, i, looked, found)
    if found.kind != NOTHING:
        return i
    if not starts_clean(s, floor, i) or read_number(s, n, i, &a) == 0:
        return run_end(s, n, i, DIGIT)
    if a.first[a.groups] < 7 and a.groups < 4:
        return a.end[0]                 # too few digits for anything, 1.1.1.1 apart
    groups = card(s, n, floor, &a)
    found.begin = i
    if groups:
        found.kind, found.end = CARD, a.end[groups - 1]
    elif is_ssn(s, n, floor, &a) \
            or (a.groups == 1 and a.first[1] == 9 and a.digit[0] < 9 and ends_clean(s, n, a.end[0])
                and is_social(s, floor, i)):
        found.kind, found.end = SSN, a.end[2 if a.groups > 1 else 0]
    elif is_ipv4(s, n, floor, &a):
        found.kind, found.end = IP, a.end[3]
    elif not find_phone(s, n, floor, &a, found):
        found.kind = NOTHING
    if found.kind == NOTHING and a.groups > 3 and a.between[1] == DOT and a.between[2] == DOT:
        return a.end[a.groups - 1]
    return a.end[0]


cdef inline bint is_social(const uint8_t* s, Py_ssize_t floor, Py_ssize_t i) noexcept nogil:
    """Tell whether the 24 bytes before i speak of a social security number."""
    cdef Py_ssize_t k
    for k in range(max(floor, i - 24), i):
        if begins(s, i, k, b"ssn", 3) or begins(s, i, k, b"social", 6):
            return True
    return False


cdef Py_ssize_t look_at(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i, Py_ssize_t* looked,
        const SecretWords* words, Find* found) noexcept nogil:
    """Ask the grammars that can have the trigger at i; return where to go on if none has it."""
    cdef uint8_t c = s[i]
    cdef Py_ssize_t name
    if LETTERS[c] & DIGIT:
        return look_at_digit(s, n, floor, i, looked, found)
    if c == 64:
        find_email(s, n, floor, i, found)
    elif c == 58:
        name = i
        while name > floor and name > i - 17 and (
                s[name - 1] == 95 or LETTERS[s[name - 1]] & UPPER):
            name -= 1
        if name > floor and placeholder_end(s, n, name - 1) > i:
            return placeholder_end(s, n, name - 1)
        if not find_in_link(s, n, floor, i, found) and not find_pair(s, n, floor, i, words, found):
            find_ipv6(s, n, floor, i, found)
    elif c == 61 or c == 62:
        find_pair(s, n, floor, i, words, found)
    else:
        if c == 45 and find_private_key(s, n, i, found):
            return i + 1
        find_token(s, n, floor, i, looked, found)
    return i + 1


cdef int scan(
        const uint8_t* s, Py_ssize_t n, int kinds, const SecretWords* words,
        Finds* finds, Py_ssize_t most) except -1 nogil:
    """List what is found, the first `most` of it, in order, none of them overlapping."""
    cdef Py_ssize_t i = next_trigger(s, n, 0), floor = 0, looked = 0, after
    cdef Find found
    while i < n and finds.count < most:
        found.kind = NOTHING
        after = look_at(s, n, floor, i, &looked, words, &found)
        if found.kind != NOTHING and kinds >> found.kind & 1:
            keep(finds, &found)
            after = floor = looked = found.end
        i = next_trigger(s, n, after)
    return 0


cdef uint64_t hash_of(
        const uint64_t* key, const uint8_t* s, const Find* found) noexcept nogil:
    """Return the hash of a find, of its letters in lower case and its digits where that says all.
    """
    cdef uint8_t value[512]
    cdef Py_ssize_t i, n = 1
    value[0] = <uint8_t>found.kind
    if found.kind >= API_KEY and found.end - found.begin < 511:
        memcpy(value + 1, s + found.begin, found.end - found.begin)
        return siphash(key, value, 1 + found.end - found.begin)
    if found.kind >= API_KEY:
        return siphash(key, s + found.begin, found.end - found.begin)
    for i in range(found.begin, found.end):
        if n < 512 and (found.kind == EMAIL or found.kind == IP
                        or LETTERS[s[i]] & (UPPER | LOWER | DIGIT)):
            value[n] = lower(s[i])
            n += 1
    return siphash(key, value, n)


cdef Py_ssize_t write(
        const uint64_t* key, const uint8_t* s, Py_ssize_t n, const Finds* finds,
        const uint8_t* names, uint8_t* out) noexcept nogil:
    """Write the text with placeholders; return its size in bytes."""
    cdef Py_ssize_t i, at = 0, size = 0
    cdef const Find* found
    cdef uint64_t bits
    cdef int k, digit
    for i in range(finds.count):
        found = &finds.item[i]
        memcpy(out + size, s + at, found.begin - at)
        size += found.begin - at
        at = found.end
        out[size] = 91
        k = names[found.kind * NAME_ROOM]
        memcpy(out + size + 1, names + found.kind * NAME_ROOM + 1, k)
        size += k + 1
        out[size] = 58
        bits = hash_of(key, s, found)
        for k in range(4):
            digit = <int>(bits >> (60 - 4 * k)) & 15
            out[size + 1 + k] = <uint8_t>(48 + digit if digit < 10 else 87 + digit)
        out[size + 5] = 93
        size += 6
    memcpy(out + size, s + at, n - at)
    return size + n - at


@cython.final
cdef class Scanner:
    """Scans texts for some kinds, under one key; threads may share it."""

    cdef uint64_t key[2]
    cdef int kinds
    cdef SecretWords words
    cdef list kept                      # the bytes that `words` points into
    cdef uint8_t names[KINDS * NAME_ROOM]      # of each kind: length, then letters

    def __init__(self, bytes key not None, kinds, *, strong=(), weak=(), providers=()):
        cdef const uint8_t* raw
        cdef int kind, i
        if len(key) != 16:
            raise ValueError(f"a key of {len(key)} bytes, expected 16")
        raw = key
        memcpy(self.key, raw, 16)
        self.kinds = 0
        for kind in range(1, KINDS):
            name = KIND_NAMES[kind].encode()
            self.names[kind * NAME_ROOM] = len(name)
            for i in range(len(name)):
                self.names[kind * NAME_ROOM + 1 + i] = name[i]
            if KIND_NAMES[kind] in kinds:
                self.kinds |= 1 << kind
        self.words.count = 0
        self.kept = []
        for says, group in ((STRONG, strong), (WEAK, weak), (PROVIDER, providers)):
            for word in group:
                self.add_word(word, says)
        index_words(&self.words)

    cdef int add_word(self, str word, int says) except -1:
        """Take up a word; what is not a letter or digit in it does not count."""
        cdef bytes text = "".join(c for c in word.lower() if c not in "_-. ").encode()
        if len(text) < 2 or self.words.count == WORDS_MOST:
            raise ValueError(f"word {word!r}: too short" if len(text) < 2 else "too many words")
        self.kept.append(text)
        self.words.word[self.words.count].text = text
        self.words.word[self.words.count].size = len(text)
        self.words.word[self.words.count].says = says
        self.words.count += 1
        return 0

    def clean(self, str text not None, tally=None):
        """Return the text with placeholders for what is found, the same object if nothing is.

        Goes on until a pass finds nothing; None after too many.  Counts in `tally`, by kind.
        Raises UnicodeEncodeError for half a surrogate pair.
        """
        cdef Py_ssize_t n, i
        cdef const uint8_t* s = <const uint8_t*>PyUnicode_AsUTF8AndSize(text, &n)
        cdef Finds finds
        cdef uint8_t* out = NULL
        cdef uint8_t* more
        cdef int passes
        if next_trigger(s, n, 0) == n:
            return text
        finds.item, finds.room = NULL, 0
        try:
            for passes in range(PASSES):
                finds.count = 0
                if n < ALONE:
                    scan(s, n, self.kinds, &self.words, &finds, n)
                else:
                    with nogil:
                        scan(s, n, self.kinds, &self.words, &finds, n)
                if finds.count == 0:
                    return text if passes == 0 else PyUnicode_DecodeUTF8(<const char*>s, n, NULL)
                more = <uint8_t*>malloc(n + finds.count * PLACEHOLDER_MOST)
                if more == NULL:
                    raise MemoryError
                n = write(self.key, s, n, &finds, self.names, more)
                free(out)
                s = out = more
                if tally is not None:
                    for i in range(finds.count):
                        name = KIND_NAMES[finds.item[i].kind]
                        tally[name] = tally.get(name, 0) + 1
            return None
        finally:
            free(out)
            free(finds.item)

    def unclean(self, list events not None, list rows not None, Py_ssize_t most):
        """Return those of the rows whose prompt or response holds something, or is too long.

        `most`: characters.  A text that is no good text, half a surrogate pair, counts as well.
        """
        cdef list left = []
        for row in rows:
            event = events[row]
            if not (self.is_clean(event.prompt, most) and self.is_clean(event.response, most)):
                left.append(row)
        return left

    cdef bint is_clean(self, side, Py_ssize_t most) except -1:
        cdef Py_ssize_t n
        cdef const uint8_t* s
        cdef Finds finds
        if side is None:
            return True
        text = side.text
        if text is None:
            return True
        if len(<str?>text) > most:
            return False
        try:
            s = <const uint8_t*>PyUnicode_AsUTF8AndSize(text, &n)
        except UnicodeEncodeError:
            return False
        finds.item, finds.count, finds.room = NULL, 0, 0
        scan(s, n, self.kinds, &self.words, &finds, 1)
        free(finds.item)
        return finds.count == 0

    def spans(self, str text not None):
        """Return (begin, end, kind) of what is found, in characters."""
        cdef Py_ssize_t n, i, at = 0, characters = 0
        cdef const uint8_t* s = <const uint8_t*>PyUnicode_AsUTF8AndSize(text, &n)
        cdef Finds finds
        cdef list places = []
        finds.item, finds.count, finds.room = NULL, 0, 0
        try:
            scan(s, n, self.kinds, &self.words, &finds, n)
            for i in range(finds.count):
                characters += characters_of(s, at, finds.item[i].begin)
                at = finds.item[i].end
                n = characters + characters_of(s, finds.item[i].begin, at)
                places.append((characters, n, KIND_NAMES[finds.item[i].kind]))
                characters = n
            return places
        finally:
            free(finds.item)

    def placeholder(self, str kind not None, str value not None):
        """Return what stands for a value that something else has found."""
        cdef bytes raw = kind.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
        return f"[{kind}:{siphash(self.key, raw, len(raw)) >> 48:04x}]"

    def names_secret(self, str name not None):
        """Tell whether a name says that its value is secret."""
        cdef Name read
        cdef bytes raw = name.encode("utf-8", "replace")
        read_name(raw, 0, len(raw), &read)
        read.last = 0
        return says_of(&read, &self.words) == STRONG


cdef inline Py_ssize_t characters_of(
        const uint8_t* s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Count the characters that begin in some bytes of UTF-8."""
    cdef Py_ssize_t i, count = 0
    for i in range(begin, end):
        count += s[i] & 0xC0 != 0x80
    return count
