"""Requests of OTLP with something of everything in them, drawn by chance."""

import random
from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from sentinel.intake.otlp_names import CALLS, NAMES

ALL_NAMES = [name for names in NAMES.values() for name in names]
OTHER_NAMES = ("http.request.method", "server.address", "gen_ai.prompt.x", "llm.", "", "é" * 9)
WORDS = ("openai", "az.ai.openai", "gpt-4o", "gpt-4o-2024-08-06", "stop", "", "ERROR", "USD", "Zoë")
KINDS = (*CALLS, "LLM", "AGENT", "execute_tool", "invoke_agent", "rerank", "x" * 40)
NUMBERS = (0, 1, 812, -5, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63))
REALS = (0.0, 0.25, 812.0, 812.5, -1.0, 1e300, float("inf"), float("nan"))
STATES = (
    "",
    "ot=th:8",
    "a=b,ot=rv:1;th:c0 ",
    "ot=p:3;r:9",
    "ot=th:xyz",
    "ot=th:0",
    "ot=p:63",
    "ot=",
)
MOMENTS = ("exception", "First Token Stream Event", "llm.content.completion.chunk", "else")
BEGIN = 1_767_225_600_000_000_000


def set_value(chance: random.Random, value: AnyValue, words: Sequence[str], deep: int = 3) -> None:
    """Let a value be anything."""
    match chance.choice(
        ("text",) * 4 + ("whole",) * 3 + ("real", "bool", "list", "table", "bytes")
    ):
        case "text":
            value.string_value = chance.choice(words)
        case "whole":
            value.int_value = chance.choice(NUMBERS)
        case "real":
            value.double_value = chance.choice(REALS)
        case "bool":
            value.bool_value = chance.random() < 0.5
        case "bytes":
            value.bytes_value = b"\xff\x00"
        case "list":
            value.array_value.SetInParent()
            for _ in range(chance.randrange(3) if deep else 0):
                set_value(chance, value.array_value.values.add(), words, deep - 1)
        case _:
            value.kvlist_value.SetInParent()
            for _ in range(chance.randrange(3) if deep else 0):
                pair = value.kvlist_value.values.add(key=chance.choice(("content", "role")))
                set_value(chance, pair.value, words, deep - 1)


def attribute(chance: random.Random, attributes: Any, name: str | None = None) -> None:
    """Add an attribute: of a name that means something, or of none."""
    key = name or chance.choice(ALL_NAMES if chance.random() < 0.9 else OTHER_NAMES)
    pair = attributes.add(key=key.replace("#", str(chance.randrange(12))))
    if name is not None and key in NAMES["kind"]:
        pair.value.string_value = chance.choice(KINDS)
    elif name is not None and ("tokens" in key or "token_count" in key):
        pair.value.int_value = chance.choice(NUMBERS)
    elif chance.random() < 0.95:
        set_value(chance, pair.value, WORDS if key not in NAMES["kind"] else KINDS)


def usual(chance: random.Random, attributes: Any) -> None:
    """Add what most calls have."""
    for target, share in (("kind", 0.6), ("model", 0.8), ("prompt.tokens", 0.7), ("provider", 0.5)):
        if chance.random() < share:
            attribute(chance, attributes, chance.choice(NAMES[target]))
    for _ in range(chance.randrange(8)):
        attribute(chance, attributes)


def ids(chance: random.Random, thing: Any) -> None:
    if chance.random() < 0.9:
        thing.trace_id = chance.randbytes(16)
        thing.span_id = chance.randbytes(8)
    elif chance.random() < 0.5:
        thing.trace_id, thing.span_id = bytes(16), chance.randbytes(7)


def resource(chance: random.Random, group: Any) -> None:
    group.resource.attributes.add(key="service.name").value.string_value = chance.choice(WORDS)
    if chance.random() < 0.5:
        attribute(chance, group.resource.attributes, chance.choice(NAMES["environment"]))
    if chance.random() < 0.2:
        group.resource.entity_refs.add(type="service", id_keys=["service.name"])


def some_traces(chance: random.Random) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for _ in range(chance.randint(1, 2)):
        group = request.resource_spans.add(schema_url="https://example.org/1")
        resource(chance, group)
        scope = group.scope_spans.add()
        scope.scope.name = "instrumentation"
        for _ in range(chance.randint(1, 3)):
            span = scope.spans.add(name="chat", kind=3, trace_state=chance.choice(STATES))
            ids(chance, span)
            span.start_time_unix_nano = chance.choice((0, BEGIN, BEGIN + chance.randrange(10**9)))
            span.end_time_unix_nano = chance.choice((0, 5, BEGIN + 10**9, BEGIN + 7, 2**64 - 1))
            usual(chance, span.attributes)
            if chance.random() < 0.4:
                span.status.code = chance.choice(Status.StatusCode.values())
                span.status.message = chance.choice(WORDS)
            for _ in range(chance.randrange(3)):
                time = BEGIN + chance.randrange(10**9)
                moment = span.events.add(name=chance.choice(MOMENTS), time_unix_nano=time)
                attribute(chance, moment.attributes, "exception.type")
                attribute(chance, moment.attributes)
            if chance.random() < 0.2:
                span.links.add(trace_id=bytes(16), span_id=bytes(8), trace_state="a=b")
    return request


def some_logs(chance: random.Random) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    resource(chance, group)
    scope = group.scope_logs.add()
    for _ in range(chance.randint(1, 3)):
        record = scope.log_records.add(event_name="gen_ai.client.inference.operation.details")
        record.time_unix_nano = chance.choice((0, BEGIN))
        record.observed_time_unix_nano = BEGIN + 9000
        record.flags = chance.choice((0, 0, 1, 2))
        set_value(chance, record.body, WORDS)
        ids(chance, record)
        usual(chance, record.attributes)
    return request


def some_metrics(chance: random.Random) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    resource(chance, group)
    scope = group.scope_metrics.add()
    for name in ("gen_ai.client.token.usage", "http.server.request.duration"):
        metric = scope.metrics.add(name=name, unit="{token}")
        point = metric.histogram.data_points.add(count=3, sum=1.5, bucket_counts=[1, 2], min=0.5)
        point.explicit_bounds.append(1.0)
        attribute(chance, point.attributes)
        attribute(chance, point.exemplars.add(as_int=4).filtered_attributes)
        scope.metrics.add(name=name).sum.data_points.add(as_double=2.0)
        wide = scope.metrics.add(name=name).exponential_histogram.data_points.add(scale=3)
        wide.positive.bucket_counts.extend([1, 300, 70_000])
        scope.metrics.add(name=name).summary.data_points.add().quantile_values.add(quantile=0.5)
    return request
