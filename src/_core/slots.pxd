"""The fields of a Struct, read straight from their slots.

A Struct keeps each field as one object pointer at the offset that its member descriptor names, so
an attribute costs one load and no call.  What is read is borrowed.  Everything that touches a
reference count needs the GIL; the rest is nogil.
"""
from libc.math cimport NAN, isfinite, signbit
from libc.stdint cimport uint8_t, uint64_t

cdef extern from "structmember.h":
    ctypedef struct PyMemberDef:
        int type
        Py_ssize_t offset
    int T_OBJECT
    int T_OBJECT_EX

cdef extern from "Python.h":
    ctypedef struct PyObject:
        pass
    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member
    ctypedef struct PyTypeObject:
        pass
    PyTypeObject PyMemberDescr_Type
    PyTypeObject* Py_TYPE(PyObject* value) nogil
    PyObject* Py_None
    void Py_INCREF(PyObject* value)
    void Py_DECREF(PyObject* value)
    void Py_XDECREF(PyObject* value)
    PyObject* PyErr_Occurred()
    void PyErr_Clear()
    bint PyFloat_CheckExact(PyObject* value) nogil
    double PyFloat_AS_DOUBLE(PyObject* value) nogil
    bint PyBool_Check(PyObject* value) nogil
    bint PyLong_CheckExact(PyObject* value) nogil
    double PyLong_AsDouble(PyObject* value)
    long long PyLong_AsLongLongAndOverflow(PyObject* value, int* overflow)
    long PyLong_AsLong(PyObject* value)
    bint PyUnicode_CheckExact(PyObject* value) nogil
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject* value) nogil
    int PyUnicode_KIND(PyObject* value) nogil
    void* PyUnicode_DATA(PyObject* value) nogil
    unsigned int PyUnicode_READ(int kind, void* data, Py_ssize_t index) nogil
    bint PyList_CheckExact(PyObject* value) nogil
    Py_ssize_t PyList_GET_SIZE(PyObject* value) nogil
    PyObject* PyList_GET_ITEM(PyObject* value, Py_ssize_t index) nogil
    PyObject* PyTuple_GET_ITEM(PyObject* value, Py_ssize_t index) nogil
    bint PyDict_CheckExact(PyObject* value) nogil
    Py_ssize_t PyDict_GET_SIZE(PyObject* value) nogil
    PyObject* PyDict_GetItemWithError(PyObject* table, PyObject* key)
    int PyDict_DelItem(PyObject* table, PyObject* key) except -1
    bint PyDict_Next(PyObject* table, Py_ssize_t* at, PyObject** key, PyObject** value)
cdef extern from *:
    """
    #define COUNT_LIMIT 9007199254740992.0           /* 2^53 */
    /* The value of a hexadecimal digit, with a bit for capitals and one for all other bytes. */
    #define CAPITAL 16
    #define NO_DIGIT 32
    static const unsigned char DIGITS[256] = {
        [0 ... 255] = NO_DIGIT,
        ['0'] = 0, ['1'] = 1, ['2'] = 2, ['3'] = 3, ['4'] = 4,
        ['5'] = 5, ['6'] = 6, ['7'] = 7, ['8'] = 8, ['9'] = 9,
        ['a'] = 10, ['b'] = 11, ['c'] = 12, ['d'] = 13, ['e'] = 14, ['f'] = 15,
        ['A'] = CAPITAL | 10, ['B'] = CAPITAL | 11, ['C'] = CAPITAL | 12,
        ['D'] = CAPITAL | 13, ['E'] = CAPITAL | 14, ['F'] = CAPITAL | 15};
    """
    const double COUNT_LIMIT
    const int CAPITAL, NO_DIGIT
    const uint8_t* DIGITS

cdef enum:
    # Kinds of fault, in the order of columns.FAULTS.
    FINE, MISSING_FIELD, WRONG_TYPE, BAD_NAME, BAD_TIME, NO_TIME, TOO_LARGE, BAD_NUMBER, NEGATIVE
    NAME_BYTES_MAX = 256


