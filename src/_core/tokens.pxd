# cython: cdivision=True
"""Keys and tokens that providers give out, by the prefix and the alphabet that they publish.

A run of letters, digits, `_` and `-` is looked at once, from its start; the table is entered by the
first byte.  The formats are public facts, from the providers' documentation and the rules that
secret scanners publish.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from sentinel._core.letters cimport *

cdef enum:
    PREFIX_BACK = 64        # bytes back to the start of a run
    BODY_MOST = 4096        # bytes of one token

cdef extern from *:
    """
    /* prefix, length of it, alphabet of the rest, least and most of the rest (0: no most) */
    #define ANY (WORD|TOKEN)                /* letters, digits, _ and - */
    #define ALNUM (UPPER|LOWER|DIGIT)
    #define LONG DOTTED                     /* and . + / = ~ */
    #define CAPITAL (UPPER|DIGIT)
    #define P(text) text, sizeof text - 1
    static const struct { const char* text; unsigned short size, of, least, most; } prefixes[] = {
        {P("A3-"), ANY, 30, 60}, {P("A3T"), CAPITAL, 17, 17}, {P("ABIA"), CAPITAL, 16, 16},
        {P("ABSK"), LONG, 60, 0}, {P("ACCA"), CAPITAL, 16, 16},
        {P("AGE-SECRET-KEY-1"), ALNUM, 50, 0},
        {P("AIza"), ANY, 35, 36}, {P("AKCp"), ALNUM, 60, 90}, {P("AKIA"), CAPITAL, 16, 16},
        {P("API-"), CAPITAL, 26, 26}, {P("AQVN"), ANY, 35, 38}, {P("ASIA"), CAPITAL, 16, 16},
        {P("ATATT3"), LONG, 60, 0}, {P("ATCTT3"), LONG, 60, 0}, {P("CLOJARS_"), ALNUM, 50, 0},
        {P("EAA"), ALNUM, 60, 0}, {P("EAAA"), ANY, 22, 120}, {P("EZAK"), ALNUM, 54, 54},
        {P("EZTK"), ALNUM, 54, 54}, {P("FLWPUBK_TEST-"), ANY, 12, 0}, {P("FLWSECK-"), ANY, 12, 0},
        {P("FLWSECK_TEST-"), ANY, 12, 0}, {P("GOCSPX-"), ANY, 28, 28}, {P("GR1348941"), ANY, 20, 0},
        {P("HRKU-"), ANY, 36, 0}, {P("LTAI"), ALNUM, 12, 24}, {P("NRAK-"), ALNUM, 19, 0},
        {P("NRII-"), ANY, 19, 0}, {P("NRJS-"), ALNUM, 19, 0}, {P("PMAK-"), ANY, 40, 0},
        {P("SK"), HEX, 32, 32}, {P("YC"), ANY, 38, 38}, {P("ZXlK"), LONG, 50, 0},
        {P("access-development-"), ANY, 36, 0}, {P("access-production-"), ANY, 36, 0},
        {P("access-sandbox-"), ANY, 36, 0}, {P("api_org_"), ALNUM, 30, 0},
        {P("clojars_"), ALNUM, 50, 0}, {P("cmVmd"), ALNUM, 50, 0}, {P("dapi"), HEX, 32, 32},
        {P("dckr_oat_"), ANY, 20, 0}, {P("dckr_pat_"), ANY, 20, 0}, {P("dnkey-"), ANY, 60, 0},
        {P("doo_v1_"), HEX, 64, 64}, {P("dop_v1_"), HEX, 64, 64}, {P("dor_v1_"), HEX, 64, 64},
        {P("dt0c01."), LONG, 80, 0}, {P("duffel_live_"), LONG, 40, 0},
        {P("duffel_test_"), LONG, 40, 0}, {P("eyJrIjoi"), LONG, 60, 0}, {P("figd_"), ANY, 36, 0},
        {P("fio-u-"), LONG, 60, 0}, {P("fm1a_"), LONG, 90, 0}, {P("fm1r_"), LONG, 90, 0},
        {P("fm2_"), LONG, 90, 0}, {P("fo1_"), ANY, 40, 0}, {P("gho_"), ALNUM, 36, 0},
        {P("ghp_"), ALNUM, 36, 0}, {P("ghr_"), ALNUM, 36, 0}, {P("ghs_"), ALNUM, 36, 0},
        {P("ghu_"), ALNUM, 36, 0}, {P("github_pat_"), ANY, 60, 0}, {P("glagent-"), LONG, 20, 0},
        {P("glc_"), LONG, 32, 0}, {P("glcbt-"), LONG, 20, 0}, {P("gldt-"), LONG, 20, 0},
        {P("glffct-"), LONG, 20, 0}, {P("glft-"), LONG, 20, 0}, {P("glimt-"), LONG, 20, 0},
        {P("gloas-"), LONG, 20, 0}, {P("glpat-"), LONG, 20, 0}, {P("glptt-"), LONG, 20, 0},
        {P("glrt-"), LONG, 20, 0}, {P("glsa_"), ANY, 38, 0}, {P("glsoat-"), LONG, 20, 0},
        {P("gsk_"), ALNUM, 40, 0}, {P("hf_"), ALNUM, 30, 0}, {P("ico-"), ALNUM, 32, 32},
        {P("key-"), HEX, 32, 32}, {P("lin_api_"), ALNUM, 36, 0}, {P("lin_oauth_"), HEX, 40, 0},
        {P("live_"), LONG, 35, 0}, {P("lsv2_pt_"), ANY, 30, 0}, {P("lsv2_sk_"), ANY, 30, 0},
        {P("npm_"), ALNUM, 36, 0}, {P("ntn_"), ALNUM, 40, 0}, {P("nvapi-"), ANY, 50, 0},
        {P("ops_eyJ"), LONG, 100, 0}, {P("p8e-"), ALNUM, 32, 32}, {P("phc_"), ALNUM, 40, 0},
        {P("phx_"), ALNUM, 40, 0}, {P("pnu_"), ALNUM, 36, 0}, {P("pplx-"), ALNUM, 40, 0},
        {P("pscale_oauth_"), LONG, 32, 0}, {P("pscale_pw_"), LONG, 32, 0},
        {P("pscale_tkn_"), LONG, 32, 0}, {P("pubkey-"), HEX, 32, 32}, {P("pul-"), HEX, 40, 40},
        {P("pypi-AgE"), ANY, 50, 0}, {P("r8_"), ALNUM, 37, 0}, {P("rdme_"), ALNUM, 60, 0},
        {P("rk_live_"), ALNUM, 10, 0}, {P("rk_prod_"), ALNUM, 10, 0}, {P("rk_test_"), ALNUM, 10, 0},
        {P("rubygems_"), HEX, 48, 48}, {P("s-s4t2af-"), HEX, 64, 64}, {P("s-s4t2ud-"), HEX, 64, 64},
        {P("sbp_"), HEX, 40, 40}, {P("secret_"), ALNUM, 40, 48}, {P("sgp_"), ANY, 40, 0},
        {P("sha256~"), ANY, 43, 43}, {P("shippo_live_"), HEX, 40, 40},
        {P("shippo_test_"), HEX, 40, 40}, {P("shpat_"), HEX, 32, 32}, {P("shpca_"), HEX, 32, 32},
        {P("shppa_"), HEX, 32, 32}, {P("shpss_"), HEX, 32, 32}, {P("sk-"), ANY, 20, 0},
        {P("sk_"), ANY, 24, 0}, {P("sk_live_"), ALNUM, 10, 0}, {P("sk_prod_"), ALNUM, 10, 0},
        {P("sk_test_"), ALNUM, 10, 0}, {P("sm_aat_"), ALNUM, 16, 0}, {P("sm_pat_"), ALNUM, 16, 0},
        {P("sm_sat_"), ALNUM, 16, 0}, {P("sntrys_"), LONG, 60, 0}, {P("sntryu_"), HEX, 64, 64},
        {P("sq0atp-"), ANY, 22, 0}, {P("sq0csp-"), ANY, 22, 0}, {P("t1."), LONG, 80, 0},
        {P("test_"), HEX, 35, 35}, {P("test_pub_"), HEX, 31, 31}, {P("live_pub_"), HEX, 31, 31},
        {P("tfp_"), LONG, 50, 0}, {P("tgp_v1_"), ANY, 40, 0}, {P("tk-us-"), ANY, 48, 0},
        {P("v1.0-"), ANY, 160, 0}, {P("whsec_"), LONG, 20, 0}, {P("xai-"), ALNUM, 60, 0},
        {P("xapp-"), ANY, 20, 0}, {P("xkeysib-"), ANY, 70, 0}, {P("xox"), ANY, 10, 0},
        {P("xsmtpsib-"), ANY, 70, 0}, {P("ya29."), LONG, 30, 0}, {P("4b1d"), ALNUM, 38, 38}};
    #define PREFIXES ((int)(sizeof prefixes / sizeof prefixes[0]))
    /* What stands before a dot, after which the run begins. */
    static const struct { const char* text; unsigned short size, of, least, most; } dotted[] = {
        {P("hvs."), ANY, 80, 0}, {P("hvb."), ANY, 100, 0}, {P("hvr."), ANY, 80, 0},
        {P("dp.pt."), ALNUM, 40, 0}, {P("dp.st."), LONG, 40, 0}, {P("dp.ct."), ALNUM, 40, 0},
        {P("SG."), LONG, 50, 0}, {P("pat."), LONG, 60, 0}, {P("sat."), LONG, 60, 0},
        {P("pk."), LONG, 70, 0}, {P("sk."), LONG, 70, 0}, {P("sl."), LONG, 100, 0},
        {P("s."), ALNUM, 24, 24}};
    #define DOTTED_PREFIXES ((int)(sizeof dotted / sizeof dotted[0]))
    static short prefix_head[256], prefix_next[PREFIXES];

    static void index_prefixes(void) {
        for (int p = PREFIXES; p-- > 0;) {
            unsigned char first = (unsigned char)prefixes[p].text[0];
            prefix_next[p] = prefix_head[first];
            prefix_head[first] = (short)(p + 1);
        }
    }
    """
    ctypedef struct Prefix:
        const char* text
        Py_ssize_t size
        int of
        Py_ssize_t least
        Py_ssize_t most
    void index_prefixes() noexcept
    const Prefix* prefixes
    const Prefix* dotted
    const short* prefix_head
    const short* prefix_next
    int DOTTED_PREFIXES


cdef inline Py_ssize_t body_end(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t i, int what, Py_ssize_t least,
        Py_ssize_t most) noexcept nogil:
    """Return where a token's body ends that begins at i, -1 where it is none.

    It is as long as it must be, nothing of the kind goes on after it, and it is no example of one
    letter over and over.
    """
    cdef Py_ssize_t stop = min(n, i + (most if most else BODY_MOST)), end
    end = run_end(s, stop, i, what)
    while end > i and (s[end - 1] == 46 or s[end - 1] == 126 or s[end - 1] == 47):
        end -= 1                        # the full stop of a sentence, the end of a path
    if end - i < least or is_a(s, n, end, WORD):
        return -1
    return end if distinct(s, i, end) >= min(8, least // 3 + 1) else -1


cdef inline bint is_random(const uint8_t* s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Tell a key from words with dashes: three digits, or one digit and three capitals."""
    cdef int digits = count_of(s, begin, end, DIGIT)
    return digits > 2 or (digits > 0 and count_of(s, begin, end, UPPER) > 2)


