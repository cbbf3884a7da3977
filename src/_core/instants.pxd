# cython: cdivision=True
"""Time in whole microseconds since 1970 UTC: from datetimes and epoch numbers, and back.

The calendar is Howard Hinnant's "chrono-compatible low-level date algorithms" (days_from_civil,
civil_from_days): years begin in March, eras are 400 years.  A module that cimports this calls
`cpython.datetime.import_datetime()` first.
"""
from cpython.datetime cimport datetime_new
from libc.math cimport floor
from libc.stdint cimport int64_t

from sentinel._core.slots cimport (
    BAD_TIME, FINE, WRONG_TYPE, PyFloat_AS_DOUBLE, PyFloat_CheckExact, PyLong_AsLongLongAndOverflow,
    PyLong_CheckExact, PyObject)

cdef extern from "datetime.h":
    bint PyDateTime_Check(PyObject* value)
    bint PyDateTime_CheckExact(PyObject* value)
    int PyDateTime_GET_YEAR(PyObject* value)
    int PyDateTime_GET_MONTH(PyObject* value)
    int PyDateTime_GET_DAY(PyObject* value)
    int PyDateTime_DATE_GET_HOUR(PyObject* value)
    int PyDateTime_DATE_GET_MINUTE(PyObject* value)
    int PyDateTime_DATE_GET_SECOND(PyObject* value)
    int PyDateTime_DATE_GET_MICROSECOND(PyObject* value)
    PyObject* PyDateTime_DATE_GET_TZINFO(PyObject* value)
    int PyDateTime_DELTA_GET_DAYS(PyObject* value)
    int PyDateTime_DELTA_GET_SECONDS(PyObject* value)
    int PyDateTime_DELTA_GET_MICROSECONDS(PyObject* value)
    PyObject* PyDateTime_TimeZone_UTC

cdef extern from *:
    """
    #define MICROSECONDS_END 7258118400000000LL      /* 2200-01-01 */
    """
    const int64_t MICROSECONDS_END


cdef inline int read_instant(PyObject* when, int64_t* out) except -1:
    """Read a datetime in whole microseconds since 1970; a naive one is a fault."""
    cdef PyObject* zone = PyDateTime_DATE_GET_TZINFO(when)
    cdef int64_t year = PyDateTime_GET_YEAR(when), month = PyDateTime_GET_MONTH(when)
    cdef int64_t era, day, offset = 0
    cdef object shift
    year -= month <= 2
    era = year // 400
    day = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + PyDateTime_GET_DAY(when) - 1
    year -= era * 400
    day = era * 146097 + year * 365 + year // 4 - year // 100 + day - 719468
    if zone != PyDateTime_TimeZone_UTC:
        shift = (<object>when).utcoffset()
        if shift is None:
            return BAD_TIME
        offset = PyDateTime_DELTA_GET_DAYS(<PyObject*>shift) * <int64_t>86400
        offset = (offset + PyDateTime_DELTA_GET_SECONDS(<PyObject*>shift)) * 1000000
        offset += PyDateTime_DELTA_GET_MICROSECONDS(<PyObject*>shift)
    out[0] = (((day * 24 + PyDateTime_DATE_GET_HOUR(when)) * 60
               + PyDateTime_DATE_GET_MINUTE(when)) * 60
              + PyDateTime_DATE_GET_SECOND(when)) * 1000000 \
        + PyDateTime_DATE_GET_MICROSECOND(when) - offset
    return FINE if 0 <= out[0] < MICROSECONDS_END else BAD_TIME


cdef inline int read_epoch(PyObject* when, int64_t* out) except -1:
    """Read an epoch number: below 1e11 s, 1e14 ms, 1e17 us, else ns; a float to the nearest us."""
    cdef int overflow = 0
    cdef long long whole
    cdef double x
    if PyFloat_CheckExact(when):
        x = PyFloat_AS_DOUBLE(when)
        x *= 1e6 if x < 1e11 else (1e3 if x < 1e14 else (1.0 if x < 1e17 else 1e-3))
        if not 0 <= x < <double>MICROSECONDS_END - 1:
            return BAD_TIME
        out[0] = <int64_t>floor(x + 0.5)
        return FINE
    if not PyLong_CheckExact(when):
        return WRONG_TYPE
    whole = PyLong_AsLongLongAndOverflow(when, &overflow)
    if overflow or whole < 0:
        return BAD_TIME
    if whole < 100000000000:
        whole *= 1000000
    elif whole < 100000000000000:
        whole *= 1000
    elif whole >= 100000000000000000:
        whole //= 1000
    out[0] = whole
    return FINE if whole < MICROSECONDS_END else BAD_TIME


cdef inline object instant_of(int64_t time):
    """Return 0 <= microseconds < MICROSECONDS_END as a datetime in UTC."""
    cdef int64_t second = time // 1000000, day = second // 86400 + 719468
    cdef int64_t era = day // 146097, of_era, of_year, year, month
    second %= 86400
    of_era = day - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return datetime_new(<int>(year + era * 400 + (month <= 2)), <int>month, <int>day,
                        <int>(second // 3600), <int>(second // 60 % 60), <int>(second % 60),
                        <int>(time % 1000000), <object>PyDateTime_TimeZone_UTC)