cdef inline int resolve(object struct, tuple fields, Py_ssize_t* offsets) except -1:
    """Write down the slot offset of each field; TypeError where a field is no plain slot."""
    cdef PyObject* member
    for i, name in enumerate(fields):
        descriptor = getattr(struct, name, None)
        member = <PyObject*>descriptor
        if <PyObject*>Py_TYPE(member) != <PyObject*>&PyMemberDescr_Type:
            raise TypeError(f"{struct.__name__}.{name} is no member descriptor")
        offsets[<Py_ssize_t>i] = (<PyMemberDescrObject*>member).d_member.offset
    return 0


cdef inline PyObject* slot(PyObject* thing, Py_ssize_t at) noexcept nogil:
    """Return what a slot holds, borrowed; NULL where it is None or unset."""
    cdef PyObject* value = (<PyObject**>(<char*>thing + at))[0]
    return NULL if value == Py_None else value


cdef inline void put(PyObject* thing, Py_ssize_t at, PyObject* value) noexcept:
    """Put a value into a slot, which takes a reference of its own.

    Needs the GIL, and cannot fail.
    """
    cdef PyObject** place = <PyObject**>(<char*>thing + at)
    cdef PyObject* old = place[0]
    Py_INCREF(value)
    place[0] = value
    Py_XDECREF(old)


cdef inline int put_zero(PyObject* thing, Py_ssize_t at) except -1:
    """Put 0.0 into a slot."""
    cdef object zero = 0.0
    put(thing, at, <PyObject*>zero)
    return 0


cdef inline void move(PyObject* source, Py_ssize_t at, PyObject* target, Py_ssize_t to) noexcept:
    """Move a value to where nothing is yet; what is there already wins, and the source goes.

    Needs the GIL, and cannot fail.
    """
    cdef PyObject* value = slot(source, at)
    if value != NULL and slot(target, to) == NULL:
        put(target, to, value)
    put(source, at, Py_None)


cdef inline bint is_good_name(PyObject* text) noexcept nogil:
    """Tell whether an exact str is fit for a name: 1 to 256 bytes, no controls, no surrogates."""
    cdef Py_ssize_t i, n = PyUnicode_GET_LENGTH(text), size = n
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef unsigned int c
    if n == 0 or n > NAME_BYTES_MAX:
        return False
    for i in range(n):
        c = PyUnicode_READ(kind, data, i)
        if c < 0x20 or 0x7F <= c < 0xA0 or 0xD800 <= c < 0xE000:
            return False
        size += (c >= 0x80) + (c >= 0x800) + (c >= 0x10000)
    return size <= NAME_BYTES_MAX


cdef inline int name_fault(PyObject* text) noexcept nogil:
    """Return the kind of fault of an optional name."""
    if text == NULL:
        return FINE
    if not PyUnicode_CheckExact(text):
        return WRONG_TYPE
    return FINE if is_good_name(text) else BAD_NAME


cdef inline int read_number(PyObject* thing, Py_ssize_t at, double* out) except -1:
    """Read one number, NaN where absent; -0.0 becomes 0.0 in the slot too."""
    cdef PyObject* value = slot(thing, at)
    cdef double x
    out[0] = NAN
    if value == NULL:
        return FINE
    if PyFloat_CheckExact(value):
        x = PyFloat_AS_DOUBLE(value)
        if not isfinite(x):
            return BAD_NUMBER
        if x == 0 and signbit(x):
            x = 0.0
            put_zero(thing, at)
    elif PyLong_CheckExact(value):
        x = PyLong_AsDouble(value)
        if x == -1.0 and PyErr_Occurred() != NULL:
            PyErr_Clear()               # beyond the range of a double
            return TOO_LARGE
    else:
        return WRONG_TYPE
    if x < 0:
        return NEGATIVE
    if x > COUNT_LIMIT:
        return TOO_LARGE
    out[0] = x
    return FINE


