# cython: cdivision=True
"""Python values from what attributes said: numbers as they came, costs, errors."""
from libc.math cimport floor, fabs, isfinite
from libc.stdint cimport uint64_t

from sentinel._core.otlp_calls cimport STATUS_ERROR, STATUS_OK, Call
from sentinel._core.otlp_found cimport (
    COST, COST_AMOUNT, COST_COMPLETION, COST_CURRENCY, COST_PROMPT, ERROR_TYPE, EXCEPTION_MESSAGE,
    EXCEPTION_TYPE, IS_BOOL, IS_REAL, IS_WHOLE, LEVEL, LEVEL_MESSAGE, Found, Value, equals, has)
from sentinel._core.otlp_text cimport text_of


cdef inline object object_of(const Value* value):
    """Return a value as Python has it; a list counts as its first text."""
    if value.kind == IS_WHOLE:
        return value.whole
    if value.kind == IS_REAL:
        return value.real
    if value.kind == IS_BOOL:
        return value.whole != 0
    return text_of(value.text)


cdef inline object count_of(const Found* found, int target):
    """Return a count, None where nothing was said.

    Some languages know doubles only, so a whole one is taken; one with a fraction becomes a text,
    which intake refuses as being of the wrong type.
    """
    cdef const Value* value = &found.values[target]
    if not has(found, target):
        return None
    if value.kind == IS_REAL and isfinite(value.real):
        if value.real == floor(value.real):
            return int(value.real)
        return str(value.real)
    return object_of(value)


cdef inline object quantity_of(const Found* found, int target):
    """Return a number as a float; what is no number as it came."""
    if found.values[target].kind == IS_WHOLE:
        return <double>found.values[target].whole
    return object_of(&found.values[target])


cdef inline object milliseconds_between(uint64_t start, uint64_t end):
    """Return the milliseconds from one time to another, negative where they are the wrong way."""
    if end >= start:
        return <double>(end - start) / 1e6
    return -(<double>(start - end) / 1e6)


cdef inline object cost_of(const Found* found):
    """Return the cost in US dollars, None where it is not told, or in another currency."""
    if has(found, COST_AMOUNT) and (
            not has(found, COST_CURRENCY) or equals(found.values[COST_CURRENCY].text, b"USD", 3)):
        return quantity_of(found, COST_AMOUNT)
    if has(found, COST):
        return quantity_of(found, COST)
    total = None
    for target in (COST_PROMPT, COST_COMPLETION):
        if has(found, target):
            part = quantity_of(found, target)
            if type(part) is not float:
                return part
            total = part if total is None else total + part
    return total


cdef inline object errors_of(const Call* call, const Found* found):
    """Return why a call failed as one text, from which intake makes a class; None: it did not."""
    cdef bint says_so = has(found, ERROR_TYPE) or (
        has(found, LEVEL) and equals(found.values[LEVEL].text, b"ERROR", 5))
    if call.status != STATUS_ERROR and (call.status == STATUS_OK or not says_so):
        return None
    parts = []
    for target in (ERROR_TYPE, EXCEPTION_TYPE, EXCEPTION_MESSAGE, LEVEL_MESSAGE):
        if has(found, target):
            parts.append(text_of(found.values[target].text))
    if call.message.end > call.message.at:
        parts.append(text_of(call.message))
    return [": ".join(parts) or "error"]
