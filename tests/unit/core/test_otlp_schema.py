"""What is an OTLP request and what is none, beside the official parser and its descriptors."""

import random

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sentinel._core.otlp_schema import SCHEMA, is_request

REQUESTS = (ExportTraceServiceRequest, ExportLogsServiceRequest, ExportMetricsServiceRequest)
PACKED = {
    FieldDescriptor.TYPE_FIXED64: "packed_fixed64",
    FieldDescriptor.TYPE_DOUBLE: "packed_fixed64",
    FieldDescriptor.TYPE_UINT64: "packed_varint",
}


def looked_at(field: FieldDescriptor) -> str | None:
    """Return what of a field must be looked at."""
    if field.message_type is not None:
        name: str = field.message_type.name
        return name
    if field.type == FieldDescriptor.TYPE_STRING:
        return "text"
    return PACKED[field.type] if field.is_repeated else None


def messages_of(message: Descriptor, found: dict[str, dict[int, str]]) -> dict[str, dict[int, str]]:
    if message.name not in found:
        kinds = {field.number: looked_at(field) for field in message.fields}
        found[message.name] = {number: kind for number, kind in kinds.items() if kind is not None}
        for field in message.fields:
            if field.message_type is not None:
                messages_of(field.message_type, found)
    return found


def test_the_schema_is_that_of_the_official_messages() -> None:
    official: dict[str, dict[int, str]] = {}
    for request in REQUESTS:
        messages_of(request.DESCRIPTOR, official)
    assert official == SCHEMA


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def within(*numbers: int, inside: bytes) -> bytes:
    """Return a message in fields of these numbers, the first the outermost."""
    for number in reversed(numbers):
        inside = varint(number << 3 | 2) + varint(len(inside)) + inside
    return inside


def nested(levels: int, number: int = 5) -> bytes:
    """Return lists (5) or tables (6) within one another, as the value of an attribute of a span."""
    inside = b""
    for _ in range(levels):
        inside = within(*((5, 1) if number == 5 else (6, 1, 2)), inside=inside)
    return within(1, 2, 2, 9, 2, inside=inside)


def in_status(content: bytes) -> bytes:
    return within(1, 2, 2, 15, inside=content)


ODD = {
    "nothing": b"",
    "a varint of ten bytes beyond 64 bits": in_status(b"\x18" + b"\xff" * 9 + b"\x7f"),
    "a varint of eleven bytes": in_status(b"\x18" + b"\x80" * 10 + b"\x01"),
    "a length that is longer than it must be": in_status(b"\x12\x81\x80\x80\x80\x00a"),
    "a length of six bytes": in_status(b"\x12\x81\x80\x80\x80\x80\x00a"),
    "a length beyond 31 bits": in_status(b"\x12\x81\x80\x80\x80\x10a"),
    "a length beyond the end": in_status(b"\x12\x02a"),
    "a tag of five bytes": in_status(b"\x98\x80\x80\x80\x00\x02"),
    "a tag of six bytes": in_status(b"\x98\x80\x80\x80\x80\x00\x02"),
    "a tag beyond 32 bits": in_status(b"\x98\x80\x80\x80\x10\x02"),
    "field 0": in_status(b"\x00\x02"),
    "a group that is field 0": in_status(b"\x03\x04"),
    "field 0 in a group": in_status(b"\x53\x02\x00\x54"),
    "a group that is field 0 in a group": in_status(b"\x53\x03\x04\x54"),
    "the end of field 0 in a group": in_status(b"\x53\x04\x54\x54"),
    "the end of a group": in_status(b"\x1c"),
    "a group": in_status(b"\x53\x54"),
    "a group with a field": in_status(b"\x53\x08\x01\x54"),
    "a group with a cut field": in_status(b"\x53\x0a\x05\x54"),
    "a group closed by another": in_status(b"\x53\x5c"),
    "a group without end": in_status(b"\x53"),
    "wire type 6": in_status(b"\x56"),
    "wire type 7": in_status(b"\x57"),
    "a cut fixed64": within(1, 2, 2, inside=b"\x39\x00"),
    "a cut fixed32": within(1, 2, 2, inside=b"\x85\x01\x00"),
    "another wire type than expected": in_status(b"\x10\x01"),
    "a request in a varint": b"\x08\x01",
    "a packed list": within(1, 2, 2, 9, 1, 6, inside=bytes(16)),
    "a packed list cut short": within(1, 2, 2, 9, 1, 6, inside=bytes(15)),
    "a packed list and a half": within(1, 2, 2, 9, 1, 6, inside=bytes(12)),
    "packed varints": within(1, 2, 2, 10, 1, 8, 2, inside=b"\x01\xac\x02"),
    "packed varints cut short": within(1, 2, 2, 10, 1, 8, 2, inside=b"\x01\xac"),
    **{f"{n} groups in one another": in_status(b"\x53" * n + b"\x54" * n) for n in (95, 96, 97)},
    **{f"{n} lists in one another": nested(n) for n in (46, 47, 48, 49)},
    **{f"{n} tables in one another": nested(n, 6) for n in (30, 31, 32, 33)},
    "100,000 groups in one another": in_status(b"\x53" * 100_000),
    "100,000 lists in one another": within(1, 2, 2, 9, 2, inside=b"\x2a\x0a" * 50_000),
}
UTF8 = {
    "ascii": b"plain text of more than eight bytes",
    "two": "é".encode(),
    "three": "€".encode(),
    "four": "\U0001f600".encode(),
    "last": "\U0010ffff".encode(),
    "zero": b"\0",
    "overlong": b"\xc0\xaf",
    "overlong of three": b"\xe0\x80\xaf",
    "overlong of four": b"\xf0\x80\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "too large": b"\xf4\x90\x80\x80",
    "continuation": b"\x80",
    "cut": b"long enough \xe2\x82",
    "not continued": b"\xe2\x28\xa1",
    "fe": b"\xfe",
}


def is_taken(message: int, body: bytes) -> bool:
    try:
        REQUESTS[message].FromString(body)
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("name", ODD)
def test_odd_bytes_are_taken_where_the_official_parser_takes_them(name: str) -> None:
    for message in range(3):
        assert is_request(message, ODD[name]) == is_taken(message, ODD[name])


def test_both_answers_occur_among_the_odd_bytes() -> None:
    taken = {is_request(0, body) for body in ODD.values()}
    assert taken == {True, False}


@pytest.mark.parametrize("name", UTF8)
def test_texts_are_utf_8_where_the_official_parser_says_so(name: str) -> None:
    for text in (UTF8[name], b"1234567" + UTF8[name], UTF8[name] + b"12345678"):
        assert is_request(0, in_status(within(2, inside=text))) == is_taken(
            0, in_status(within(2, inside=text))
        )


def test_texts_of_random_bytes_are_utf_8_where_python_says_so() -> None:
    chance = random.Random(8)
    starts = (0x41, 0x80, 0xBF, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0x9F, 0xA0, 0x90)
    for _ in range(20_000):
        text = bytes(chance.choice(starts) for _ in range(chance.randint(1, 5)))
        try:
            text.decode()
            fine = True
        except UnicodeDecodeError:
            fine = False
        assert is_request(0, in_status(within(2, inside=text))) == fine, text.hex()
