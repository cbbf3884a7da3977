"""Log records and metrics, and bytes that are neither of them nor spans."""

from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from oracle.generations import CURRENT, DECODER, END, SERVICE, add, decode
from sentinel.model.batch import Rejection


def test_a_log_record_is_an_event_where_it_tells_tokens_and_no_span_does() -> None:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    add(group.resource.attributes, SERVICE)
    scope = group.scope_logs.add()
    for flags, span_id, told in (
        (0, b"", CURRENT),
        (0, b"12345678", CURRENT),
        (1, b"12345678", CURRENT),
        (0, b"", {"gen_ai.system": "openai", "gen_ai.request.model": "m"}),
        (0, b"", {"log.file": "x"}),
    ):
        record = scope.log_records.add(event_name="gen_ai.client.inference.operation.details")
        record.observed_time_unix_nano = END
        record.flags, record.span_id, record.trace_id = flags, span_id, bytes([7] * 16)
        add(record.attributes, told)
    events, outcomes = decode(request, "logs")
    assert outcomes == {"event": 2, "told_by_span": 1, "no_usage": 1, "no_gen_ai": 1}
    assert events[0].timestamp == datetime(2026, 1, 1, 0, 0, 1, 250_000, tzinfo=UTC)
    assert (events[0].latency_ms, events[0].event_id) == (None, None)
    assert events[1].event_id is not None


def test_metrics_are_counted_and_become_no_events() -> None:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    scope.metrics.add(name="gen_ai.client.token.usage").histogram.data_points.add()
    scope.metrics.add(name="gen_ai.client.operation.duration").histogram.data_points.add()
    scope.metrics.add(name="process.cpu.time").sum.data_points.add()
    assert decode(request, "metrics") == ([], {"gen_ai": 2, "no_gen_ai": 1})


@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_bytes_that_are_no_request_are_refused(signal: Any) -> None:
    refused = DECODER.decode(signal, b"\x0a\x05abc", json=False)
    assert isinstance(refused, Rejection)
    assert (refused.code, refused.path) == ("not_protobuf", "$")
    nothing = DECODER.decode(signal, b"", json=False)
    assert not isinstance(nothing, Rejection)
    assert nothing.events == []