cdef inline int read_uuid(PyObject* text, uint64_t* high, uint64_t* low) noexcept nogil:
    """Read 8-4-4-4-12 hexadecimal digits; 0 for any other text.

    1: in the usual form, which has small letters only; 2: with capitals.
    """
    cdef const uint8_t* c = <const uint8_t*>PyUnicode_DATA(text)
    cdef int[6] parts = [0, 9, 14, 19, 24, 37]
    cdef uint64_t bits[2]
    cdef int part, i, seen = 0, nibble = 0
    if PyUnicode_GET_LENGTH(text) != 36 or PyUnicode_KIND(text) != 1:
        return 0
    if c[8] != 45 or c[13] != 45 or c[18] != 45 or c[23] != 45:
        return 0
    bits[0] = bits[1] = 0
    for part in range(5):
        for i in range(parts[part], parts[part + 1] - 1):
            seen |= DIGITS[c[i]]
            bits[nibble >> 4] = (bits[nibble >> 4] << 4) | <uint64_t>(DIGITS[c[i]] & 15)
            nibble += 1
    high[0] = bits[0]
    low[0] = bits[1]
    if seen & NO_DIGIT:
        return 0
    return 2 if seen & CAPITAL else 1


cdef inline int read_text(PyObject* side, const Py_ssize_t* at, double* tokens) except -1:
    """Read the tokens of a prompt or response; check its text and length.  NULL: all absent.

    `at` begins with the offsets of text, length and tokens.  Returns `kind * 64 + which of these`.
    """
    cdef double length
    cdef PyObject* text
    cdef int kind
    tokens[0] = NAN
    if side == NULL:
        return FINE
    text = slot(side, at[0])
    if text != NULL and not PyUnicode_CheckExact(text):
        return WRONG_TYPE * 64
    kind = read_number(side, at[1], &length)
    if kind != FINE:
        return kind * 64 + 1
    kind = read_number(side, at[2], tokens)
    return FINE if kind == FINE else kind * 64 + 2


cdef inline bint hide_text(PyObject* side, const Py_ssize_t* at, bint keep) except -1:
    """Note the length of a prompt or response in characters, and take its text out.

    A length that is there already stays: of a text that was redacted or cut it tells the whole.
    With `keep` a text stays, and the answer is False; of an empty one its length says all.
    """
    cdef PyObject* text
    if side == NULL:
        return True
    text = slot(side, at[0])
    if text == NULL:
        return True
    if slot(side, at[1]) == NULL:
        length = PyUnicode_GET_LENGTH(text) if PyUnicode_CheckExact(text) else 0
        size = <object>length
        put(side, at[1], <PyObject*>size)
    keep = keep and not (PyUnicode_CheckExact(text) and PyUnicode_GET_LENGTH(text) == 0)
    if not keep:
        put(side, at[0], Py_None)
    return not keep


cdef inline bint hide_id(PyObject* event, Py_ssize_t at, PyObject* known) except -1:
    """Put the pseudonym of an id in its place; False where the table does not have it."""
    cdef PyObject* value = slot(event, at)
    cdef PyObject* pseudonym
    if value == NULL:
        return True
    # True and 1.0 are equal to 1, so only exact types are looked up.
    if not (PyUnicode_CheckExact(value) or PyLong_CheckExact(value)):
        return False
    pseudonym = PyDict_GetItemWithError(known, value)
    if pseudonym == NULL:
        return False
    put(event, at, pseudonym)
    return True


cdef inline int scalar_fault(PyObject* table) except -1:
    """Return the kind of fault of a dict that is to hold text to finite JSON scalars in int64."""
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef Py_ssize_t at = 0
    cdef int overflow = 0
    while PyDict_Next(table, &at, &key, &value):
        if not PyUnicode_CheckExact(key):
            return WRONG_TYPE
        if value == Py_None or PyUnicode_CheckExact(value) or PyBool_Check(value):
            continue
        if PyFloat_CheckExact(value):
            if not isfinite(PyFloat_AS_DOUBLE(value)):
                return BAD_NUMBER
        elif PyLong_CheckExact(value):
            PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow != 0:
                return TOO_LARGE
        else:
            return WRONG_TYPE
    return FINE


cdef inline int read_errors(PyObject* errors, double* share) noexcept nogil:
    """Read a list of error texts as 1.0, an empty or absent one as 0.0."""
    cdef Py_ssize_t i
    share[0] = 0.0
    if errors == NULL:
        return FINE
    if not PyList_CheckExact(errors):
        return WRONG_TYPE
    for i in range(PyList_GET_SIZE(errors)):
        share[0] = 1.0
        if not PyUnicode_CheckExact(PyList_GET_ITEM(errors, i)):
            return WRONG_TYPE
    return FINE
