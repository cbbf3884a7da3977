"""From a body to a durable record: intake, then the log, then the answer."""

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from sentinel.errors import JournalFull, OverQuota, StateError
from sentinel.intake import Intake, OtlpDecoder, Signal, inflate
from sentinel.model.batch import NOTHING, Batch, Rejection
from sentinel.model.control import Control
from sentinel.model.incident import IncidentEvent
from sentinel.service.quotas import Quotas
from sentinel.service.unpriced import Unpriced
from sentinel.service.work import Work
from sentinel.sources.journal import CONTROL, EVENTS, TICK, Appended
from sentinel.vitals.inventory import Vitals

NS = 1_000_000_000
INLINE_BYTES = 64 * 1024
"""Bodies up to this are decoded on the event loop; larger ones would hold everybody up."""


class Receipt(Struct, frozen=True):
    """What became of one body."""

    accepted: int
    rejected: list[Rejection]
    outcomes: dict[str, int] = {}
    """Of OTLP only: see `Telemetry`; empty where the body was none."""


class _Taken(NamedTuple):
    """A body after intake, and the events as they are kept."""

    batch: Batch
    rejections: list[Rejection]
    payload: bytes
    outcomes: dict[str, int]
    nbytes: int = 0
    """Of the body, inflated."""


_Decode = Callable[[bytes, int, str], _Taken]
"""An inflated body, when it was received, and for whom."""


class Token(Struct):
    """What waits for a record to become durable."""

    batch: Batch | None
    future: "asyncio.Future[int] | None"
    done: Callable[[list[IncidentEvent]], None] | None = None


class Log(Protocol):
    """Where records become durable: a journal, or a topic."""

    def append(
        self, kind: int, payload: bytes, *, received_at: int, tenant: str, token: Token
    ) -> None:
        """Hand over a record; what becomes of it is told by its token."""


