"""One process beside two on one topic, and how soon the partitions of a dead one are judged again.

The broker shares the cores with them here, so what two can do more is given as wall time and as CPU
seconds, those of the broker by themselves.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from end_to_end.serving import Serving, until
from pipeline import kafka_filling
from pipeline.kafka_filling import fill, make_topic
from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.connections.kafka import Place
from sentinel.service.cluster import ClusterService
from sentinel.service.membership import name_of
from sentinel.service.serve import look_for_cycles_rarely
from sentinel.settings import Settings
from sentinel.settings.kafka import Kafka as KafkaSettings
from sentinel.settings.schema import Ingestion, Otlp
from servers.kafka import Kafka, kafka
from yardstick import Table, gates

EVENTS = 900_000
PARTITIONS = 6
MEASURED = 0.95
"""Up to which share of the events is measured."""
SESSION_SECONDS = 6.0
"""The default."""
BEFORE_SECONDS = 10.0
"""Under load before the kill: that much was judged since the last snapshot."""
_HERTZ = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with kafka(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


def config(broker: Kafka, topic: str, **more: Any) -> dict[str, Any]:
    common = {"brokers": [broker.bootstrap], "topic": topic, "auto_offset_reset": "earliest"}
    return {"ingestion": {"kafka": common | {"group_id": topic} | more}}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _HERTZ


class Speed(Struct):
    """How fast some processes went through a topic."""

    wall: float
    """Events a second."""
    cpu: float
    """Events a CPU second of ours."""
    broker: float
    """CPU seconds of the broker for one of ours."""

    def line(self, what: str) -> str:
        return (
            f"{what}: {self.wall:,.0f} events a second, {self.cpu:,.0f} a CPU second; "
            f"the broker takes {self.broker:.2f} CPU seconds for each of ours\n"
        )


def speed(broker: Kafka, folder: Path, processes: int) -> Speed:
    """Let so many processes go through a topic that was filled while they were stopped."""
    topic = f"calls-{folder.name}"
    make_topic(broker.bootstrap, topic, PARTITIONS)
    service = Serving(folder)
    service.configure(config(broker, topic, processes=processes, session_timeout_ms=24_000))
    try:
        service.start()
        until(lambda: _are_shared_out(service, processes), 60)
        pids = [service.process_id or 0]
        pids += [line["pid"] for line in service.logged("process.started")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        fill(broker.bootstrap, topic, EVENTS, partitions=PARTITIONS)
        return _gone_through(broker, service, [Place(topic, at) for at in range(PARTITIONS)], pids)
    finally:
        service.close()


def _are_shared_out(service: Serving, processes: int) -> bool:
    """Say whether each has its part of the partitions."""
    counts = [0] * processes
    for kind, by in (("assigned", 1), ("revoked", -1)):
        for line in service.logged(f"partition.{kind}"):
            counts[line.get("process", 0)] += by
    return counts == [PARTITIONS // processes] * processes


def _gone_through(broker: Kafka, service: Serving, places: list[Place], pids: list[int]) -> Speed:
    server = broker.brokers[0].pid
    state = FolderCheckpoints(service.data_dir / "partitions")

    def used() -> float:
        return sum(map(cpu_seconds, pids))

    start, ours, theirs = time.perf_counter(), used(), cpu_seconds(server)
    before = _committed(state, places)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    while (done := _committed(state, places) - before) < EVENTS * MEASURED:
        time.sleep(0.05)
        assert time.perf_counter() - start < 120, "it does not come to an end"
    took, ours = time.perf_counter() - start, used() - ours
    state.close()
    return Speed(done / took, done / ours, (cpu_seconds(server) - theirs) / ours)


def _committed(state: FolderCheckpoints, places: list[Place]) -> int:
    seen = [state.look(name_of(place), series=False) for place in places]
    return sum(0 if one is None else one.next_offset for one in seen)


def test_two_processes_beside_one(broker: Kafka, tmp_path: Path, table: Table) -> None:
    found = {}
    for processes in (1, 2):
        (tmp_path / str(processes)).mkdir()
        found[processes] = speed(broker, tmp_path / str(processes), processes)
        sys.stdout.write(found[processes].line(f"{processes} of {os.cpu_count()} cores"))
    ratio = found[2].wall / found[1].wall
    table.note("two_processes_wall", ratio, "x one, the broker on the same cores")
    table.hold(gates("kafka")["two_processes_cpu"], 2 * found[2].cpu / found[1].cpu)


async def taken_over(broker: Kafka, folder: Path, peak: float) -> tuple[float, float, int]:
    """Return the seconds from a kill to the first new event of any of its partitions and of each,
    and the events that had to be judged again."""
    topic = "takeover"
    make_topic(broker.bootstrap, topic, PARTITIONS)
    victim = Serving(folder)
    victim.configure(config(broker, topic))
    kafka_settings = KafkaSettings(
        brokers=(broker.bootstrap,), topic=topic, auto_offset_reset="earliest", group_id=topic
    )
    ingestion = Ingestion(otlp=Otlp(enabled=False), kafka=kafka_settings)
    settings = Settings(data_dir=str(victim.data_dir), ingestion=ingestion)
    rate = peak / 2
    command = [sys.executable, kafka_filling.__file__, broker.bootstrap, topic]
    load: subprocess.Popen[bytes] | None = None
    service = ClusterService(settings, number=1, crash_point=lambda _: None)
    tasks = asyncio.create_task(asyncio.sleep(0))
    try:
        victim.start()
        look_for_cycles_rarely()
        load = subprocess.Popen([*command, str(int(60 * rate)), str(rate)])
        service.open()
        tasks = asyncio.create_task(service.run_tasks())
        held = service.membership
        while len(held.held) != PARTITIONS // 2:
            await asyncio.sleep(0.05)
        await asyncio.sleep(BEFORE_SECONDS)
        theirs = {Place(topic, at) for at in range(PARTITIONS)} - held.held.keys()
        victim.signal(signal.SIGKILL)
        start = time.perf_counter()
        again: dict[Place, int] = {}
        first = 0.0
        while True:
            await asyncio.sleep(0.01)
            new = {place: one for place, one in held.held.items() if place in theirs}
            for place, one in new.items():
                again.setdefault(place, one.owner.parts.told_until - one.owner.snapshot_at)
            ahead = [one.owner.judged_to > one.owner.parts.told_until for one in new.values()]
            if any(ahead) and not first:
                first = time.perf_counter() - start
            if len(ahead) == len(theirs) and all(ahead):
                break
        return first, time.perf_counter() - start, sum(again.values())
    finally:
        if load is not None:
            load.kill()
            load.wait()
        victim.close()
        tasks.cancel()
        await asyncio.gather(tasks, return_exceptions=True)
        await asyncio.to_thread(service.close)


def test_partitions_of_a_dead_process_are_judged_again_in_time(
    broker: Kafka, tmp_path: Path, table: Table
) -> None:
    (tmp_path / "peak").mkdir()
    peak = speed(broker, tmp_path / "peak", 1).wall
    first, took, again = asyncio.run(taken_over(broker, tmp_path, peak))
    bound = 1.5 * SESSION_SECONDS + again / (0.8 * peak)
    sys.stdout.write(
        f"at {peak / 2:,.0f} events a second: the first after {first:.2f} s, in each partition "
        f"after {took:.2f} s, {again:,} of them judged again; the bound is {bound:.2f} s\n"
    )
    table.hold(gates("kafka")["takeover"], took / bound)
