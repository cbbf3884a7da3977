"""The core's reader of OTLP against the official parser, on requests that were broken on purpose.

Both refuse a request, or both find the same in it.  SENTINEL_FUZZ_OTLP raises the number of cases.
"""

import math
import os
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from oracle.otlp_requests import set_value, some_logs, some_metrics, some_traces
from oracle.spans import read_logs, read_traces
from sentinel._core.otlp import OUTCOME_NAMES, CallReader, count_points
from sentinel._core.otlp_schema import is_request
from sentinel.intake.otlp_names import CALLS, NAMES, PROVIDERS
from sentinel.model.event import Event, Prompt, Response

CASES = int(os.environ.get("SENTINEL_FUZZ_OTLP", "60000"))

READER = CallReader(Event, Prompt, Response, names=NAMES, words=CALLS, providers=PROVIDERS)
MESSAGES = (ExportTraceServiceRequest, ExportLogsServiceRequest, ExportMetricsServiceRequest)
MAKERS: tuple[Callable[[random.Random], Any], ...] = (some_traces, some_logs, some_metrics)
ORACLES: tuple[Callable[[Any], Any], ...] = (read_traces, read_logs)
ODD = (0x00, 0x01, 0x07, 0x0A, 0x12, 0x1A, 0x21, 0x2A, 0x32, 0x3B, 0x3C, 0x7F, 0x80, 0xC0, 0xFF)
"""Bytes that mean something: tags, the ends of varints, groups, what UTF-8 never begins with."""


def broken(chance: random.Random, body: bytes, other: bytes) -> bytes:
    """Return a request with one to three things wrong in it."""
    data = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 8, 40)))
        match chance.randrange(8):
            case 0:
                data[at:end] = bytes(chance.randrange(256) for _ in range(end - at))
            case 1 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 2 if at < len(data):
                data[at] = chance.choice(ODD)
            case 3:
                del data[at:end]
            case 4:
                data[at:at] = data[at:end]
            case 5:
                begin = chance.randrange(len(other))
                data[at:at] = other[begin : begin + chance.choice((1, 3, 12, 60))]
            case 6:
                data[at:at] = bytes((chance.choice(ODD),))
            case _:
                del data[chance.choice((at, len(data))) :]
    return bytes(data)


def comparable(events: list[Event]) -> Any:
    """Return events without the ids that only the core makes; NaN is equal to NaN here."""
    found = []
    for event in events:
        event.event_id = None
        found.append(msgspec.structs.asdict(event))
    return repr(found)


@pytest.mark.parametrize("message", [0, 1, 2], ids=["traces", "logs", "metrics"])
def test_a_broken_request_is_read_like_the_official_parser_reads_it(message: int) -> None:
    chance = random.Random(f"otlp {message}")
    make = MAKERS[message]
    bodies = [make(chance).SerializeToString() for _ in range(60)]
    refused = read = 0
    for case in range(CASES // 3):
        body = broken(chance, chance.choice(bodies), chance.choice(bodies))
        try:
            request = MESSAGES[message].FromString(body)
        except DecodeError:
            request = None
        where = (message, case, body.hex())
        assert is_request(message, body) == (request is not None), where
        if message == 2:
            assert (count_points(body) is None) == (request is None), where
        else:
            found = READER.read(message, body)
            assert (found is None) == (request is None), where
            if found is not None:
                events, outcomes = ORACLES[message](request)
                assert comparable(found[0]) == comparable(events), where
                counted = dict(zip(OUTCOME_NAMES, found[2], strict=True))
                assert {n: c for n, c in counted.items() if c} == outcomes, where
        refused += request is None
        read += request is not None
    assert min(refused, read) > CASES / 30, (refused, read)


def test_whole_requests_are_read_like_the_official_parser_reads_them() -> None:
    chance = random.Random("whole")
    kinds: dict[str, int] = {}
    for _ in range(300):
        for message, make in enumerate(MAKERS[:2]):
            request = make(chance)
            found = READER.read(message, request.SerializeToString())
            events, outcomes = ORACLES[message](request)
            assert found is not None
            assert comparable(found[0]) == comparable(events)
            for name, count in outcomes.items():
                kinds[name] = kinds.get(name, 0) + count
    assert set(kinds) == set(OUTCOME_NAMES), kinds
    assert not math.isnan(kinds["event"])


def in_field(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((number << 3 | 2, *length, size)) + content


def test_the_parts_of_one_message_are_read_as_one() -> None:
    """Protobuf lets a message come in parts, which no sender does and every parser takes."""
    chance = random.Random("parts")
    names = [*NAMES["response.finish_reason"][:3], *NAMES["prompt.tokens"], *NAMES["user_id"]]
    call = in_field(1, b"gen_ai.request.model") + in_field(2, in_field(1, b"m"))
    count = in_field(1, b"gen_ai.usage.output_tokens") + in_field(2, b"\x18\x07")
    for _ in range(500):
        parts = [AnyValue() for _ in range(chance.randint(2, 3))]
        for part in parts:
            set_value(chance, part, ("a", "b", "c"))
        written = [part.SerializeToString() for part in parts]
        if chance.random() < 0.5:
            value = in_field(2, b"".join(written))
        else:
            value = b"".join(in_field(2, part) for part in written)
        pair = value + in_field(1, chance.choice(names).encode())
        span = in_field(9, call) + in_field(9, count) + in_field(9, pair)
        body = in_field(1, in_field(2, in_field(2, span)))
        found = READER.read(0, body)
        assert found is not None
        events, _ = read_traces(ExportTraceServiceRequest.FromString(body))
        assert len(events) == 1
        assert comparable(found[0]) == comparable(events), body.hex()
