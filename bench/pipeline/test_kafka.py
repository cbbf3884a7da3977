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
from sentinel.service.serve import collect_rarely
from sentinel.settings import Settings
from sentinel.settings.kafka import Kafka as KafkaSettings
from sentinel.settings.schema import Ingestion, Otlp
from servers.kafka import Kafka, kafka

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
    collect_rarely()
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


@pytest.mark.parametrize("kept", ["nothing", "state", "state and rows"])
def test_events_of_a_topic_a_second(
    broker: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    if kept == "nothing":
        monkeypatch.setattr(owner, "COMMIT_SECONDS", 1e9)
        monkeypatch.setattr(owner, "COMMIT_EVENTS", 1 << 60)
        monkeypatch.setattr(owner, "SNAPSHOT_EVENTS", 1 << 60)
    best = (0.0, 0.0)
    for turn in range(2):
        folder = tmp_path / f"{kept.replace(' ', '-')}-{turn}-{time.time_ns()}"
        best = max(best, asyncio.run(judged(broker, folder, stored=kept == "state and rows")))
    print(f"{kept}: {best[0]:,.0f} events a second, {best[1]:,.0f} a CPU second")
