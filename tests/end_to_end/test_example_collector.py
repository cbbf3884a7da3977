"""The example configuration of a collector, in a real one; an application sends to it."""

import os
import subprocess
from pathlib import Path

import pytest

from end_to_end.serving import SECONDS, free_port, serving, until
from end_to_end.test_collector import COLLECTOR, is_open
from end_to_end.test_example_applications import events_of, fake_model, run

__all__ = ["fake_model"]
CONFIG = Path(__file__).parents[2] / "examples" / "collector" / "collector.yaml"


@pytest.mark.skipif(not COLLECTOR, reason="SENTINEL_OTELCOL names no collector")
def test_one_exporter_more_brings_the_calls_to_the_service(tmp_path: Path, fake_model: int) -> None:
    port = free_port()
    with serving(tmp_path) as service, (tmp_path / "collector.log").open("wb") as log:
        process = subprocess.Popen(
            [COLLECTOR, "--config", str(CONFIG)],
            env={
                **os.environ,
                "COLLECTOR_BIND": f"127.0.0.1:{port}",
                "SENTINEL_OTLP": f"http://127.0.0.1:{service.port}",
            },
            stdout=log,
            stderr=log,
        )
        try:
            until(lambda: is_open(port))
            run("with_opentelemetry", port, fake_model)
            events = events_of(service, "with_opentelemetry")
        finally:
            process.terminate()
            process.wait(SECONDS)
    assert [event["total_tokens"] for event in events] == [49, 49, None, None]
