"""From a body to a durable record: intake, then the log, then the answer."""

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from sentinel.errors import JournalFull, OverQuota, StateError
from sentinel.intake import Intake, OtlpDecoder, Signal, inflate
from sentinel.model.batch import NOTHING, Batch, Rejection
from sentinel.model.control import Control
from sentinel.model.incident import IncidentEvent
from sentinel.service.gathering import GATHERED_BYTES, Gathering, Kept, is_single
from sentinel.service.quotas import Quotas
from sentinel.service.unpriced import Unpriced
from sentinel.service.work import Work
from sentinel.sources.journal import CONTROL, EVENTS, TICK, Appended
from sentinel.vitals.inventory import Vitals

NS = 1_000_000_000
INLINE_BYTES = GATHERED_BYTES
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


_Decode = Callable[[bytes, int], _Taken]
"""An inflated body, and when it was received."""
_ACCEPTED: Final = Receipt(1, [])
"""Of a single event."""


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
        self._gathering = Gathering(self._keep_lines)
        # One: bodies that take turns on one core push each other's events out of its cache, which
        # cost 0.2 us an event, and decoding holds the GIL anyway.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self.last_append = time.monotonic()

    async def take(self, body: bytes, encoding: str | None, sender: str = "") -> Receipt:
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
        if encoding is not None or not is_single(body):
            return await self._take(self._decode, body, encoding, sender)
        self._admit(sender)
        self._quotas.charge(sender, events=1, nbytes=len(body))
        refused = await self._gathering.put(body, time.time_ns())
        return Receipt(0, refused) if refused else _ACCEPTED

    async def take_otlp(
        self, otlp: tuple[Signal, bool], body: bytes, encoding: str | None, sender: str = ""
    ) -> Receipt:
        """Take one OTLP request, as `take` does; what it is of, and whether it is JSON."""
        signal = otlp[0]
        decode = partial(self._decode_otlp, *otlp)
        receipt = await self._take(decode, body, encoding, sender)
        self._vitals.count_otlp(signal, receipt.outcomes)
        return receipt

    def _admit(self, sender: str) -> None:
        reason = self._overload()
        if reason:
            raise JournalFull(reason, "send again later")
        try:
            self._quotas.admit(sender)
        except OverQuota as error:
            self._vitals.quota_refused.labels(sender or "none", error.unit).inc()
            raise

    async def _take(
        self, decode: _Decode, body: bytes, encoding: str | None, sender: str
    ) -> Receipt:
        self._admit(sender)
        received_at = time.time_ns()
        if len(body) <= INLINE_BYTES and encoding is None:
            taken = self._inflated(decode, body, encoding, received_at)
        else:
            taken = await self._loop.run_in_executor(
                self._pool, self._inflated, decode, body, encoding, received_at
            )
        events = len(taken.rejections) + len(taken.batch)
        self._quotas.charge(sender, events=events, nbytes=taken.nbytes)
        durable = self._keep(taken, received_at)
        if durable is not None:
            await durable
        return Receipt(len(taken.batch), taken.rejections, taken.outcomes)

    def _keep_lines(self, lines: bytes, received_at: int) -> Kept:
        """Take single events that were gathered."""
        taken = self._decode(lines, received_at, lines=True)
        return taken.rejections, self._keep(taken, received_at)

    def _keep(self, taken: _Taken, received_at: int) -> "asyncio.Future[int] | None":
        """Count what came and hand over what was accepted; returns what tells when it is durable.

        None: nothing was accepted.
        """
        vitals, batch = self._vitals, taken.batch
        vitals.received.inc(len(taken.rejections) + len(batch))
        for rejection in taken.rejections:
            vitals.validation_failures.labels(rejection.code).inc()
        flagged = int(batch.over_limit.sum())
        if flagged:
            vitals.validation_failures.labels("over_limit").inc(flagged)
        for kind, count in batch.redacted.items():
            vitals.redactions.labels(kind.lower()).inc(count)
        self.unpriced.count(batch.unpriced)
        if not len(batch):
            return None
        durable: asyncio.Future[int] = self._loop.create_future()
        self._append(EVENTS, taken.payload, received_at, Token(batch, durable))
        return durable

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
        self._append(CONTROL, msgspec.json.encode(control), time.time_ns(), token)
        assert token.future is not None, "made above"
        await token.future
        return await answer

    def tick(self) -> None:
        """Let time pass in the log, where nothing was appended for a second."""
        if time.monotonic() - self.last_append < 1.0:
            return
        try:
            self._append(TICK, b"", time.time_ns(), Token(None, None))
        except (JournalFull, StateError):
            # There is no room for it, or the journal is at its end: the next tick says the same.
            self._vitals.journal_errors.inc()

    def _inflated(
        self, decode: _Decode, body: bytes, encoding: str | None, received_at: int
    ) -> _Taken:
        inflated = inflate(body, encoding=encoding, limit=self._body_bytes_max)
        if isinstance(inflated, Rejection):
            self._vitals.ingestion_errors.labels(inflated.code).inc()
            return _Taken(NOTHING, [inflated], b"", {}, len(body))
        return decode(inflated, received_at)._replace(nbytes=len(inflated))

    def _decode(self, body: bytes, received_at: int, *, lines: bool = False) -> _Taken:
        batch, rejections, _ = self._intake.take(
            body, offset=0, received_at=received_at, record=True, lines=lines, fresh_id=_fresh_id
        )
        batch, payload = self._intake.packed(batch)
        return _Taken(batch, rejections, payload, {})

    def _decode_otlp(self, signal: Signal, json: bool, body: bytes, received_at: int) -> _Taken:
        decoded = self._otlp.decode(signal, body, json=json)
        if isinstance(decoded, Rejection):
            self._vitals.ingestion_errors.labels(decoded.code).inc()
            return _Taken(NOTHING, [decoded], b"", {})
        batch, rejections = self._intake.admit(
            decoded.events, offset=0, received_at=received_at, record=True, fresh_id=_fresh_id
        )
        batch, payload = self._intake.packed(batch)
        return _Taken(batch, rejections, payload, decoded.outcomes)

    def _append(self, kind: int, payload: bytes, received_at: int, token: Token) -> None:
        self._journal.append(kind, payload, received_at=received_at, tenant="default", token=token)
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
