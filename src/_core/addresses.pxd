# cython: cdivision=True
"""E-mail, IPv6 and account addresses, credentials in URLs, private keys: each by its grammar."""
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from sentinel._core.digits cimport is_ipv4, read_number, Number
from sentinel._core.letters cimport *

cdef enum:
    LOCAL_MOST = 64         # bytes before the @ (RFC 5321)
    DOMAIN_MOST = 255
    LINK_MOST = 512

cdef extern from *:
    """
    /* Country and length of its IBANs, as the registry of ISO 13616 has them. */
    static const char iban_lengths[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29"
        "ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20"
        "LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29"
        "PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20";
    static inline int iban_length(unsigned char a, unsigned char b) {
        for (const char* c = iban_lengths; *c; c += 4)
            if (c[0] == a && c[1] == b) return (c[2] - '0') * 10 + c[3] - '0';
        return 0;
    }
    /* Endings of file names that look like a domain: icon@2x.png */
    static const char not_domains[] = "png jpg jpeg gif svg webp css scss html json yaml yml txt "
        "pdf xml csv jsx tsx py js ts md lock toml map woff ico exe dll log local localdomain ";
    """
    int iban_length(uint8_t a, uint8_t b) noexcept nogil
    const char* not_domains


cdef inline bint is_file_ending(
        const uint8_t* s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Tell whether a last label is that of a file and of no domain."""
    cdef const char* word = not_domains
    cdef Py_ssize_t size
    while word[0]:
        size = 0
        while word[size] != 32:
            size += 1
        if size == end - begin and begins(s, end, begin, word, size):
            return True
        word += size + 1
    return False


cdef inline bint find_email(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i, Find* found) noexcept nogil:
    """Find an e-mail address whose @ stands at i."""
    cdef Py_ssize_t begin = run_start(s, max(floor, i - LOCAL_MOST), i, LOCAL)
    cdef Py_ssize_t end = run_end(s, min(n, i + 1 + DOMAIN_MOST), i + 1, DOMAIN), label
    while begin - 2 >= floor and s[begin - 1] == 39 and LETTERS[s[begin - 2]] & (UPPER | LOWER) \
            and begin > i - LOCAL_MOST and LETTERS[s[begin]] & (UPPER | LOWER):
        begin = run_start(s, max(floor, i - LOCAL_MOST), begin - 1, LOCAL)    # o'brien@
    while begin < i and (0x80 <= s[begin] < 0xC0 or s[begin] == 46 or s[begin] == 37
                         or s[begin] == 45):
        begin += 1                      # half a letter of another script; dots and dashes
    if begin == i or s[i - 1] == 46:
        return False
    while end > i + 1 and (s[end - 1] == 46 or s[end - 1] == 45 or s[end - 1] >= 0xC3):
        end -= 1
    label = run_start(s, i + 1, end, UPPER | LOWER)
    if label - 2 < i + 1 or s[label - 1] != 46:
        label = run_start(s, i + 1, end, UPPER | LOWER | DIGIT)
        while label > i + 1 and s[label - 1] != 46 and LETTERS[s[label - 1]] & DOMAIN:
            label -= 1
        if not (begins(s, end, label, b"xn--", 4) or is_a(s, n, end - 1, DOMAIN)
                and s[end - 1] >= 0x80):
            # foo@example.com-2: back to the last label of letters
            while end > i + 3 and not (LETTERS[s[end - 1]] & (UPPER | LOWER)
                                       and s[run_start(s, i + 1, end, UPPER | LOWER) - 1] == 46):
                end -= 1
            label = run_start(s, i + 1, end, UPPER | LOWER)
    if end - label < 2 or label - 2 < i + 1 or s[label - 1] != 46 or s[i + 1] == 46 \
            or s[i + 1] == 45 or is_a(s, n, end, WORD) or is_file_ending(s, label, end):
        return False
    found.begin, found.end, found.kind = begin, end, EMAIL
    return True


cdef inline bint find_iban(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i, Find* found) noexcept nogil:
    """Find an IBAN whose check digits begin at i: a country, its length, remainder 1 of 97."""
    cdef uint8_t sign[36]
    cdef Py_ssize_t k = i - 2
    cdef int length, taken = 0, rest = 0, j
    cdef uint8_t c
    if k < floor or not is_a(s, n, i + 1, DIGIT) or not LETTERS[s[k]] & (UPPER | LOWER) \
            or not LETTERS[s[k + 1]] & (UPPER | LOWER) \
            or (k > floor and LETTERS[s[k - 1]] & WORD):
        return False
    length = iban_length(lower(s[k]) - 32, lower(s[k + 1]) - 32)
    while k < n and taken < length:
        c = s[k]
        if LETTERS[c] & (UPPER | LOWER | DIGIT):
            sign[taken] = lower(c) - 32 if LETTERS[c] & (UPPER | LOWER) else c
            taken += 1
        elif not (taken > 3 and (c == 32 or c == 45 or c == 0xC2 or c == 0xA0)
                  and (c == 0xC2 or s[k - 1] != 45 and s[k - 1] != 32)):
            return False
        k += 1
    if length == 0 or taken < length or is_a(s, n, k, WORD):
        return False
    for j in range(length):
        c = sign[(j + 4) % length]
        rest = (rest * 10 + c - 48 if c < 65 else rest * 100 + c - 55) % 97
    if rest != 1:
        return False
    found.begin, found.end, found.kind = i - 2, k, IBAN
    return True


cdef inline bint find_ipv6(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i, Find* found) noexcept nogil:
    """Find an IPv6 address (RFC 4291) whose first colon stands at i."""
    cdef Py_ssize_t begin = run_start(s, max(floor, i - 5), i, HEX), k, end
    cdef int groups = 0, gaps = 0, longest = 0, digits = 0, size
    cdef Number number
    if i - begin > 4 or (begin > floor and (LETTERS[s[begin - 1]] & WORD or s[begin - 1] == 58)):
        return False
    k = end = begin
    while k < n and groups < 9:
        size = <int>(run_end(s, min(n, k + 5), k, HEX) - k)
        if size > 4:
            return False
        if size and k + size < n and s[k + size] == 46 and groups > 0:
            if read_number(s, n, k, &number) and is_ipv4(s, n, k, &number):
                groups, k, longest, digits = groups + 2, number.end[3], 4, 1
                end = k
                break
        if size:
            digits += count_of(s, k, k + size, DIGIT)
            longest = max(longest, size)
            groups += 1
            k += size
            end = k
        if k >= n or s[k] != 58:
            break
        if k + 1 < n and s[k + 1] == 58:
            gaps += 1
            k += 2
            end = k
        elif not is_a(s, n, k + 1, HEX):
            break
        else:
            k += 1
    if is_a(s, n, end, WORD) or gaps > 1 or (k < n and s[k] == 58 and is_a(s, n, k + 1, HEX)):
        return False
    if not (gaps == 0 and groups == 8 and longest > 2) and not (
            gaps == 1 and digits > 0 and (3 <= groups < 8 or (groups == 2 and longest == 4))):
        return False
    if end < n and s[end] == 37 and is_a(s, n, end + 1, WORD):          # fe80::1%eth0
        end = run_end(s, min(n, end + 17), end + 1, WORD)
    found.begin, found.end, found.kind = begin, end, IP
    return True


cdef inline bint find_in_link(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i, Find* found) noexcept nogil:
    """Find what is secret in a URL whose colon stands at i: a password, an incoming webhook."""
    cdef Py_ssize_t host = i + 3, k, colon = -1
    if i + 4 > n or s[i + 1] != 47 or s[i + 2] != 47:
        return False
    for k in range(host, min(n, host + LINK_MOST)):
        if s[k] == 58 and colon < 0:
            colon = k
        if s[k] == 64:
            if colon < 0 or k - colon < 2 or placeholder_end(s, n, colon + 1) == k \
                    or s[colon + 1] == 36 or s[colon + 1] == 123 or s[colon + 1] == 60:
                return False                                # ${VAR}, {name}, <password>
            found.begin, found.end, found.kind = colon + 1, k, SECRET
            return True
        if s[k] <= 32 or s[k] == 47 or s[k] == 34 or s[k] == 39 or s[k] == 63 or s[k] == 35:
            break
    k = run_end(s, min(n, host + LINK_MOST), host, LINK)
    if k - host > 50 and (memcmp(s + host, b"hooks.slack.com/", 16) == 0
                          or find_word(s, host, k, b".webhook.office.com/", 20)
                          or memcmp(s + host, b"discord.com/api/webhooks/", 25) == 0):
        while i > floor and LETTERS[s[i - 1]] & (UPPER | LOWER) and i > host - 8:
            i -= 1
        found.begin, found.end, found.kind = i, k, API_KEY
        return True
    return False


cdef inline bint find_word(
        const uint8_t* s, Py_ssize_t begin, Py_ssize_t end, const char* word,
        Py_ssize_t size) noexcept nogil:
    """Tell whether a word begins in the first 80 bytes from `begin` and lies before `end`."""
    cdef Py_ssize_t i
    for i in range(begin, min(end - size, begin + 80)):
        if s[i] == <uint8_t>word[0] and memcmp(s + i, word, size) == 0:
            return True
    return False


cdef inline bint find_private_key(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, Find* found) noexcept nogil:
    """Find a private key in PEM (RFC 7468) or OpenPGP form whose first dash stands at i."""
    cdef Py_ssize_t k = i + 11, stop, label
    if not begins(s, n, i, b"-----begin ", 11):
        return False
    stop = min(n, k + 100)
    while k < stop and s[k] != 45:
        if not LETTERS[s[k]] & (UPPER | LOWER | DIGIT | SPACE):
            return False
        k += 1
    label = k - 6 if begins(s, n, k - 6, b" block", 6) else k
    if not begins(s, n, label - 11, b"private key", 11) or not begins(s, n, k, b"-----", 5):
        return False
    # To the line of the end; where that is missing, as far as anything may belong to it.
    k += 5
    while k < n and LETTERS[s[k]] & PEM:
        if s[k] == 45 and begins(s, n, k, b"-----end ", 9):
            k += 9
            while k < n and LETTERS[s[k]] & (UPPER | LOWER | DIGIT) or (k < n and s[k] == 32):
                k += 1
            while k < n and s[k] == 45:
                k += 1
            break
        k += 1
    while LETTERS[s[k - 1]] & SPACE or s[k - 1] == 34 or s[k - 1] == 44 or s[k - 1] == 92:
        k -= 1
    found.begin, found.end, found.kind = i, k, PRIVATE_KEY
    return True
