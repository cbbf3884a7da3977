"""Instrumented applications, as a reader starts them: what they export is what they did.

The instrumentation is real (OpenTelemetry, OpenLLMetry, OpenInference); the model is a fake one.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from end_to_end.serving import SECONDS, Serving, free_port, serving, until
from end_to_end.test_collector import is_open

EXAMPLES = Path(__file__).parents[2] / "examples" / "opentelemetry"
APPLICATIONS = ("with_opentelemetry", "with_openllmetry", "with_openinference")
CALLS = 4


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def fake_model() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(EXAMPLES / "fake_model.py"), str(port)])
    try:
        until(lambda: is_open(port))
        yield port
    finally:
        process.kill()
        process.wait(SECONDS)


def run(application: str, exporting_to: int, fake_model: int) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{application}.py")],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{exporting_to}",
            "OTEL_SERVICE_NAME": application,
            "OPENAI_BASE_URL": f"http://127.0.0.1:{fake_model}/v1",
            "OPENAI_API_KEY": "none",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def events_of(service: Serving, application: str) -> list[dict[str, Any]]:
    """Return the events in the order of the calls."""
    until(lambda: service.count(application) >= CALLS)
    rows = service.pages("telemetry", "data", service=application)
    return sorted(rows, key=lambda row: str(row["timestamp"]))


@pytest.mark.parametrize("application", APPLICATIONS)
def test_an_instrumented_application_needs_two_variables(
    application: str, service: Serving, fake_model: int
) -> None:
    run(application, service.port, fake_model)
    asked, streamed, embedded, failed = events_of(service, application)
    assert [e["model"] for e in (asked, streamed, failed)] == ["gpt-4o-mini"] * 3
    assert embedded["model"] == "text-embedding-3-small"
    assert {e["provider"] for e in (asked, streamed, embedded, failed)} == {"openai"}
    for event, reason in ((asked, "stop"), (streamed, "length")):
        assert (event["prompt_tokens"], event["completion_tokens"]) == (42, 7)
        assert event["total_tokens"] == 49
        assert event["finish_reason"] == reason
        assert event["response_model"] == "gpt-4o-mini-2026-01-01"
    assert (embedded["prompt_tokens"], embedded["completion_tokens"]) == (5, None)
    # The fake thinks for 50 ms, and before each of the four pieces of the stream once more.
    assert 50 <= asked["latency_ms"] < 1_000 * SECONDS
    assert 250 <= streamed["latency_ms"] < 1_000 * SECONDS
    assert [e["error"] for e in (asked, streamed, embedded, failed)] == [False, False, False, True]
    assert failed["error_classes"] == ["rate_limited"]
    assert failed["prompt_tokens"] is None
    # OpenLLMetry puts it into an event of the span only where that is asked for.
    if application != "with_openllmetry":
        assert 50 <= streamed["ttft_ms"] < streamed["latency_ms"]
    assert "ann@example.org" not in str(asked)
