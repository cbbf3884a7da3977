# cython: cdivision=True
"""SipHash-2-4 (Aumasson, Bernstein, 2012): a keyed hash that is fast on short texts."""
from libc.stdint cimport uint8_t, uint64_t


cdef inline uint64_t turned(uint64_t x, int bits) noexcept nogil:
    """Return x rotated to the left."""
    return (x << bits) | (x >> (64 - bits))


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    """Mix the four words once."""
    v[0] += v[1]
    v[2] += v[3]
    v[1] = turned(v[1], 13) ^ v[0]
    v[3] = turned(v[3], 16) ^ v[2]
    v[0] = turned(v[0], 32) + v[3]
    v[2] += v[1]
    v[3] = turned(v[3], 21) ^ v[0]
    v[1] = turned(v[1], 17) ^ v[2]
    v[2] = turned(v[2], 32)


cdef inline uint64_t siphash(
        const uint64_t* key, const uint8_t* text, Py_ssize_t n) noexcept nogil:
    """Return the hash of n bytes under a key of two words; 0 bytes have one too."""
    cdef uint64_t v[4]
    cdef uint64_t word = 0
    cdef Py_ssize_t i
    v[0] = key[0] ^ <uint64_t>0x736f6d6570736575
    v[1] = key[1] ^ <uint64_t>0x646f72616e646f6d
    v[2] = key[0] ^ <uint64_t>0x6c7967656e657261
    v[3] = key[1] ^ <uint64_t>0x7465646279746573
    for i in range(n):
        word |= <uint64_t>text[i] << 8 * (i & 7)
        if i & 7 == 7:
            v[3] ^= word
            sip_round(v)
            sip_round(v)
            v[0] ^= word
            word = 0
    word |= <uint64_t>(n & 255) << 56
    v[3] ^= word
    sip_round(v)
    sip_round(v)
    v[0] ^= word
    v[2] ^= 255
    for _ in range(4):
        sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
