# cython: cdivision=True
"""What a byte of UTF-8 can be part of, and where the next byte lies that may begin a find.

`next_trigger` looks at 16 bytes at once where the compiler has a shuffle of bytes for that (SSSE3,
NEON), at one elsewhere; both find the same.  A byte is a trigger when the sets of its two halves
share a bit: four rows of ASCII hold all triggers, so four bits are enough.
"""
from libc.stdint cimport uint8_t, uint16_t

cdef extern from *:
    """
    enum { DIGIT = 1, UPPER = 2, LOWER = 4, HEX = 8, WORD = 16, TOKEN = 32, DOTTED = 64,
           LOCAL = 128, DOMAIN = 256, PEM = 512, SPACE = 1024, NAME = 2048, LINK = 4096 };
    #define EVERY_ALNUM (WORD|TOKEN|DOTTED|LOCAL|DOMAIN|PEM|NAME|LINK)
    static const uint16_t LETTERS[256] = {
        ['0' ... '9'] = EVERY_ALNUM|DIGIT|HEX, ['A' ... 'F'] = EVERY_ALNUM|UPPER|HEX,
        ['G' ... 'Z'] = EVERY_ALNUM|UPPER, ['a' ... 'f'] = EVERY_ALNUM|LOWER|HEX,
        ['g' ... 'z'] = EVERY_ALNUM|LOWER,
        ['_'] = WORD|TOKEN|DOTTED|LOCAL|NAME|LINK, ['-'] = TOKEN|DOTTED|LOCAL|DOMAIN|PEM|NAME|LINK,
        ['.'] = DOTTED|LOCAL|DOMAIN|PEM|NAME|LINK, ['+'] = DOTTED|LOCAL|PEM|LINK,
        ['/'] = DOTTED|PEM|LINK, ['='] = DOTTED|PEM|LINK, ['~'] = DOTTED|LINK, ['%'] = LOCAL|LINK,
        ['@'] = LINK, [':'] = PEM|LINK, ['?'] = LINK, ['&'] = LINK, ['#'] = LINK,
        [','] = PEM, ['\\\\'] = PEM, ['"'] = PEM, ['('] = PEM, [')'] = PEM,
        [' '] = SPACE|PEM, ['\\t'] = SPACE|PEM, ['\\r'] = SPACE|PEM, ['\\n'] = SPACE|PEM,
        /* Latin letters with marks take two bytes, C3 to C9 and a continuation. */
        [0x80 ... 0xBF] = LOCAL|DOMAIN, [0xC3 ... 0xC9] = LOCAL|DOMAIN };

    /* Triggers by row, the high half of a byte: 3 digits : = >, 4 @ A J, 2 -, 5 _ */
    static const uint8_t trigger_low[16] = {
        3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0, 0, 5, 1, 8};
    static const uint8_t trigger_high[16] = {
        0, 0, 4, 1, 2, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    #define IS_TRIGGER(c) (trigger_low[(c) & 15] & trigger_high[(c) >> 4])

    #if defined(__SSSE3__)
    #include <tmmintrin.h>
    static inline unsigned triggers_of_16(const uint8_t* s) {
        __m128i bytes = _mm_loadu_si128((const __m128i*)s), half = _mm_set1_epi8(15);
        __m128i low = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i*)trigger_low),
                                       _mm_and_si128(bytes, half));
        __m128i high = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i*)trigger_high),
                                        _mm_and_si128(_mm_srli_epi16(bytes, 4), half));
        __m128i none = _mm_cmpeq_epi8(_mm_and_si128(low, high), _mm_setzero_si128());
        return 0xFFFF & ~(unsigned)_mm_movemask_epi8(none);
    }
    #define BLOCKS 1
    #elif defined(__aarch64__)
    #include <arm_neon.h>
    static inline unsigned triggers_of_16(const uint8_t* s) {
        uint8x16_t bytes = vld1q_u8(s);
        uint8x16_t low = vqtbl1q_u8(vld1q_u8(trigger_low), vandq_u8(bytes, vdupq_n_u8(15)));
        uint8x16_t high = vqtbl1q_u8(vld1q_u8(trigger_high), vshrq_n_u8(bytes, 4));
        uint8x16_t hit = vtstq_u8(low, high);
        const uint8_t place[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        uint8x16_t bits = vandq_u8(hit, vld1q_u8(place));
        return vaddv_u8(vget_low_u8(bits)) | (unsigned)vaddv_u8(vget_high_u8(bits)) << 8;
    }
    #define BLOCKS 1
    #else
    #define BLOCKS 0
    #endif

    static inline Py_ssize_t next_trigger(const uint8_t* s, Py_ssize_t n, Py_ssize_t i) {
    #if BLOCKS
        for (; i + 16 <= n; i += 16) {
            unsigned hits = triggers_of_16(s + i);
            if (hits) return i + __builtin_ctz(hits);
        }
    #endif
        while (i < n && !IS_TRIGGER(s[i])) i++;
        return i;
    }
    """
    enum:
        DIGIT, UPPER, LOWER, HEX, WORD, TOKEN, DOTTED, LOCAL, DOMAIN, PEM, SPACE, NAME, LINK
    const uint16_t LETTERS[256]
    Py_ssize_t next_trigger(const uint8_t* s, Py_ssize_t n, Py_ssize_t i) noexcept nogil