cdef inline bint find_jwt(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t begin, Find* found) noexcept nogil:
    """Find a JSON Web Token or an encrypted one: parts in base64 that begin with `{"`, and dots."""
    cdef Py_ssize_t end = run_end(s, min(n, begin + BODY_MOST), begin, TOKEN), part
    cdef int parts
    if end - begin < 12 or end >= n or s[end] != 46:
        return False
    for parts in range(1, 5):
        part = end + 1
        if end >= n or s[end] != 46:
            break
        end = run_end(s, min(n, part + 4 * BODY_MOST), part, TOKEN)
        if parts == 1 and end - part < 8:
            return False
    if end < n and s[end] == 61:
        end = run_end(s, min(n, end + 2), end, DOTTED)
    if s[end - 1] == 46:
        end -= 1
    found.begin, found.end, found.kind = begin, end, JWT
    return True


cdef inline bint take_key(
        Py_ssize_t begin, Py_ssize_t end, Find* found) noexcept nogil:
    """Say that a key was found, if it was."""
    if end < 0:
        return False
    found.begin, found.end, found.kind = begin, end, API_KEY
    return True


cdef inline bint find_by_shape(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t w, Py_ssize_t end,
        Find* found) noexcept nogil:
    """Find tokens that are known by something else than how they begin."""
    cdef Py_ssize_t size = end - w, other
    if size == 40 and memcmp(s + end - 4, b"_mmk", 4) == 0 and s[w + 6] == 95:
        return take_key(w, end, found)                                      # MaxMind
    if 36 <= size <= 37 and memcmp(s + w + 32, b"-us", 3) == 0 \
            and run_end(s, n, w, HEX) == w + 32:
        return take_key(w, end, found)                                      # Mailchimp
    if size == 7 and w - 15 >= floor and s[w - 1] == 46 and memcmp(s + w, b"atlasv1", 7) == 0 \
            and end < n and s[end] == 46:
        other = run_end(s, min(n, end + 200), end + 1, DOTTED)              # Terraform
        if other - end > 50:
            return take_key(run_start(s, max(floor, w - 15), w - 1, WORD), other, found)
    if size > 4 and end + 1 < n and s[end] == 126 and s[end - 1] == 81 and w == end - 5 \
            and LETTERS[s[end - 2]] & DIGIT:
        other = run_end(s, min(n, end + 40), end + 1, DOTTED)               # Azure: abc8Q~...
        if other - end > 31:
            return take_key(w, other, found)
    if 15 <= size <= 16 and end < n and s[end] == 124 and run_end(s, n, w, DIGIT) == end:
        other = run_end(s, min(n, end + 42), end + 1, TOKEN)                # Facebook: id|token
        if other - end > 27 and not is_a(s, n, other, WORD):
            return take_key(w, other, found)
    if 5 <= size <= 16 and end + 1 < n and s[end] == 58 and s[end + 1] == 65 \
            and run_end(s, n, w, DIGIT) == end:
        other = run_end(s, min(n, end + 40), end + 1, TOKEN)                # Telegram: id:A...
        if 34 <= other - end - 1 <= 36:
            return take_key(w, other, found)
    return False


