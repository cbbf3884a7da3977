"""Who holds whom: the one place where settings become running parts."""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from sentinel.alerting import Grouper
from sentinel.api.desk import Component, Desk
from sentinel.channels.log import LogChannel
from sentinel.checkpoints.sqlite import Checkpoint
from sentinel.engine import Partition
from sentinel.errors import StateError
from sentinel.intake import Intake
from sentinel.model.control import Control
from sentinel.model.incident import Incident
from sentinel.service.engine_loop import EngineLoop, Parts
from sentinel.service.ingest import Ingest
from sentinel.service.private_file import write_private
from sentinel.service.quotas import Quotas
from sentinel.service.recovery import Recovered, judge_again, restore
from sentinel.service.relay import Relay
from sentinel.service.stream import Hub
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, grouping_rules, intake_settings
from sentinel.settings.prices import price_table
from sentinel.sources.journal import Appended, Journal
from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.queries import IncidentFilter
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

KEY_FILE = "privacy.key"
WAITING_EVENTS_MAX = 200_000
"""Durable and not judged yet, about 120 MB; more is refused with 503."""


def privacy_key(folder: Path) -> bytes:
    """Return the key of pseudonyms, made once and kept where only its owner can read it."""
    path = folder / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        write_private(path, key)
        return key


class Service:
    """Everything that runs in one process, in embedded mode."""

    def __init__(self, settings: Settings, *, crash_point: Callable[[str], None]) -> None:
        self.settings = settings
        self.vitals = Vitals()
        self.failure: asyncio.Event = asyncio.Event()
        """Set when the process cannot go on: what is kept on disk is for the next one."""
        self._loop = asyncio.get_running_loop()
        self._crash_point = crash_point
        self.ticking = True
        """Whether time passes in the log when nothing comes."""
        self._draining = False
        self._recovered = False
        self._folder = Path(settings.data_dir)

    def open(self) -> Recovered:
        """Open what is on disk, take up the last state, judge again what came after it.

        Raises
        ------
        StateError
            The folder belongs to a running process, or cannot be used.
        """
        settings, crash_point = self.settings, self._crash_point
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._relay: Relay | None = None
        self.journal = Journal.open(
            self._folder / "journal",
            on_durable=self._durable,
            on_failed=self._refused,
            on_broken=lambda error: self.fail(error),
            crash_point=crash_point,
        )
        log_id = self.journal.log_id
        key = privacy_key(self._folder)
        intake_rules = intake_settings(settings)
        self.checkpoint = Checkpoint.open(
            self._folder / "checkpoint.sqlite", log_id=log_id, crash_point=crash_point
        )
        self.store = DuckDbStore(
            self._folder / "sentinel.duckdb",
            log_id=log_id,
            query_timeout_secs=settings.api.timeout_secs,
            on_failure=self._store_failed,
            crash_point=crash_point,
        )
        self.store.open()
        partition = Partition(engine_rules(settings), log_id)
        grouper = Grouper(grouping_rules(settings))
        told_until, stored_to = restore(self.checkpoint, partition, grouper, self.journal)
        self._look_for_gap(stored_to)
        channel = LogChannel()
        self.hub = Hub(self.vitals)
        self.engine = EngineLoop(
            Parts(
                partition=partition,
                grouper=grouper,
                checkpoint=self.checkpoint,
                store=self.store,
                vitals=self.vitals,
                destinations=[channel.name],
                votes_of_incidents_only=settings.storage.anomalies == "incidents",
                told_until=told_until,
            ),
            snapshot_secs=settings.detection.baseline.update_interval_secs,
            publish=self.hub.publish,
            committed=lambda: self._relay.wake() if self._relay is not None else None,
            failed=self.fail,
        )
        # What is in the journal was accepted under the rules of its day, and has its prices:
        # nothing is refused or priced now.
        again = msgspec.structs.replace(intake_rules, on_limit="flag")
        recovered = judge_again(self.engine, self.journal, Intake(again, key=key, log_id=log_id))
        self._relay = Relay(self.checkpoint, channel, self.vitals, crash_point=crash_point)
        prices = price_table(settings.prices)
        if prices is not None:
            prices.load()
        intake = Intake(intake_rules, key=key, log_id=log_id, prices=prices)
        self.ingest = self._ingest(intake)
        self.engine.start()
        self.journal.start()
        self._recovered = True
        return recovered

    def _ingest(self, intake: Intake) -> Ingest:
        settings = self.settings
        own = {key.name: key.quota for key in settings.api.keys if key.quota is not None}
        return Ingest(
            intake,
            self.journal,
            self.vitals,
            body_bytes_max=settings.api.max_body_size,
            overload=self._overload,
            quotas=Quotas(settings.ingestion.quota, own),
        )

    def _look_for_gap(self, stored_to: int) -> None:
        """Say so where the store lacks rows that it had: somebody put an older file there."""
        if self.store.cursor < stored_to:
            self.vitals.storage_gaps.inc()
            log.error(
                "store.older_than_state", rows_to=self.store.cursor, rows_expected_to=stored_to
            )

    async def configure(self, settings: Settings) -> None:
        """Judge and group by the rules of these settings, from a record of the log on."""
        rules, grouping = engine_rules(settings), grouping_rules(settings)
        await self.ingest.act(
            Control(
                kind="configure",
                rules=msgspec.Raw(msgspec.json.encode(rules)),
                grouping=msgspec.Raw(msgspec.json.encode(grouping)),
            )
        )

    async def agree(self) -> None:
        """Write the rules into the log where it does not have them: it can be judged without us."""
        parts = self.engine.parts
        wanted = (engine_rules(self.settings), grouping_rules(self.settings))
        if self.journal.next_offset == 0 or (parts.partition.rules, parts.grouper.rules) != wanted:
            await self.configure(self.settings)

    def fail(self, error: BaseException) -> None:
        """Take note that the process cannot go on; from any thread."""
        log.error("service.failed", error=f"{type(error).__name__}: {error}")
        self._loop.call_soon_threadsafe(self.failure.set)

    def _overload(self) -> str:
        """Return why nothing more can be taken for now, or an empty text."""
        if self._draining:
            return "the service is stopping"
        if self.store.is_behind:
            return "the store is behind"
        if self.engine.waiting_events > WAITING_EVENTS_MAX:
            return "the engine is behind"
        if self.engine.stuck:
            return f"state cannot be kept: {self.engine.stuck}"
        return ""

    # From the journal's thread

    def _durable(self, appended: list[Appended]) -> None:
        self.engine.put(self.ingest.durable(appended))

    def _refused(self, tokens: list[Any], error: Exception) -> None:
        self.ingest.refused(tokens, error)

    def _store_failed(self, error: Exception) -> None:
        self.vitals.storage_errors.inc()
        log.error("store.write_failed", error=str(error))

    # Tasks of the event loop

    async def run_tasks(self) -> None:
        """Tick, relay and clean up until cancelled."""
        assert self._relay is not None, "opened before"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._relay.run())
            tasks.create_task(self._tick())
            tasks.create_task(self._clean_up())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self.ticking and not self._draining:
                self.ingest.tick()
            self.vitals.storage_backlog.set(self.store.backlog_bytes)
            self.vitals.storage_cursor.set(self.store.cursor)
            self.vitals.journal_bytes.set(self.journal.nbytes)
            self.vitals.journal_offset.set(self.journal.next_offset)
            self.vitals.outbox_bytes.set(self.checkpoint.outbox_bytes)

    async def _clean_up(self) -> None:
        retention = self.settings.journal
        while True:
            await asyncio.sleep(30.0)
            keep_from = min(self.engine.snapshot_at, self.store.cursor)
            try:
                await asyncio.to_thread(
                    self.journal.retain,
                    keep_from,
                    now_ns=time.time_ns(),
                    hours=retention.retention_hours,
                    nbytes=retention.retention_bytes,
                )
            except StateError as error:
                log.error("journal.not_trimmed", error=str(error))

    def drain(self) -> None:
        """Stop saying that traffic should come here."""
        self._draining = True

    def close(self) -> None:
        """Make durable what waits, judge it, keep the state, and let everything go."""
        self.journal.close()
        if not self.engine.stop(timeout=15):
            raise StateError("the engine did not come to an end; the journal has everything")
        self.store.close()
        if self._relay is not None:
            while self._relay.drain():
                pass
        self.checkpoint.close()

    # What the routes ask

    def desk(self) -> Desk:
        """Return the service as the routes see it."""
        return Desk(
            take=self.ingest.take,
            take_otlp=self.ingest.take_otlp,
            act=self.ingest.act,
            telemetry=self.store.telemetry,
            anomalies=self.store.anomalies,
            incidents=self._incidents,
            incident=self._incident,
            baselines=self.engine.parts.partition.baselines,
            unpriced=self.ingest.unpriced.models,
            follow=self.hub.follow,
            components=self._components,
            exposition=self.vitals.exposition,
            body_bytes_max=self.settings.api.max_body_size,
        )

    def _incidents(self, chosen: IncidentFilter, *, limit: int, cursor: str | None) -> Any:
        """Return stored incidents, those that are open as they stand in this moment."""
        page = self.store.incidents(chosen, limit=limit, cursor=cursor)
        standing = self.engine.open_incidents
        stored = [msgspec.json.decode(row, type=Incident) for row in page.rows]
        rows = [standing.get(incident.id, incident) for incident in stored]
        if chosen.state is not None:
            rows = [incident for incident in rows if incident.state == chosen.state]
        return msgspec.structs.replace(page, rows=rows)

    def _incident(self, incident_id: str) -> Incident | None:
        standing = self.engine.open_incidents.get(incident_id)
        if standing is not None:
            return standing
        stored = self.store.incident(incident_id)
        return None if stored is None else msgspec.json.decode(stored, type=Incident)

    def _components(self) -> dict[str, Component]:
        return {
            "recovery": Component(self._recovered),
            "journal": Component(not self.journal.broken and not self._draining),
            "engine": Component(not self.failure.is_set() and not self.engine.stuck),
            "store": Component(not self.store.is_behind),
        }
