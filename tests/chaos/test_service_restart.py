"""A service that starts again: what it knew, it knows; what was changed meanwhile is in the log."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import msgspec
import pytest
from structlog.testing import capture_logs

from chaos.callers import Calls
from chaos.remains import Replayed, alerts_told, assert_as_if_nothing_had_happened
from sentinel.model.incident import Incident
from sentinel.service import ingest
from sentinel.service.assemble import Service
from sentinel.service.serve import _on_hangup
from sentinel.settings import Settings
from sentinel.settings.schema import Alerting, Deduplication, Storage
from sentinel.sources.journal import CONTROL, read_folder
from sentinel.stores.queries import IncidentFilter

Deed = Callable[[Service], Awaitable[None]]


def settings_for(data_dir: Path, *, window_secs: int = 300) -> Settings:
    return Settings(
        data_dir=str(data_dir),
        alerting=Alerting(deduplication=Deduplication(window_secs=window_secs)),
    )


def run(settings: Settings, deed: Deed) -> None:
    """Run a service without its door, in this process."""

    async def life() -> None:
        service = Service(settings, crash_point=lambda _: None)
        service.open()
        await service.agree()
        await deed(service)
        await asyncio.to_thread(service.close)

    asyncio.run(life())


async def judged(service: Service) -> None:
    deadline = time.monotonic() + 20
    while service.owner.judged_to < service.journal.next_offset:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def send(calls: Calls, acknowledged: set[str], bodies: int) -> Deed:
    async def deed(service: Service) -> None:
        for _ in range(bodies):
            ids, body = calls.body(5)
            assert (await service.ingest.take(body, None)).accepted == 5
            acknowledged.update(ids)
        await judged(service)

    return deed


async def nothing(_: Service) -> None:
    pass


@pytest.mark.usefixtures("log_file")
def test_an_incident_that_is_open_is_shown_after_a_restart_as_before(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "data")
    acknowledged: set[str] = set()
    shown: list[dict[str, Incident]] = []

    async def look(service: Service) -> None:
        page = service.desk().incidents(IncidentFilter(state="open"), limit=10, cursor=None)
        shown.append({incident.id: incident for incident in page.rows})
        standing = service.owner.parts.partition.open_incidents()
        assert shown[-1].keys() == {incident.id for incident in standing}
        lines = service.vitals.exposition().decode().splitlines()
        gauges = [line for line in lines if "incidents_open{" in line]
        assert sum(float(line.rpartition(" ")[2]) for line in gauges) == len(standing) > 0

    async def send_and_look(service: Service) -> None:
        await send(Calls("svc", 3), acknowledged, 52)(service)
        await asyncio.to_thread(service.store.flush)
        await look(service)

    run(settings, send_and_look)
    run(settings, look)
    assert shown[0] == shown[1]


def test_rules_of_grouping_that_changed_between_two_runs_are_in_the_log(
    tmp_path: Path, log_file: Path
) -> None:
    data_dir = tmp_path / "data"
    calls, acknowledged = Calls("svc", 3), set[str]()
    for window_secs in (300, 1, 1, 300):
        settings = settings_for(data_dir, window_secs=window_secs)
        run(settings, send(calls, acknowledged, 80))
    controls = [r for r in read_folder(data_dir / "journal").records if r.kind == CONTROL]
    assert len(controls) == 3
    assert alerts_told([log_file])
    assert_as_if_nothing_had_happened(data_dir, [log_file], acknowledged)


def test_a_service_that_only_starts_and_stops_writes_nothing_more(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "data")
    for _ in range(3):
        run(settings, nothing)
    assert Replayed(tmp_path / "data").records == 1


def test_a_series_that_is_silent_does_not_hold_the_journal_back(tmp_path: Path) -> None:
    async def deed(service: Service) -> None:
        service.owner.snapshot_secs = 0.0
        for name in ("silent", "speaks"):
            await send(Calls(name, 3), set(), 10)(service)
            await snapshot(service, service.journal.next_offset)
        series = {record.name: record.offset for record in service.checkpoint.series()}
        assert min(series.values()) < service.journal.next_offset == service.owner.snapshot_at

    run(settings_for(tmp_path / "data"), deed)


async def snapshot(service: Service, at: int) -> None:
    """Wait until the snapshot on disk stands at a position."""
    deadline = time.monotonic() + 20
    while service.owner.snapshot_at < at:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
        service.engine.put(service.owner, [])


def test_a_snapshot_waits_for_the_store_to_have_the_rows_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path / "data")

    async def deed(service: Service) -> None:
        cursor = service.owner.parts.store.cursor
        owner = service.owner
        monkeypatch.setattr(type(service.owner.parts.store), "cursor", property(lambda _: cursor))
        owner.snapshot_secs = 0.0
        await send(Calls("svc", 3), set(), 20)(service)
        await asyncio.sleep(1.5)
        assert owner.snapshot_at <= 1, "beyond the record of the rules there are rows"
        monkeypatch.undo()
        await snapshot(service, 2)

    run(settings, deed)


def test_a_series_that_was_given_up_leaves_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time_ns() + 400 * 24 * 3_600_000_000_000
    clock = SimpleNamespace(time_ns=lambda: later, monotonic=time.monotonic)

    async def deed(service: Service) -> None:
        service.owner.snapshot_secs = 0.0
        await send(Calls("old", 3), set(), 10)(service)
        await snapshot(service, service.journal.next_offset)
        assert b"old" in names_of(service)
        monkeypatch.setattr(ingest, "time", clock)
        # T moves on, then what is idle is found, then it is let go.
        for _ in range(3):
            body = b'{"service_name": "new", "model": "m", "latency_ms": 1}'
            await service.ingest.take(body, None)
            await judged(service)
        await snapshot(service, service.journal.next_offset)
        assert b"new" in names_of(service)
        assert b"old" not in names_of(service)

    run(settings_for(tmp_path / "data"), deed)


def names_of(service: Service) -> bytes:
    return b" ".join(record.name for record in service.checkpoint.series())


def test_a_store_that_is_older_than_the_snapshot_is_named_and_counted(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path / "data")
    gaps = []

    async def look(service: Service) -> None:
        gaps.append(service.vitals.storage_gaps._value.get())

    run(settings, send(Calls("svc", 3), set(), 20))
    run(settings, look)
    for file in (tmp_path / "data").glob("sentinel.duckdb*"):
        file.unlink()
    with capture_logs() as lines:
        run(settings, look)
    assert gaps == [0, 1]
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "store.older_than_state"
    ]


def test_hangup_on_a_full_journal_keeps_the_rules_and_the_service(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "data")
    changed = settings_for(tmp_path / "data", window_secs=60)

    async def deed(service: Service) -> None:
        _on_hangup(service, lambda: changed)
        limits = service.journal.limits
        service.journal.limits = msgspec.structs.replace(limits, max_waiting_bytes=1)
        with capture_logs() as lines:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.2)
        assert [line["event"] for line in lines] == ["settings.refused"]
        assert service.settings == settings
        service.journal.limits = limits
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.2)
        await judged(service)
        assert service.settings == changed
        assert service.owner.parts.outlet.rules.window_secs == 60
        assert not service.failure.is_set()

    run(settings, deed)
    kinds = [record.kind for record in read_folder(tmp_path / "data" / "journal").records]
    assert kinds.count(CONTROL) == 2, "the rules at the start, and once the changed ones"


@pytest.mark.parametrize("kept", ["full", "incidents"])
def test_votes_without_an_incident_are_counted_and_only_kept_when_all_are(
    tmp_path: Path, kept: Literal["full", "incidents"]
) -> None:
    settings = msgspec.structs.replace(
        settings_for(tmp_path / "data"), storage=Storage(anomalies=kept)
    )
    # A call in ten is slower than all others are: votes, and no incident.
    calls = [
        {"service_name": "s", "model": "m", "latency_ms": 100 + k * 37 % 11 + (k % 50 == 49) * 40}
        for k in range(400)
    ]
    body = "\n".join(map(json.dumps, calls)).encode()

    async def deed(service: Service) -> None:
        await service.ingest.take(body, None)
        await judged(service)
        assert service.store.flush()
        votes = service.owner.votes
        assert votes > 0
        assert service.store.incidents().rows == []
        assert service.store.counts()["anomalies"] == (votes if kept == "full" else 0)

    run(settings, deed)
