"""OTLP in JSON, written anew as protobuf: as much of it as the core reads.

Field names are in lowerCamelCase, ids in hexadecimal, whole numbers of 64 bits as text or number,
enumerations as numbers; what is not known is passed over, and null is absent.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import struct
from typing import Any, Final

import msgspec
from msgspec import Struct

from sentinel._core.nesting import depth
from sentinel.intake.decode import BAD_BYTES
from sentinel.model.batch import Rejection

DEPTH_MAX: Final = 200
"""Brackets within one another: two for each of the 100 messages that protobuf allows."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STATUS_NAMES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


class _Json(Struct, rename="camel", gc=False):
    """A message of OTLP."""


class _AnyValue(_Json):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: "_ArrayValue | None" = None
    kvlist_value: "_KeyValueList | None" = None
    bytes_value: str | None = None


class _KeyValue(_Json):
    key: str | None = None
    value: _AnyValue | None = None


class _ArrayValue(_Json):
    values: list[_AnyValue] | None = None


class _KeyValueList(_Json):
    values: list[_KeyValue] | None = None


class _Resource(_Json):
    attributes: list[_KeyValue] | None = None


class _Moment(_Json):
    """An event of a span."""

    time_unix_nano: int | str | None = None
    name: str | None = None
    attributes: list[_KeyValue] | None = None


class _Status(_Json):
    message: str | None = None
    code: int | str | None = None


class _Span(_Json):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[_KeyValue] | None = None
    events: list[_Moment] | None = None
    status: _Status | None = None


class _LogRecord(_Json):
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    attributes: list[_KeyValue] | None = None
    flags: int | None = None
    trace_id: str | None = None
    span_id: str | None = None


class _Points(_Json):
    data_points: list[dict[str, Any]] | None = None


class _Metric(_Json):
    name: str | None = None
    gauge: _Points | None = None
    sum: _Points | None = None
    histogram: _Points | None = None
    exponential_histogram: _Points | None = None
    summary: _Points | None = None


class _Scope(_Json):
    spans: list[_Span] | None = None
    log_records: list[_LogRecord] | None = None
    metrics: list[_Metric] | None = None


class _Group(_Json):
    resource: _Resource | None = None
    scope_spans: list[_Scope] | None = None
    scope_logs: list[_Scope] | None = None
    scope_metrics: list[_Scope] | None = None


class _Request(_Json):
    resource_spans: list[_Group] | None = None
    resource_logs: list[_Group] | None = None
    resource_metrics: list[_Group] | None = None


_decoder: Final = msgspec.json.Decoder(_Request)


def protobuf_of(signal: str, body: bytes) -> bytes | Rejection:
    """Return a request in JSON as protobuf, or say why not: `not_json`, `too_deep`."""
    if depth(body) > DEPTH_MAX:
        return Rejection("too_deep", 0, "$", f"nested deeper than {DEPTH_MAX}")
    try:
        str(body, "utf-8")
        request = _decoder.decode(body)
        groups = {
            "traces": request.resource_spans,
            "logs": request.resource_logs,
            "metrics": request.resource_metrics,
        }[signal]
        return b"".join(_message(1, _group(group)) for group in groups or ())
    except (*BAD_BYTES, struct.error):
        return Rejection("not_json", 0, "$", f"no OTLP request of {signal} in JSON")


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _text(number: int, text: str | None) -> bytes:
    return b"" if text is None else _message(number, text.encode())


def _id(number: int, digits: str | None) -> bytes:
    return b"" if digits is None else _message(number, bytes.fromhex(digits))


def _fixed64(number: int, value: int | str | None) -> bytes:
    if value is None:
        return b""
    return bytes((number << 3 | _FIXED64,)) + struct.pack("<Q", int(value))


def _group(group: _Group) -> bytes:
    resource = b"" if group.resource is None else _attributes(1, group.resource.attributes)
    scopes = group.scope_spans or group.scope_logs or group.scope_metrics or ()
    return _message(1, resource) + b"".join(_message(2, _scope(scope)) for scope in scopes)


def _scope(scope: _Scope) -> bytes:
    return b"".join(
        [_message(2, _span(span)) for span in scope.spans or ()]
        + [_message(2, _record(record)) for record in scope.log_records or ()]
        + [_message(2, _metric(metric)) for metric in scope.metrics or ()]
    )


def _span(span: _Span) -> bytes:
    return b"".join(
        (
            _id(1, span.trace_id),
            _id(2, span.span_id),
            _text(3, span.trace_state),
            _fixed64(7, span.start_time_unix_nano),
            _fixed64(8, span.end_time_unix_nano),
            _attributes(9, span.attributes),
            *(_message(11, _moment(moment)) for moment in span.events or ()),
            b"" if span.status is None else _message(15, _status(span.status)),
        )
    )


def _moment(moment: _Moment) -> bytes:
    return (
        _fixed64(1, moment.time_unix_nano)
        + _text(2, moment.name)
        + _attributes(3, moment.attributes)
    )


def _status(status: _Status) -> bytes:
    code = status.code
    if isinstance(code, str):
        code = _STATUS_NAMES[code] if code in _STATUS_NAMES else int(code)
    return _text(2, status.message) + (b"" if code is None else b"\x18" + _int64(code))


def _record(record: _LogRecord) -> bytes:
    flags = b"" if record.flags is None else b"\x45" + struct.pack("<I", record.flags)
    return b"".join(
        (
            _fixed64(1, record.time_unix_nano),
            _fixed64(11, record.observed_time_unix_nano),
            _attributes(6, record.attributes),
            flags,
            _id(9, record.trace_id),
            _id(10, record.span_id),
        )
    )


def _metric(metric: _Metric) -> bytes:
    """Write name and number of data points: nothing else is read."""
    kinds = (
        (5, metric.gauge),
        (7, metric.sum),
        (9, metric.histogram),
        (10, metric.exponential_histogram),
        (11, metric.summary),
    )
    return _text(1, metric.name) + b"".join(
        _message(number, _message(1, b"") * len(points.data_points or ()))
        for number, points in kinds
        if points is not None
    )


def _attributes(number: int, pairs: list[_KeyValue] | None) -> bytes:
    return b"".join(_message(number, _pair(pair)) for pair in pairs or ())


def _pair(pair: _KeyValue) -> bytes:
    value = b"" if pair.value is None else _message(2, _value(pair.value))
    return _text(1, pair.key) + value


def _int64(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise OverflowError("beyond 64 bits")
    return _varint(value & 2**64 - 1)


def _value(value: _AnyValue) -> bytes:
    """Write a value; exactly one of its fields is set."""
    if value.string_value is not None:
        return _text(1, value.string_value)
    if value.int_value is not None:
        return b"\x18" + _int64(int(value.int_value))
    if value.double_value is not None:
        return b"\x21" + struct.pack("<d", float(value.double_value))
    if value.bool_value is not None:
        return b"\x10" + _varint(int(value.bool_value))
    if value.array_value is not None:
        inside = b"".join(_message(1, _value(item)) for item in value.array_value.values or ())
        return _message(5, inside)
    if value.kvlist_value is not None:
        return _message(6, _attributes(1, value.kvlist_value.values))
    if value.bytes_value is not None:
        return _message(7, b"")  # nothing is read of it
    return b""
