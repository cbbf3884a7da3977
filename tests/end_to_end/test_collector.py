"""A real OpenTelemetry Collector in front: it loses none of 100,000 spans, and none counts twice.

SENTINEL_OTELCOL names a collector with the otlp receiver, the batch processor and the otlphttp
exporter, such as the `otelcol` of any distribution; its builder makes one from the Go modules.
"""

import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from end_to_end.serving import SECONDS, Serving, call, free_port, serving, until

COLLECTOR = os.environ.get("SENTINEL_OTELCOL", "")
SPANS = 100_000
A_REQUEST = 500

pytestmark = pytest.mark.skipif(not COLLECTOR, reason="SENTINEL_OTELCOL names no collector")


@contextlib.contextmanager
def collecting(folder: Path, into: int) -> Iterator[int]:
    """Run a collector that passes spans on to a port; yields its own."""
    port = free_port()
    receiver = {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}
    retry = {"initial_interval": "100ms", "max_interval": "1s"}
    exporter = {"endpoint": f"http://127.0.0.1:{into}", "retry_on_failure": retry}
    pipeline = {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["otlphttp"]}
    config = {
        "receivers": {"otlp": receiver},
        "processors": {"batch": {"send_batch_size": 8192, "timeout": "200ms"}},
        "exporters": {"otlphttp": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": pipeline},
        },
    }
    file = folder / "collector.yaml"
    file.write_text(json.dumps(config))
    with (folder / "collector.log").open("ab") as log:
        process = subprocess.Popen([COLLECTOR, "--config", str(file)], stdout=log, stderr=log)
    try:
        until(lambda: is_open(port))
        yield port
    finally:
        process.terminate()
        process.wait(SECONDS)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def spans(chance: random.Random, count: int) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "collected"
    scope = group.scope_spans.add()
    end = time.time_ns()
    for _ in range(count):
        span = scope.spans.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
        span.start_time_unix_nano, span.end_time_unix_nano = end - chance.randrange(10**9), end
        for key, text in (("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "m")):
            span.attributes.add(key=key).value.string_value = text
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 812
    return request.SerializeToString()


def repeats(service: Serving) -> int:
    lines = service.get("/metrics").body.decode().splitlines()
    return sum(
        int(float(line.split()[-1]))
        for line in lines
        if line.startswith("sentinel_events_state_total{") and 'state="repeated"' in line
    )


def test_a_collector_in_front_loses_and_doubles_none(tmp_path: Path) -> None:
    chance = random.Random(5)
    with serving(tmp_path) as service, collecting(tmp_path, service.port) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        with contextlib.closing(connection):
            for number in range(SPANS // A_REQUEST):
                if number == SPANS // A_REQUEST // 2:  # the service goes, and comes again
                    assert service.stop() == 0
                    service.start()
                headers = {"Content-Type": "application/x-protobuf"}
                connection.request("POST", "/v1/traces", spans(chance, A_REQUEST), headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
        until(lambda: service.count("collected") + repeats(service) >= SPANS, 60)
        service.send_and_wait(call("after"))
        ids = [row["event_id"] for row in service.pages("telemetry", "data", service="collected")]
        assert len(ids) == SPANS
        assert len(set(ids)) == SPANS