cdef inline Py_ssize_t find_token(
        const uint8_t* s, Py_ssize_t n, Py_ssize_t floor, Py_ssize_t i, Py_ssize_t* looked,
        Find* found) noexcept nogil:
    """Look at the run that holds byte i, once; return where it starts.

    `looked` is how far runs have been looked at: up to there nothing is looked at again.
    """
    cdef Py_ssize_t w, end, before
    cdef int p
    if i < looked[0]:
        return i
    w = run_start(s, max(floor, i - PREFIX_BACK), i, TOKEN)
    end = run_end(s, min(n, i + BODY_MOST), i, TOKEN)
    looked[0] = end
    if end - w < 12 and not (end + 1 < n and (
            LETTERS[s[end]] & DOTTED or s[end] == 124 or (s[end] == 58 and s[end + 1] == 65))):
        return w                                # too short, and nothing that belongs to it follows
    while w < i and s[w] == 45:
        w += 1                                  # the dashes of an option
    if w > floor and LETTERS[s[w - 1]] & WORD:
        return w                                # too long to see where it starts
    if s[w] == 101 and end - w > 11 and s[w + 1] == 121 and s[w + 2] == 74 \
            and find_jwt(s, n, w, found):
        return w
    p = prefix_head[s[w]]
    while p:
        before = prefixes[p - 1].size
        if w + before < n and memcmp(s + w, prefixes[p - 1].text, before) == 0 and take_key(
                w, body_end(s, n, w + before, prefixes[p - 1].of, prefixes[p - 1].least,
                            prefixes[p - 1].most), found):
            if before > 3 or (s[w] != 115 and s[w] != 120) or is_random(s, w + before, found.end):
                return w
            found.kind = NOTHING                # sk- and xox begin ordinary words too
        p = prefix_next[p - 1]
    if w > floor and s[w - 1] == 46:
        for p in range(DOTTED_PREFIXES):
            before = w - dotted[p].size
            if before >= floor and memcmp(s + before, dotted[p].text, dotted[p].size) == 0 \
                    and not (before > floor and LETTERS[s[before - 1]] & TOKEN) \
                    and take_key(before, body_end(s, n, w, dotted[p].of, dotted[p].least,
                                                  dotted[p].most), found):
                if is_random(s, w, found.end):
                    return w
                found.kind = NOTHING
    find_by_shape(s, n, floor, w, end, found)
    return w
