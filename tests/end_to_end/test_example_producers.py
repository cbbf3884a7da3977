"""The example producers, as a reader starts them: in Python and in Go, by HTTP and to Kafka."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from end_to_end.serving import serving, until
from integration.mock_cluster import consumed, mock_cluster, partition_of

EXAMPLES = Path(__file__).parents[2] / "examples"
BINARY_BYTES = 20_000_000
KINDS = {"high_latency": 2, "high_tokens": 1, "high_cost": 1, "suspicious_pattern": 1}
"""Of five anomalous events."""


PYTHON = [sys.executable, str(EXAMPLES / "python" / "producer.py")]


def go() -> str:
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        assert not os.environ.get("SENTINEL_REQUIRE_SERVICES"), "go is not installed"
        pytest.skip("go is not installed")
    return found


@pytest.fixture(scope="module", params=["python", "go"])
def producer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command; the one of Go is built first."""
    if request.param == "python":
        return PYTHON
    binary = tmp_path_factory.mktemp("go") / "producer"
    build = [go(), "build", "-o", str(binary), "producer.go"]
    subprocess.run(build, cwd=EXAMPLES / "go", check=True, timeout=300)
    assert binary.stat().st_size < BINARY_BYTES
    return [str(binary)]


def flag(producer: list[str], name: str) -> str:
    return f"-{name}" if len(producer) == 1 else f"--{name}"


def run(producer: list[str], **flags: str) -> str:
    words = [word for name, text in flags.items() for word in (flag(producer, name), text)]
    done = subprocess.run([*producer, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_four_kinds_of_anomaly_are_voted_on(producer: list[str], tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        said = run(producer, url=f"http://127.0.0.1:{service.port}")
        assert said.startswith("sent 25, dropped 0")
        until(lambda: service.count("chat-api") == 25)
        rows = list(service.pages("telemetry", "data", service="chat-api"))
        votes = list(service.pages("anomalies", "anomalies", service="chat-api"))
        of_event = {row["event_id"]: row["metadata"]["example"] for row in rows}
    kinds = Counter(of_event.values())
    assert kinds == {"ordinary": 20, **KINDS}
    found = {(of_event[vote["event_id"]], vote["metric"]) for vote in votes}
    assert {
        ("high_latency", "latency_ms"),
        ("high_tokens", "total_tokens"),
        ("high_cost", "cost_usd"),
        ("suspicious_pattern", "total_tokens"),
    } <= found


def test_to_kafka_each_event_is_a_message_in_the_partition_of_its_service() -> None:
    with mock_cluster() as servers:
        said = run(PYTHON, brokers=servers, topic="calls", rate="0")
        assert said.startswith("sent 25, dropped 0")
        messages = consumed(servers, "calls", 25)
    assert len(messages) == 25
    assert {message.key() for message in messages} == {b"chat-api"}
    assert {message.partition() for message in messages} == {partition_of(b"chat-api")}


def test_a_signal_ends_a_continuous_run_and_nothing_is_lost() -> None:
    with mock_cluster() as servers:
        command = [*PYTHON, "--continuous", "--brokers", servers]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == 0, said
        counted = re.match(r"sent (\d+), dropped 0", said)
        assert counted is not None, said
        sent = int(counted[1])
        messages = consumed(servers, "llm.telemetry", sent)
    assert len(messages) == sent > 50


def test_the_producer_in_go_does_the_same_against_the_brokers_of_its_client() -> None:
    # The mock cluster of librdkafka knows the protocol of librdkafka, and too little of others.
    done = subprocess.run(
        [go(), "test", "./..."], cwd=EXAMPLES / "go", capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
