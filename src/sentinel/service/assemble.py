"""Who holds whom: the one place where settings become running parts."""

import asyncio
import time
from typing import Any

import msgspec

from sentinel.alerting import Grouper
from sentinel.api.desk import Component
from sentinel.channels.log import LogChannel
from sentinel.engine import Partition
from sentinel.errors import StateError
from sentinel.intake import Intake
from sentinel.model.baseline import BaselineSummary
from sentinel.model.control import Control
from sentinel.model.incident import IncidentEvent
from sentinel.service.engine_loop import EngineLoop
from sentinel.service.outlet import ToChannels
from sentinel.service.owner import Owner, Parts
from sentinel.service.recovery import Recovered, Restored, judge_again, restore
from sentinel.service.relay import Relay
from sentinel.service.running import Running, privacy_key
from sentinel.service.state_place import state_place
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, grouping_rules, intake_settings
from sentinel.sources.journal import Appended, Journal
from sentinel.vitals.logs import log

WAITING_EVENTS_MAX = 200_000
"""Durable and not judged yet, about 120 MB; more is refused with 503."""


class Service(Running):
    """Everything that runs in one process, in embedded mode."""

    _recovered = False

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
        key = privacy_key(settings)
        intake_rules = intake_settings(settings)
        self.checkpoints, name = state_place(settings, log_id)
        self.checkpoint = self.checkpoints.open(name, log_id=log_id, crash_point=crash_point)
        self._open_store(log_id)
        partition = Partition(engine_rules(settings), log_id)
        channel = LogChannel()
        outlet = ToChannels(Grouper(grouping_rules(settings)), [channel.name], self.vitals)
        restored = restore(self.checkpoint, partition, outlet, self.journal)
        self._say_what_is_lost(restored, partition.next_offset)
        self.engine = EngineLoop(self.vitals, failed=self.fail)
        self.owner = Owner(
            Parts(
                partition=partition,
                outlet=outlet,
                checkpoint=self.checkpoint,
                store=self.store.log(log_id),
                vitals=self.vitals,
                votes_of_incidents_only=settings.storage.anomalies == "incidents",
                told_until=restored.told_until,
            ),
            snapshot_secs=settings.detection.baseline.update_interval_secs,
            publish=self.hub.publish,
            committed=lambda: self._relay.wake() if self._relay is not None else None,
        )
        self.engine.own(self.owner)
        # What is in the journal was accepted under the rules of its day, and has its prices:
        # nothing is refused or priced now.
        again = msgspec.structs.replace(intake_rules, on_limit="flag")
        accepted = Intake(again, key=key, log_id=log_id)
        recovered = judge_again(self.owner, self.store, self.journal, accepted)
        self._relay = Relay(self.checkpoint, channel, self.vitals, crash_point=crash_point)
        intake = Intake(intake_rules, key=key, log_id=log_id, prices=self._prices())
        self.ingest = self._ingest(intake, self.journal, self._overload)
        self.engine.start()
        self.journal.start()
        self._recovered = True
        return recovered

    def _say_what_is_lost(self, restored: Restored, begin: int) -> None:
        """Say so where there is no state any more, or the store lacks rows that it had."""
        if restored.is_cold:
            self.vitals.state_cold_starts.inc()
            log.error("state.cold_start", judged_from=begin, kept=self.settings.checkpoint.type)
        rows_to, expected = self.store.cursor, restored.stored_to
        if rows_to < expected:
            self.vitals.storage_gaps.inc()
            log.error("store.older_than_state", rows_to=rows_to, rows_expected_to=expected)

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
        parts = self.owner.parts
        wanted = (engine_rules(self.settings), grouping_rules(self.settings))
        if self.journal.next_offset == 0 or (parts.partition.rules, parts.outlet.rules) != wanted:
            await self.configure(self.settings)

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
        self.engine.put(self.owner, self.ingest.durable(appended))

    def _refused(self, tokens: list[Any], error: Exception) -> None:
        self.ingest.refused(tokens, error)

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
        keep_next = 0
        while True:
            await asyncio.sleep(30.0)
            # As of 30 s ago: a Redis may lose its last second, and a snapshot with it.
            keep_from, keep_next = keep_next, min(self.owner.snapshot_at, self.store.cursor)
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

    def close(self) -> None:
        """Make durable what waits, judge it, keep the state, and let everything go."""
        self.journal.close()
        if not self.engine.stop(timeout=15):
            raise StateError("the engine did not come to an end; the journal has everything")
        self.answers.close()
        if self._relay is not None:
            while self._relay.drain():
                pass
        self.checkpoint.close()
        self.checkpoints.close()

    # What the routes ask

    async def act(self, control: Control) -> list[IncidentEvent] | None:
        """Ask something of the engine, as a record of the journal; returns what it did."""
        return await self.ingest.act(control)

    def baselines(self) -> list[BaselineSummary]:
        """Return a summary of every series."""
        return self.owner.parts.partition.baselines()

    def components(self) -> dict[str, Component]:
        """Return what has to be well for the process to be ready."""
        return {
            "recovery": Component(self._recovered),
            "journal": Component(not self.journal.broken and not self._draining),
            "engine": Component(not self.failure.is_set() and not self.engine.stuck),
            "store": Component(not self.store.is_behind),
        }
