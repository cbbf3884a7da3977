"""One command that runs several members of a group: it starts them, again too, and ends them."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from end_to_end.serving import Serving, calls, until
from end_to_end.test_service_kafka import TOPIC, on
from sentinel.errors import SettingsError
from sentinel.settings import load
from servers.mock_kafka import mock_kafka
from servers.process import free_ports, listens

PROCESSES = 3
PARTITIONS = 6
NAMES = [f"svc-{number}" for number in range(12)]


def neighbouring_ports() -> int:
    """Return the first of as many free ports as there are processes."""
    while True:
        [port] = free_ports(1)
        if not any(listens(port + number) for number in range(PROCESSES)):
            return port


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Serving]:
    with mock_kafka(tmp_path / "kafka", {TOPIC: PARTITIONS, f"{TOPIC}.dlq": 1}) as kafka:
        first = Serving(tmp_path)
        first.port = neighbouring_ports()
        first.configure(on(kafka, processes=PROCESSES))
        try:
            first.start()
            yield first
        finally:
            first.close()
            until(lambda: not any(map(is_there, processes(first).values())))


@contextmanager
def door(service: Serving, number: int) -> Iterator[Serving]:
    """Ask another of its processes."""
    own, service.port = service.port, service.port + number
    try:
        yield service
    finally:
        service.port = own


def processes(service: Serving) -> dict[int, int]:
    """Return the process ids of the others, by their number: those that were started last."""
    return {line["number"]: line["pid"] for line in service.logged("process.started")}


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def partitions(service: Serving) -> dict[int, set[str]]:
    """Return which process has had which partitions assigned, since it was last started."""
    found: dict[int, set[str]] = {number: set() for number in range(PROCESSES)}
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    for line in lines:
        if line["event"] == "service.started":
            found[line.get("process", 0)] = set()
        elif line["event"] == "partition.assigned":
            found[line.get("process", 0)].add(line["partition"])
        elif line["event"] in ("partition.revoked", "partition.lost"):
            found[line.get("process", 0)].discard(line["partition"])
    return found


def are_shared_out(service: Serving) -> bool:
    """Say whether every process has partitions, and all have some."""
    held = partitions(service)
    return all(held.values()) and len(set().union(*held.values())) == PARTITIONS


def judged(service: Serving) -> int:
    """Return how many calls the processes have learned of, by the first one's account."""
    rows = service.read("/api/v1/baselines", metric="error", limit=1000)["baselines"]
    return sum(row["samples"] for row in rows)


def send(service: Serving) -> None:
    service.send(*(call for name in NAMES for call in calls(name, 5)))


def test_each_judges_its_part_and_who_dies_is_started_again(service: Serving) -> None:
    until(lambda: are_shared_out(service), 30)
    send(service)
    until(lambda: judged(service) == 5 * len(NAMES), 30)
    for number in range(PROCESSES):
        with door(service, number) as one:
            assert sum(one.count(name) for name in NAMES) > 0
    before = processes(service)
    assert before.keys() == {1, 2}
    os.kill(before[2], signal.SIGKILL)
    until(lambda: processes(service)[2] != before[2])
    until(lambda: are_shared_out(service), 30)
    [ended] = service.logged("process.ended")
    assert (ended["number"], ended["code"]) == (2, -signal.SIGKILL)
    metrics = service.get("/metrics").body.decode()
    assert 'sentinel_process_restarts_total{process="2"} 1.0' in metrics
    assert 'sentinel_process_restarts_total{process="1"} 0.0' in metrics
    with door(service, 2) as third:
        until(lambda: third._is_ready())
        send(third)
    until(lambda: judged(service) == 10 * len(NAMES), 30)

    assert service.stop() == 0
    assert len(service.logged("service.stopped")) == PROCESSES
    assert not any(map(is_there, processes(service).values()))
    assert len(service.logged("process.ended")) == 1


def test_who_is_left_alone_by_the_first_process_leaves_the_group_in_order(
    service: Serving,
) -> None:
    until(lambda: are_shared_out(service), 30)
    service.signal(signal.SIGKILL)
    service.wait()
    until(lambda: not any(map(is_there, processes(service).values())))
    assert {line["process"] for line in service.logged("service.stopped")} == {1, 2}
    service.start()
    until(lambda: are_shared_out(service), 30)


def test_several_processes_without_brokers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.yaml"
    path.write_text("ingestion: {kafka: {processes: 4}}")
    with pytest.raises(SettingsError, match=r"ingestion\.kafka\.brokers: absent, but required"):
        load(path, {})
