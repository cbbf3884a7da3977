"""OpenTelemetry against a running service: real exporters, statuses, partial success, two ports."""

import contextlib
import gzip
import http.client
import json
import random
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from end_to_end.serving import SECONDS, Answer, Serving, call, free_port, serving, until
from oracle.otlp_requests import some_logs, some_metrics

PROTOBUF = "application/x-protobuf"
BODY_BYTES_MAX = 1 << 20
OTLP_PORT = free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    config = {
        "api": {"max_body_size": BODY_BYTES_MAX},
        "ingestion": {"otlp": {"bind_addr": f"127.0.0.1:{OTLP_PORT}"}},
    }
    with serving(tmp_path_factory.mktemp("otlp"), config) as running:
        yield running


def export(
    service: Serving, body: bytes, *, path: str = "/v1/traces", kind: str = PROTOBUF, **rest: str
) -> Answer:
    headers = {"Content-Type": kind} | {k.replace("_", "-"): v for k, v in rest.items()}
    return service.request("POST", path, body, headers)


def calls(service_name: str, count: int, **told: Any) -> ExportTraceServiceRequest:
    """Return spans of calls that end now; `told` are attributes more."""
    chance = random.Random(service_name)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service_name
    scope = group.scope_spans.add()
    for _ in range(count):
        span = scope.spans.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - 830_000_000
        names = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
        for key, value in names.items():
            span.attributes.add(key=key).value.string_value = value
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 812
        for key, value in told.items():
            span.attributes.add(key=key).value.string_value = value
    return request


def status_of(answer: Answer) -> tuple[int, str]:
    """Return code and message of a google.rpc.Status, read by hand: it has two fields."""
    if answer.headers["content-type"].startswith("application/json"):
        told = answer.json()
        return told["code"], told["message"]
    assert answer.headers["content-type"] == PROTOBUF
    assert (answer.body[0], answer.body[2]) == (0x08, 0x12)
    length, at = answer.body[3], 4
    if length > 0x7F:
        length, at = length & 0x7F | answer.body[4] << 7, 5
    assert len(answer.body) == at + length
    return answer.body[1], answer.body[at:].decode()


@pytest.mark.parametrize("port", ["api", "4318"])
@pytest.mark.parametrize("compression", list(Compression), ids=lambda c: str(c.value))
def test_spans_of_the_real_sdk_are_found_in_the_store(
    service: Serving, port: str, compression: Compression
) -> None:
    name = f"sdk-{port}-{compression.value}"
    address = f"http://127.0.0.1:{service.port if port == 'api' else OTLP_PORT}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=address, compression=compression, timeout=SECONDS)
    resource = Resource({"service.name": name, "deployment.environment.name": "prod"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("invoke_agent helper") as agent:
        agent.set_attribute("gen_ai.operation.name", "invoke_agent")
        agent.set_attribute("gen_ai.usage.input_tokens", 999_999)
        for number in range(3):
            with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as span:
                span.set_attribute("gen_ai.operation.name", "chat")
                span.set_attribute("gen_ai.provider.name", "openai")
                span.set_attribute("gen_ai.request.model", "gpt-4o")
                span.set_attribute("gen_ai.usage.input_tokens", 800 + number)
                span.set_attribute("gen_ai.response.finish_reasons", ["stop"])
                span.set_attribute("gen_ai.input.messages", "write to canary@example.com")
                time.sleep(0.001)
                if number == 2:
                    span.set_attribute("error.type", "timeout")
                    span.set_status(Status(StatusCode.ERROR, "the canary took too long"))
    provider.shutdown()
    until(lambda: service.count(name) == 3)
    rows = list(service.pages("telemetry", "data", service=name))
    assert sorted(row["prompt_tokens"] for row in rows) == [800, 801, 802]
    assert {row["environment"] for row in rows} == {"prod"}
    assert {row["model"] for row in rows} == {"gpt-4o"}
    assert sorted(row["error_classes"] for row in rows) == [[], [], ["timeout"]]
    assert all(row["latency_ms"] > 0 for row in rows)
    assert len({row["trace_id"] for row in rows}) == 1
    assert {row["prompt_text"][:16] for row in rows} == {"write to [EMAIL:"}
    assert "canary" not in json.dumps(rows)


def test_a_retried_export_is_judged_and_stored_once(service: Serving) -> None:
    body = calls("retried", 5).SerializeToString()
    for _ in range(3):
        answer = export(service, body)
        assert (answer.status, answer.headers["content-type"]) == (200, PROTOBUF)
        assert answer.body == b""
    service.send_and_wait(call("after-retries"))
    assert service.count("retried") == 5


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
    ],
)
def test_compressed_requests_are_taken(service: Serving, coding: str, pack: Any) -> None:
    name = f"coded-{coding}"
    body = pack(calls(name, 300).SerializeToString())
    assert export(service, body, Content_Encoding=coding).status == 200
    until(lambda: service.count(name) == 300)


def test_what_is_refused_of_a_request_is_told_in_the_encoding_of_the_request(
    service: Serving,
) -> None:
    request = calls("partial", 3)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[1].attributes.add(key="gen_ai.usage.output_tokens").value.int_value = -17
    answer = export(service, request.SerializeToString())
    assert (answer.status, answer.headers["content-type"]) == (200, PROTOBUF)
    told = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert told.rejected_spans == 1
    assert told.error_message == "refused: negative at $.response.tokens (1)"
    in_json = {
        "resourceSpans": [
            {
                "resource": {"attributes": [attribute("service.name", "partial")]},
                "scopeSpans": [
                    {
                        "spans": [
                            {"attributes": [attribute("gen_ai.operation.name", "chat"), *more]}
                            for more in ([attribute("gen_ai.request.model", "m")], [])
                        ]
                    }
                ],
            }
        ]
    }
    answer = export(service, json.dumps(in_json).encode(), kind="application/json; charset=utf-8")
    assert (answer.status, answer.json()) == (
        200,
        {
            "partialSuccess": {
                "rejectedSpans": "1",
                "errorMessage": "refused: missing_field at $.model (1)",
            }
        },
    )


