"""What every running process has, whatever its log is: how it fails, what the routes may ask."""

import asyncio
import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from sentinel.api.desk import Component, Desk
from sentinel.intake import Intake, PriceTable
from sentinel.model.baseline import BaselineSummary
from sentinel.model.control import Control
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.service.answers import STORE_FILE, answers_of, store_identity
from sentinel.service.engine_loop import EngineLoop
from sentinel.service.ingest import Ingest, Log
from sentinel.service.private_file import write_private
from sentinel.service.quotas import Quotas
from sentinel.service.recovery import Recovered
from sentinel.service.stream import Hub
from sentinel.settings import Settings
from sentinel.settings.prices import price_table
from sentinel.stores.answers import Answers
from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.queries import IncidentFilter
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

KEY_FILE = "privacy.key"


def privacy_key(settings: Settings) -> bytes:
    """Return the key of pseudonyms: the configured one, or one that is made once and kept where
    only its owner can read it."""
    if settings.privacy.key is not None:
        return hashlib.blake2b(settings.privacy.key.reveal().encode(), digest_size=32).digest()
    path = Path(settings.data_dir) / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        write_private(path, key)
        return key


class Running(ABC):
    """A process that serves; its kinds say where events become durable, and who judges them."""

    store: DuckDbStore
    answers: Answers | DuckDbStore
    hub: Hub
    engine: EngineLoop
    ingest: Ingest
    has_others = False
    """Whether other processes judge, too."""

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
        self._folder = Path(settings.data_dir)

    @abstractmethod
    def open(self) -> Recovered | None:
        """Open what is there, and take up the last state; says what was found, if it knows yet."""

    @abstractmethod
    async def agree(self) -> None:
        """Write the rules into the log where it does not have them: it can be judged without us."""

    @abstractmethod
    async def configure(self, settings: Settings) -> None:
        """Judge and group by the rules of these settings, from a record of the log on."""

    @abstractmethod
    async def act(self, control: Control) -> list[IncidentEvent] | None:
        """Ask something of the engine, as a record of the log; returns what it did.

        None: it is in the log, and another process does it.
        """

    @abstractmethod
    async def run_tasks(self) -> None:
        """Do what is done from time to time, until cancelled."""

    @abstractmethod
    def close(self) -> None:
        """Make durable what waits, keep the state, and let everything go."""

    @abstractmethod
    def baselines(self) -> list[BaselineSummary]:
        """Return a summary of every series."""

    @abstractmethod
    def components(self) -> dict[str, Component]:
        """Return what has to be well for the process to be ready."""

    def fail(self, error: BaseException) -> None:
        """Take note that the process cannot go on; from any thread."""
        log.error("service.failed", error=f"{type(error).__name__}: {error}")
        self._loop.call_soon_threadsafe(self.failure.set)

    def drain(self) -> None:
        """Stop saying that traffic should come here."""
        self._draining = True

    def _open_store(self, log_id: str) -> None:
        """Open what answers questions about the past, and the way to those who watch."""
        self.store = DuckDbStore(
            self._folder / STORE_FILE,
            log_id=log_id,
            query_timeout_secs=self.settings.api.timeout_secs,
            on_failure=self._store_failed,
            crash_point=self._crash_point,
        )
        identity = store_identity(self._folder)
        self.store.open()
        self.answers = answers_of(self.settings, self.store, self.vitals, identity)
        self.hub = Hub(self.vitals)

    def _store_failed(self, error: Exception) -> None:
        self.vitals.storage_errors.inc()
        log.error("store.write_failed", error=str(error))

    def _prices(self) -> PriceTable | None:
        """Return the price list, read whole."""
        prices = price_table(self.settings.prices)
        if prices is not None:
            prices.load()
        return prices

    def _ingest(self, intake: Intake, log_: Log, overload: Callable[[], str]) -> Ingest:
        """Return what takes bodies into a log."""
        settings = self.settings
        own = {key.name: key.quota for key in settings.api.keys if key.quota is not None}
        return Ingest(
            intake,
            log_,
            self.vitals,
            body_bytes_max=settings.api.max_body_size,
            overload=overload,
            quotas=Quotas(settings.ingestion.quota, own),
        )

    # What the routes ask

    def desk(self) -> Desk:
        """Return the service as the routes see it."""
        return Desk(
            take=self.ingest.take,
            take_otlp=self.ingest.take_otlp,
            act=self.act,
            has_others=self.has_others,
            telemetry=self.answers.telemetry,
            anomalies=self.answers.anomalies,
            incidents=self._incidents,
            incident=self.incident,
            baselines=self.baselines,
            unpriced=self.ingest.unpriced.models,
            follow=self.hub.follow,
            components=self.components,
            exposition=self.vitals.exposition,
            body_bytes_max=self.settings.api.max_body_size,
        )

    def _incidents(self, chosen: IncidentFilter, *, limit: int, cursor: str | None) -> Any:
        """Return stored incidents, those that are open as they stand in this moment."""
        page = self.store.incidents(chosen, limit=limit, cursor=cursor)
        standing = self.open_incidents()
        stored = [msgspec.json.decode(row, type=Incident) for row in page.rows]
        rows = [standing.get(incident.id, incident) for incident in stored]
        if cursor is None:
            rows += self._incidents_elsewhere(chosen, {incident.id for incident in rows})
        if chosen.state is not None:
            rows = [incident for incident in rows if incident.state == chosen.state]
        return msgspec.structs.replace(page, rows=rows)

    def open_incidents(self) -> dict[str, Incident]:
        """Return the incidents that are open, as they stand, by id."""
        return self.engine.open_incidents

    def _incidents_elsewhere(self, _: IncidentFilter, __: set[str]) -> list[Incident]:
        """Return open incidents that are chosen, not among those known, and in no store of ours."""
        return []

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident, as it stands in this moment."""
        standing = self.open_incidents().get(incident_id)
        if standing is not None:
            return standing
        stored = self.store.incident(incident_id)
        return None if stored is None else msgspec.json.decode(stored, type=Incident)
