"""From a topic of a real broker to verdicts: events a second of CPU, the protocol on against off.

On: commits, snapshots, the store's cursors.  Off: the same pipeline, that keeps nothing.  CPU
seconds are those of the whole process, the client's threads included; the broker has its own.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.kafka_filling import fill, make_topic
from sentinel.service import owner
from sentinel.service.cluster import ClusterService
from sentinel.service.serve import look_for_cycles_rarely
from sentinel.settings import Settings
from sentinel.settings.kafka import Kafka as KafkaSettings
from sentinel.settings.schema import Ingestion, Otlp
from servers.kafka import Kafka, kafka
from yardstick import Table, gates

EVENTS = 600_000
TOPIC = "llm.telemetry"
PARTITIONS = 4
WARM, MEASURED = 0.1, 0.95
"""From which to which share of the events is measured."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with kafka(tmp_path_factory.mktemp("kafka")) as cluster:
        make_topic(cluster.bootstrap, TOPIC, PARTITIONS)
        fill(cluster.bootstrap, TOPIC, EVENTS)
        yield cluster


class Kept:
    """A store that has everything at once."""

    cursor = 1 << 60

    def put(self, rows: Any) -> None:
        pass

    def flush(self, _: float = 0) -> bool:
        return True


async def judged(broker: Kafka, folder: Path, *, stored: bool) -> tuple[float, float]:
    """Return events a second, and events a CPU second."""
    settings = Settings(
        data_dir=str(folder),
        ingestion=Ingestion(
            otlp=Otlp(enabled=False),
            kafka=KafkaSettings(
                brokers=(broker.bootstrap,), auto_offset_reset="earliest", group_id=folder.name
            ),
        ),
    )
    look_for_cycles_rarely()
    service = ClusterService(settings, crash_point=lambda _: None)
    if not stored:
        place: Any = Kept()
        service._open_store = lambda log_id: _without_rows(service, log_id, place)  # type: ignore[method-assign]
    service.ticking = False
    service.open()
    tasks = asyncio.create_task(service.run_tasks())

    async def reached(count: float) -> tuple[float, float, int]:
        while (done := sum(h.owner.judged_to for h in service.membership.held.values())) < count:
            await asyncio.sleep(0.01)
        return time.perf_counter(), time.process_time(), done

    begin = await reached(EVENTS * WARM)
    end = await reached(EVENTS * MEASURED)
    tasks.cancel()
    await asyncio.gather(tasks, return_exceptions=True)
    await asyncio.to_thread(service.close)
    count = end[2] - begin[2]
    return count / (end[0] - begin[0]), count / (end[1] - begin[1])


def _without_rows(service: ClusterService, log_id: str, place: Any) -> None:
    """Open the store, and keep nothing there."""
    ClusterService._open_store(service, log_id)
    service.store.log = lambda _: place  # type: ignore[method-assign,assignment]


def test_events_of_a_topic_a_cpu_second(
    broker: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    found: dict[str, float] = {}
    for kept in ("nothing", "state", "state and rows") * 2:
        with monkeypatch.context() as patched:
            if kept == "nothing":
                patched.setattr(owner, "COMMIT_SECONDS", 1e9)
                patched.setattr(owner, "COMMIT_EVENTS", 1 << 60)
                patched.setattr(owner, "SNAPSHOT_EVENTS", 1 << 60)
            folder = tmp_path / f"{kept.replace(' ', '-')}-{len(list(tmp_path.iterdir()))}"
            wall, cpu = asyncio.run(judged(broker, folder, stored=kept == "state and rows"))
        found[kept] = max(found.get(kept, 0.0), cpu)
        print(f"{kept}: {wall:,.0f} events a second, {cpu:,.0f} a CPU second")
    for kept, cpu in found.items():
        table.note(f"kafka, {kept} kept", cpu, "events a CPU second")
    table.hold(gates("kafka")["state_beside_nothing"], found["state"] / found["nothing"])