class Ingest:
    """Takes bodies on the event loop's thread; the log's thread passes on what is durable.

    `overload` says why nothing more can be taken for now, or "".
    """

    def __init__(
        self,
        intake: Intake,
        journal: Log,
        vitals: Vitals,
        *,
        body_bytes_max: int,
        overload: Callable[[], str],
        quotas: Quotas,
    ) -> None:
        self._intake, self._journal, self._vitals = intake, journal, vitals
        self._overload, self._quotas = overload, quotas
        self._body_bytes_max = body_bytes_max
        self._otlp = OtlpDecoder()
        self.unpriced = Unpriced(vitals)
        self._loop = asyncio.get_running_loop()
        # One: bodies that take turns on one core push each other's events out of its cache, which
        # cost 0.2 us an event, and decoding holds the GIL anyway.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self.last_append = time.monotonic()

    async def take(
        self, body: bytes, encoding: str | None, sender: str = "", tenant: str = "default"
    ) -> Receipt:
        """Take one body; returns when its accepted events are durable.

        `sender` is the name of a key; empty where none was needed.

        Raises
        ------
        OverQuota
            The sender has sent too much: nothing was taken.
        JournalFull
            It is over its bound, or the disk is full: nothing was taken.
        StateError
            It cannot write: nothing was taken.
        """
        return await self._take(self._decode, body, encoding, (sender, tenant))

    async def take_otlp(
        self, otlp: tuple[Signal, bool], body: bytes, encoding: str | None, sender: str = ""
    ) -> Receipt:
        """Take one OTLP request, as `take` does; what it is of, and whether it is JSON."""
        signal = otlp[0]
        decode = partial(self._decode_otlp, *otlp)
        receipt = await self._take(decode, body, encoding, (sender, "default"))
        self._vitals.count_otlp(signal, receipt.outcomes)
        return receipt

    async def _take(
        self, decode: _Decode, body: bytes, encoding: str | None, whose: tuple[str, str]
    ) -> Receipt:
        sender, tenant = whose
        reason = self._overload()
        if reason:
            raise JournalFull(reason, "send again later")
        try:
            self._quotas.admit(sender)
        except OverQuota as error:
            self._vitals.quota_refused.labels(sender or "none", error.unit).inc()
            raise
        received_at = time.time_ns()
        if len(body) <= INLINE_BYTES and encoding is None:
            taken = self._inflated(decode, body, encoding, received_at, tenant)
        else:
            taken = await self._loop.run_in_executor(
                self._pool, self._inflated, decode, body, encoding, received_at, tenant
            )
        events = len(taken.rejections) + len(taken.batch)
        self._quotas.charge(sender, events=events, nbytes=taken.nbytes)
        self._vitals.received.inc(events)
        for rejection in taken.rejections:
            self._vitals.validation_failures.labels(rejection.code).inc()
        flagged = int(taken.batch.over_limit.sum())
        if flagged:
            self._vitals.validation_failures.labels("over_limit").inc(flagged)
        for kind, count in taken.batch.redacted.items():
            self._vitals.redactions.labels(kind.lower()).inc(count)
        self.unpriced.count(taken.batch.unpriced)
        if len(taken.batch):
            token = Token(taken.batch, self._loop.create_future())
            self._append(EVENTS, taken.payload, received_at, tenant, token)
            assert token.future is not None, "made above"
            await token.future
        return Receipt(len(taken.batch), taken.rejections, taken.outcomes)

    async def act(self, control: Control) -> list[IncidentEvent]:
        """Ask something of the engine, as a record of the log; returns what it did.

        Raises
        ------
        JournalFull, StateError
            The journal is over its bound, or cannot write.
        """
        answer: asyncio.Future[list[IncidentEvent]] = self._loop.create_future()

        def done(happened: list[IncidentEvent]) -> None:
            self._loop.call_soon_threadsafe(_give, answer, happened)

        token = Token(None, self._loop.create_future(), done)
        self._append(CONTROL, msgspec.json.encode(control), time.time_ns(), "default", token)
        assert token.future is not None, "made above"
        await token.future
        return await answer

    def tick(self) -> None:
        """Let time pass in the log, where nothing was appended for a second."""
        if time.monotonic() - self.last_append < 1.0:
            return
        try:
            self._append(TICK, b"", time.time_ns(), "default", Token(None, None))
        except (JournalFull, StateError):
            # There is no room for it, or the journal is at its end: the next tick says the same.
            self._vitals.journal_errors.inc()

    def _inflated(
        self, decode: _Decode, body: bytes, encoding: str | None, received_at: int, tenant: str
    ) -> _Taken:
        inflated = inflate(body, encoding=encoding, limit=self._body_bytes_max)
        if isinstance(inflated, Rejection):
            self._vitals.ingestion_errors.labels(inflated.code).inc()
            return _Taken(NOTHING, [inflated], b"", {}, len(body))
        return decode(inflated, received_at, tenant)._replace(nbytes=len(inflated))

    def _decode(self, body: bytes, received_at: int, tenant: str) -> _Taken:
        batch, rejections, _ = self._intake.take(
            body,
            offset=0,
            received_at=received_at,
            tenant=tenant,
            record=True,
            fresh_id=_fresh_id,
        )
        batch, payload = self._intake.packed(batch)
        return _Taken(batch, rejections, payload, {})

    def _decode_otlp(
        self, signal: Signal, json: bool, body: bytes, received_at: int, tenant: str
    ) -> _Taken:
        decoded = self._otlp.decode(signal, body, json=json)
        if isinstance(decoded, Rejection):
            self._vitals.ingestion_errors.labels(decoded.code).inc()
            return _Taken(NOTHING, [decoded], b"", {})
        batch, rejections = self._intake.admit(
            decoded.events,
            offset=0,
            received_at=received_at,
            tenant=tenant,
            record=True,
            fresh_id=_fresh_id,
        )
        batch, payload = self._intake.packed(batch)
        return _Taken(batch, rejections, payload, decoded.outcomes)

    def _append(
        self, kind: int, payload: bytes, received_at: int, tenant: str, token: Token
    ) -> None:
        self._journal.append(kind, payload, received_at=received_at, tenant=tenant, token=token)
        self.last_append = time.monotonic()

    # Called on the journal's thread

    def durable(self, appended: list[Appended]) -> list[Work]:
        """Answer everybody whose record is on disk; returns the engine's work."""
        futures = [a.token.future for a in appended if a.token.future is not None]
        self._loop.call_soon_threadsafe(_resolve, futures)
        work = []
        for item in appended:
            token: Token = item.token
            batch = token.batch
            if batch is not None:
                batch = batch.moved_to(item.offset)
            record = item.record
            work.append(
                Work(
                    offset=item.offset,
                    kind=record.kind,
                    received_at=record.received_at,
                    batch=batch,
                    payload=record.payload if record.kind == CONTROL else b"",
                    done=token.done,
                )
            )
        return work

    def settled(self, token: Token, error: Exception | None) -> None:
        """Answer somebody whose record the brokers have, or could not take."""
        if error is not None:
            self.refused([token], error)
        elif token.future is not None:
            self._loop.call_soon_threadsafe(_resolve, [token.future])

    def refused(self, tokens: list[Token], error: Exception) -> None:
        """Tell everybody whose record could not be made durable."""
        self._vitals.journal_errors.inc(len(tokens))
        futures = [token.future for token in tokens if token.future is not None]
        self._loop.call_soon_threadsafe(_refuse, futures, error)


def _fresh_id() -> str:
    return str(uuid.uuid4())


def _give(answer: "asyncio.Future[list[IncidentEvent]]", happened: list[IncidentEvent]) -> None:
    if not answer.done():
        answer.set_result(happened)


def _resolve(futures: "list[asyncio.Future[int]]") -> None:
    for future in futures:
        if not future.done():
            future.set_result(0)


def _refuse(futures: "list[asyncio.Future[int]]", error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