cdef struct Find:
    # What was found: bytes begin to end, and which of the kinds below.
    Py_ssize_t begin
    Py_ssize_t end
    int kind

cdef enum:
    NOTHING, EMAIL, PHONE, CARD, IBAN, SSN, IP, API_KEY, JWT, PRIVATE_KEY, SECRET, KINDS


cdef inline bint is_a(const uint8_t* s, Py_ssize_t n, Py_ssize_t i, int what) noexcept nogil:
    """Tell whether there is a byte at i, and of one of these classes."""
    return 0 <= i < n and (LETTERS[s[i]] & what) != 0


cdef inline Py_ssize_t run_end(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, int what) noexcept nogil:
    """Return where the run of bytes of a class that begins at i ends."""
    while i < n and LETTERS[s[i]] & what:
        i += 1
    return i


cdef inline Py_ssize_t run_start(
        const uint8_t* s, Py_ssize_t floor, Py_ssize_t i, int what) noexcept nogil:
    """Return where the run of bytes of a class that ends before i starts, not below `floor`."""
    while i > floor and LETTERS[s[i - 1]] & what:
        i -= 1
    return i


cdef inline uint8_t lower(uint8_t c) noexcept nogil:
    """Return an ASCII letter in lower case, any other byte as it is."""
    return c | 32 if 65 <= c <= 90 else c


cdef inline bint begins(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, const char* word,
        Py_ssize_t size) noexcept nogil:
    """Tell whether a word in lower case stands at i, in any case."""
    cdef Py_ssize_t k
    if i < 0 or i + size > n:
        return False
    for k in range(size):
        if lower(s[i + k]) != <uint8_t>word[k]:
            return False
    return True


cdef inline Py_ssize_t placeholder_end(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i) noexcept nogil:
    """Return the end of the placeholder that begins at i, such as `[EMAIL:3f9a]`; else i.

    The form is strict, 2 to 16 capitals and 4 hexadecimal digits, so that nothing worth hiding fits
    into one that somebody else wrote.
    """
    cdef Py_ssize_t k = i + 1, hex_end
    if i < 0 or i >= n or s[i] != 91:
        return i
    while k < n and k <= i + 16 and (65 <= s[k] <= 90 or s[k] == 95):
        k += 1
    if k < i + 3 or k + 6 > n or s[k] != 58 or s[k + 5] != 93:
        return i
    for hex_end in range(k + 1, k + 5):
        if not (48 <= s[hex_end] <= 57 or 97 <= s[hex_end] <= 102):
            return i
    return k + 6


cdef inline int distinct(const uint8_t* s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Return how many different bytes there are in at most 256; few mean an example or a rule."""
    cdef uint8_t seen[256]
    cdef Py_ssize_t i
    cdef int count = 0
    for i in range(256):
        seen[i] = 0
    for i in range(begin, min(end, begin + 256)):
        count += not seen[s[i]]
        seen[s[i]] = 1
    return count


cdef inline int count_of(
        const uint8_t* s, Py_ssize_t begin, Py_ssize_t end, int what) noexcept nogil:
    """Count the bytes of a class in at most 256."""
    cdef Py_ssize_t i
    cdef int count = 0
    for i in range(begin, min(end, begin + 256)):
        count += (LETTERS[s[i]] & what) != 0
    return count
