"""OTLP in JSON says what the same request says in protobuf."""

import base64
import json
import random
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict

from oracle.otlp_requests import some_logs, some_metrics, some_traces
from sentinel.intake import OtlpDecoder
from sentinel.model.batch import Rejection

DECODER = OtlpDecoder()


def in_json(value: Any, key: str = "") -> Any:
    """Return a message of the official JSON as OTLP has it: ids in hexadecimal."""
    if isinstance(value, dict):
        return {name: in_json(inside, name) for name, inside in value.items()}
    if isinstance(value, list):
        return [in_json(inside, key) for inside in value]
    return base64.b64decode(value).hex() if key in ("traceId", "spanId") else value


def body_of(request: Any) -> bytes:
    return json.dumps(in_json(MessageToDict(request, use_integers_for_enums=True))).encode()


@pytest.mark.parametrize(
    ("signal", "make"),
    [("traces", some_traces), ("logs", some_logs), ("metrics", some_metrics)],
    ids=["traces", "logs", "metrics"],
)
def test_json_says_what_protobuf_says(signal: Any, make: Any) -> None:
    chance = random.Random(signal)
    events = 0
    for _ in range(200):
        request = make(chance)
        one = DECODER.decode(signal, request.SerializeToString(), json=False)
        other = DECODER.decode(signal, body_of(request), json=True)
        assert not isinstance(one, Rejection)
        assert not isinstance(other, Rejection)
        assert repr(one) == repr(other)
        events += len(one.events)
    assert events > 100 or signal == "metrics"


def span(**fields: Any) -> bytes:
    told = {"key": "gen_ai.request.model", "value": {"stringValue": "m"}}
    provider = {"key": "gen_ai.system", "value": {"stringValue": "p"}}
    whole = {"attributes": [told, provider]} | fields
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [whole]}]}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        span(traceId="xyz"),
        span(endTimeUnixNano=-1),
        span(endTimeUnixNano=str(2**64)),
        span(endTimeUnixNano="soon"),
        span(status={"code": "WRONG"}),
        span(attributes=[{"key": "user.id", "value": {"intValue": str(2**63)}}]),
        span(attributes=[{"key": "user.id", "value": {"intValue": "9" * 5000}}]),
        span(attributes=[{"key": 7}]),
        span(name="\ud800", traceState="\ud800").replace(b"\\\\", b"\\"),
    ],
)
def test_what_is_no_otlp_in_json_is_refused(body: bytes) -> None:
    refused = DECODER.decode("traces", body, json=True)
    assert isinstance(refused, Rejection)
    assert refused.code == "not_json"


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    deep = b'{"arrayValue":{"values":[' * 10_000
    body = span(attributes=[{"key": "user.id", "value": 0}]).replace(b"0}]}", deep, 1)
    refused = DECODER.decode("traces", body, json=True)
    assert isinstance(refused, Rejection)
    assert refused.code == "too_deep"


def test_numbers_may_be_texts_ids_of_either_case_and_unknown_fields_are_passed_over() -> None:
    found = DECODER.decode(
        "traces",
        span(
            traceId="0AF7651916CD43DD8448EB211C80319C",
            spanId="b7ad6b7169203331",
            startTimeUnixNano=1767225600000000000,
            endTimeUnixNano="1767225600500000000",
            kind="SPAN_KIND_CLIENT",
            status={"code": "STATUS_CODE_ERROR"},
            somethingNew={"a": [1, None]},
            events=None,
        ),
        json=True,
    )
    assert not isinstance(found, Rejection)
    event = found.events[0]
    assert (event.trace_id, event.span_id) == (
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
    )
    assert (event.latency_ms, event.errors) == (500.0, ["error"])
    assert msgspec.json.encode(event.timestamp) == b'"2026-01-01T00:00:00.500000Z"'
