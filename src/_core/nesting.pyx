# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How deep JSON is nested and how many lines hold something, without decoding it."""
from libc.stdint cimport uint8_t


def count_lines(bytes body not None, Py_ssize_t max_bytes, Py_ssize_t max_depth):
    """Return how many lines hold something, -1 where one is long, deep or not `{...}`."""
    cdef const uint8_t* text = body
    cdef Py_ssize_t n = len(body)
    with nogil:
        n = count_lines_of(text, n, max_bytes, max_depth)
    return n


def depth(bytes text not None):
    """Return the deepest nesting of brackets outside strings."""
    return depth_of(text, len(text))
