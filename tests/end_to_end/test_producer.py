"""The producer of an application in front of the service itself."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.serving import Serving, free_port, serving, until
from llm_sentinel import TelemetryProducer


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


def url_of(service: Serving) -> str:
    return f"http://127.0.0.1:{service.port}"


def stored(service: Serving, name: str, count: int) -> list[dict[str, object]]:
    until(lambda: service.count(name) >= count)
    return list(service.pages("telemetry", "data", service=name))


def test_what_an_application_says_is_what_the_service_knows(service: Serving) -> None:
    with TelemetryProducer(url=url_of(service)) as producer:
        producer.send_event(
            producer.create_telemetry_event(
                service_name="bot",
                model_name="gpt-4",
                latency_ms=812.5,
                prompt_tokens=90,
                completion_tokens=12,
                cost_usd=0.0034,
                user_id="ann",
                session_id="s1",
                prompt_text="write to ann@example.org",
            )
        )
        with pytest.raises(TimeoutError), producer.measure("bot", "gpt-4", prompt_tokens=5):
            raise TimeoutError("no answer")
    failed, first = stored(service, "bot", 2)
    assert producer.counts() == (0, 2, {})
    assert first["latency_ms"] == 812.5
    assert (first["prompt_tokens"], first["completion_tokens"]) == (90, 12)
    assert first["total_tokens"] == 102
    assert first["cost_usd"] == 0.0034
    assert "ann@example.org" not in json.dumps(first)
    assert (failed["error"], failed["error_classes"]) == (True, ["timeout"])
    assert failed["completion_tokens"] is None


def test_what_the_service_refuses_is_told_with_its_code(service: Serving) -> None:
    with TelemetryProducer(url=url_of(service)) as producer:
        for name, latency in (("", 1.0), ("picky", -1.0), ("picky", 1.0)):
            producer.send_event(producer.create_telemetry_event(name, "m", latency))
    assert producer.counts() == (0, 1, {"bad_name": 1, "negative": 1})
    with TelemetryProducer(url=url_of(service)) as producer:
        producer.send_event(producer.create_telemetry_event("picky", "m", -1.0))
    assert producer.counts() == (0, 0, {"negative": 1})


def test_a_service_that_comes_late_gets_everything_once(tmp_path: Path) -> None:
    late = Serving(tmp_path)
    try:
        with TelemetryProducer(url=url_of(late), close_seconds=20) as producer:
            for number in range(50):
                producer.send_event(producer.create_telemetry_event("early", "m", 100.0 + number))
            time.sleep(0.3)
            assert producer.counts().sent == 0
            late.start()
        assert producer.counts() == (0, 50, {})
        assert len({row["event_id"] for row in stored(late, "early", 50)}) == 50
    finally:
        late.close()


PROGRAM = """
import sys
from llm_sentinel import TelemetryProducer
producer = TelemetryProducer(url=sys.argv[1], linger_seconds=60)
for number in range(100):
    producer.send_event(producer.create_telemetry_event("script", "m", 100.0 + number))
"""


def test_a_program_that_just_ends_has_sent_everything(service: Serving) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, url_of(service)], check=True, timeout=30)
    assert len(stored(service, "script", 100)) == 100


def test_a_program_ends_in_time_where_no_service_is() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"http://127.0.0.1:{free_port()}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    assert time.monotonic() - began < 10
    assert "dropped 100 events: 100 closed" in done.stderr


def produce(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sentinel", "produce", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_produce_sends_the_traffic_of_the_demo_and_its_incidents_open(service: Serving) -> None:
    done = produce("--url", url_of(service), "--seconds", "5")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(" events sent\n")
    assert int(done.stderr.split()[0].replace(",", "")) > 50_000
    planted = {"chat-api", "code-assist", "search-rag", "support-bot", "report-gen"}
    until(lambda: planted <= {i["service"] for i in service.pages("incidents", "incidents")})


def test_produce_says_what_did_not_arrive() -> None:
    done = produce("--url", f"http://127.0.0.1:{free_port()}", "--seconds", "1", "--no-history")
    assert done.returncode == 1
    assert "dropped: closed" in done.stderr