def attribute(key: str, text: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": text}}


def test_a_request_of_which_all_is_refused_is_a_bad_request(service: Serving) -> None:
    request = calls("refused", 200)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.start_time_unix_nano = span.end_time_unix_nano + 1
    answer = export(service, request.SerializeToString())
    assert answer.status == 400
    assert status_of(answer) == (3, "refused: negative at $.latency_ms (200)")


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
def test_an_empty_request_is_taken_and_garbage_is_not(service: Serving, path: str) -> None:
    assert (export(service, b"", path=path).status, export(service, b"", path=path).body) == (
        200,
        b"",
    )
    empty = export(service, b"{}", path=path, kind="application/json")
    assert (empty.status, empty.json()) == (200, {})
    answer = export(service, b"\x0a\x05abc", path=path)
    assert answer.status == 400
    assert status_of(answer)[0] == 3
    assert status_of(answer)[1].startswith("not_protobuf")
    answer = export(service, b"\x0a\x05abc", path=path, kind="application/json")
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert status_of(answer)[1].startswith("not_json")


def test_logs_and_metrics_are_taken_and_counted(service: Serving) -> None:
    chance = random.Random(3)
    logs = export(service, some_logs(chance).SerializeToString(), path="/v1/logs")
    assert logs.status in (200, 400)
    if logs.status == 200:
        ExportLogsServiceResponse.FromString(logs.body)
    metrics = export(service, some_metrics(chance).SerializeToString(), path="/v1/metrics")
    assert metrics.status == 200
    assert ExportMetricsServiceResponse.FromString(metrics.body).partial_success.error_message == ""
    exposition = service.get("/metrics").body.decode()
    assert 'sentinel_otlp_records_total{outcome="gen_ai",signal="metrics"} 4.0' in exposition
    assert 'sentinel_otlp_records_total{outcome="no_gen_ai",signal="metrics"} 4.0' in exposition


def bomb(nbytes: int, wbits: int) -> bytes:
    deflate = zlib.compressobj(9, wbits=wbits)
    blocks = [deflate.compress(bytes(1 << 20)) for _ in range(nbytes >> 20)]
    return b"".join(blocks) + deflate.flush()


def test_too_large_requests_are_refused_before_and_after_inflation(service: Serving) -> None:
    large = bytes(BODY_BYTES_MAX + 1)
    zstd = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    for body, coding in (
        (large, "identity"),
        (bomb(64 << 20, 31), "gzip"),
        (bomb(64 << 20, 15), "deflate"),
        (zstd, "zstd"),
    ):
        began = time.monotonic()
        answer = export(service, body, Content_Encoding=coding)
        assert (answer.status, status_of(answer)[0]) == (413, 8)
        assert time.monotonic() - began < 5
    huge = http.client.HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)
    with contextlib.closing(huge):
        huge.putrequest("POST", "/v1/traces")
        huge.putheader("Content-Type", PROTOBUF)
        huge.putheader("Content-Length", str(1 << 40))
        huge.endheaders()
        assert huge.getresponse().status == 413


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (415, {"kind": "text/plain"}, b""),
        (415, {"kind": ""}, b""),
        (415, {"Content_Encoding": "br"}, b""),
        (400, {"Content_Encoding": "gzip"}, b"not gzip"),
        (400, {"Content_Encoding": "gzip"}, gzip.compress(b"x" * 100)[:-9]),
        (400, {"Content_Encoding": "zstd"}, b"not zstd"),
        (400, {"Content_Encoding": "deflate"}, b"not deflate"),
    ],
)
def test_requests_that_are_not_understood_are_refused(
    service: Serving, status: int, headers: dict[str, str], body: bytes
) -> None:
    answer = export(service, body, **headers)
    assert answer.status == status
    assert status_of(answer)[0] == 3


def test_other_methods_are_not_allowed_and_the_second_port_has_nothing_else(
    service: Serving,
) -> None:
    assert service.get("/v1/traces").status == 405
    connection = http.client.HTTPConnection("127.0.0.1", OTLP_PORT, timeout=SECONDS)
    with contextlib.closing(connection):
        for path, status in (("/v1/traces", 405), ("/api/v1/telemetry", 404), ("/metrics", 404)):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status, path


def test_a_service_that_is_stopping_says_when_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path) as own:
        body = calls("late", 1).SerializeToString()
        connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.connect()
            own.signal(15)
            until(lambda: own.get("/health/ready").status == 503)
            connection.request("POST", "/v1/traces", body, {"Content-Type": PROTOBUF})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, names, response.read())
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert status_of(answer)[0] == 14
        assert own.wait() == 0


def test_a_port_that_is_in_use_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with serving(tmp_path, {"ingestion": {"otlp": {"bind_addr": address}}}) as own:
            assert export(own, calls("warned", 1).SerializeToString()).status == 200
            (warning,) = own.logged("otlp.port_in_use")
            assert (warning["level"], warning["address"]) == ("warning", address)
            assert own.stop() == 0
