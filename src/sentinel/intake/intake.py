"""The face of the room: a body at a position becomes a batch and the reasons for what is missing.

body -> decode -> read (one form, columns) -> price -> admit -> redact -> Batch
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sentinel._core.columns import Columns, Reader, is_name
from sentinel._core.marks import Marker
from sentinel._core.prices import Costs
from sentinel.errors import SettingsError
from sentinel.intake.admit import REASONS, Gate, Refusal
from sentinel.intake.decode import EventDecoder
from sentinel.intake.identity import PositionIds, bits_of
from sentinel.intake.keep import EventKeeper
from sentinel.intake.prices import PriceTable
from sentinel.intake.redact import Redactor
from sentinel.intake.settings import IntakeSettings
from sentinel.model.batch import Batch, Key, Rejection
from sentinel.model.event import Event, Prompt, Response
from sentinel.model.kept import Kept, Lines

KEY_BYTES: Final = (16, 64)
"""Least and most of a key for pseudonyms: 128 bits, and what BLAKE2b takes."""

_encoder: Final = msgspec.json.Encoder()


class Origin(NamedTuple):
    """Where events come from: what gives them their position, their time and their ids."""

    offset: int | NDArray[np.int64]
    """Of the body, or of each input."""
    received_at: int | NDArray[np.int64] | None
    tenant: str
    record: bool
    fresh_id: Callable[[], str] | None


def canonical(events: Sequence[Event]) -> bytes:
    """Return events as they are kept: NDJSON that intake takes again and gives back unchanged."""
    return _encoder.encode_lines(events)


class Intake:
    """Turns what producers send for one partition into batches.

    Pure: what comes out depends on the arguments alone.  Threads may share one.

    Without `prices` no cost is worked out: what was accepted once has the costs of its day.
    """

    def __init__(
        self,
        settings: IntakeSettings,
        *,
        key: bytes,
        log_id: str,
        partition: int = 0,
        prices: PriceTable | None = None,
    ) -> None:
        least, most = KEY_BYTES
        if not least <= len(key) <= most:
            raise SettingsError(
                f"privacy key: got {len(key)} bytes, expected {least} to {most}",
                "use 32 random bytes",
            )
        self._partition = partition
        self._decoder = EventDecoder(
            max_event_bytes=settings.max_event_bytes, max_depth=settings.max_depth
        )
        self._reader = Reader(Event, Prompt, Response)
        self._marker = Marker(Event, Response)
        self._keeper = EventKeeper()
        self._costs = None if prices is None else Costs(Event, Response, prices.tariff)
        self._gate = Gate(settings)
        self._redactor = Redactor(settings, self._reader, key)
        self._position_ids = PositionIds(log_id, partition)

    def take(
        self,
        body: bytes,
        *,
        offset: int,
        received_at: int | None,
        tenant: str = "default",
        record: bool = False,
        lines: bool = False,
        fresh_id: Callable[[], str] | None = None,
    ) -> tuple[Batch, list[Rejection], int]:
        """Take one body; return its batch, its rejections by position, and how many inputs it held.

        Parameters
        ----------
        body
            One JSON object, a JSON array or NDJSON; with `lines`, NDJSON and nothing else.
        offset
            Position of the body.  A stream (`record` false): input k of the body, refused or not,
            has offset `offset + k` and index 0; the next body begins at offset + inputs held.  One
            record of a log (`record` true): all accepted events have this offset, and their index
            counts the accepted.
        received_at
            Nanoseconds since 1970 UTC.  None = replay: an event was received at its timestamp, and
            one without is refused.
        fresh_id
            Makes the id of an event that has none; without it the position does.
        """
        decoded = self._decoder.decode(body, lines=lines)
        where = Origin(offset, received_at, tenant, record, fresh_id)
        batch, refused = self._settle(decoded.events, decoded.positions, where)
        rejections = refused
        if decoded.rejections:
            base = 0 if record else offset
            rejections = [
                msgspec.structs.replace(rejection, position=base + rejection.position)
                for rejection in decoded.rejections
            ]
            rejections = sorted(rejections + refused, key=lambda rejection: rejection.position)
        return batch, rejections, decoded.inputs

    def take_each(
        self,
        bodies: Sequence[bytes],
        *,
        offset: NDArray[np.int64],
        received_at: NDArray[np.int64],
        tenant: str = "default",
    ) -> tuple[Batch, list[Rejection]]:
        """Take bodies that are one event on one line, each a record of a log at its own position.

        What comes out is what `take` gives for one after the other, at a fraction of the cost; the
        position of a rejection is the ordinal of its body.

        Parameters
        ----------
        offset : int64[n]
        received_at : int64[n], nanoseconds since 1970 UTC

        Raises
        ------
        ValueError
            A body is not one line.
        """
        decoded = self._decoder.decode(b"\n".join(bodies), lines=True)
        if decoded.inputs != len(bodies):
            raise ValueError(f"expected {len(bodies)} lines, got {decoded.inputs}")
        where = Origin(offset, received_at, tenant, True, None)
        batch, refused = self._settle(decoded.events, decoded.positions, where)
        rejections = decoded.rejections + refused
        return batch, sorted(rejections, key=lambda rejection: rejection.position)

    def admit(
        self,
        events: list[Event],
        *,
        offset: int,
        received_at: int | None,
        tenant: str = "default",
        record: bool = False,
        fresh_id: Callable[[], str] | None = None,
    ) -> tuple[Batch, list[Rejection]]:
        """Take events that another reader has decoded; they are changed in place.

        Everything else is as for `take`.
        """
        return self._settle(events, None, Origin(offset, received_at, tenant, record, fresh_id))

    def packed(self, batch: Batch) -> tuple[Batch, bytes]:
        """Return a batch in the form in which it waits for engine and store, and its record.

        What a store keeps is taken out of the events, and they become the lines of the record.
        """
        record = canonical(batch.events)
        lines = Lines([(record, len(batch))])
        return msgspec.structs.replace(batch, events=lines, kept=self.kept(batch.events)), record

    def kept(self, events: Sequence[Event]) -> tuple[Kept, ...]:
        """Return what a store keeps of canonical events beside the columns of their batch."""
        return (self._keeper.keep(list(events)),)

    def _settle(
        self, events: list[Event], positions: list[int] | None, where: Origin
    ) -> tuple[Batch, list[Rejection]]:
        ordinal = np.arange(len(events)) if positions is None else np.array(positions, np.int64)
        received_at: int | NDArray[np.int64] | None = None
        if isinstance(where.received_at, np.ndarray):
            received_at = where.received_at[ordinal] // 1000
            columns = self._reader.read(events, -1, received_at)
        else:
            received_at = None if where.received_at is None else where.received_at // 1000
            columns = self._reader.read(events, -1 if received_at is None else received_at)
        unpriced = None
        if self._costs is not None:
            unpriced = self._costs.fill(events, columns.fault, columns.time, columns.values)
        over_limit, refused = self._gate.check(columns, received_at)
        if not is_name(where.tenant):
            refused = [Refusal(row, "bad_name", "tenant") for row in range(len(events))]
        rejections = _rejections(refused, ordinal if where.record else ordinal + where.offset)
        if refused:
            keep = np.ones(len(events), np.bool_)
            keep[[refusal.row for refusal in refused]] = False
            events = [events[row] for row in np.flatnonzero(keep)]
            columns = _kept(columns, keep)
            ordinal, over_limit = ordinal[keep], over_limit[keep]
            if isinstance(received_at, np.ndarray):
                received_at = received_at[keep]
        n = len(events)
        offset, index = _places(where, ordinal)
        redacted: Counter[str] = Counter()
        self._identify(events, columns, (offset, index), where.fresh_id, redacted)
        self._redactor.redact(events, redacted)
        finish, user, session = self._marker.read(events)
        time = columns.time * 1000
        received = time
        if received_at is not None:
            received = np.empty(n, np.int64)
            received[:] = received_at * 1000
        batch = Batch(
            events=events,
            keys=[Key(where.tenant, *key) for key in columns.keys],
            key=columns.key,
            time=time,
            received=received,
            values=columns.values,
            id_high=columns.id_high,
            id_low=columns.id_low,
            offset=offset,
            index=index,
            over_limit=over_limit,
            finish=finish,
            user=user,
            session=session,
            partition=self._partition,
            redacted=redacted,
            unpriced=unpriced or {},
        )
        return batch, rejections

    def _identify(
        self,
        events: list[Event],
        columns: Columns,
        place: tuple[NDArray[np.int64], NDArray[np.int32]],
        fresh_id: Callable[[], str] | None,
        redacted: Counter[str],
    ) -> None:
        """Give ids to the events that have none, and 128 bits to the ids that are no uuid."""
        if not np.count_nonzero(columns.id_source):
            return
        for row in np.flatnonzero(columns.id_source):
            event = events[row]
            if event.event_id is None:
                event.event_id = (
                    fresh_id()
                    if fresh_id is not None
                    else self._position_ids.at(int(place[0][row]), int(place[1][row]))
                )
            else:
                event.event_id = self._redactor.clean_id(event.event_id, redacted)
            columns.id_high[row], columns.id_low[row] = bits_of(event.event_id)


def _places(
    where: Origin, ordinal: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return offset and index of the inputs that were accepted."""
    n = len(ordinal)
    if isinstance(where.offset, np.ndarray):
        return where.offset[ordinal], np.zeros(n, np.int32)
    if where.record:
        return np.full(n, where.offset), np.arange(n, dtype=np.int32)
    return ordinal + where.offset, np.zeros(n, np.int32)


def _rejections(refused: list[Refusal], position: NDArray[np.int64]) -> list[Rejection]:
    return [
        Rejection(
            code=refusal.code,
            position=int(position[refusal.row]),
            path=refusal.path,
            reason=REASONS[refusal.code],
        )
        for refusal in refused
    ]


def _kept(columns: Columns, keep: NDArray[np.bool_]) -> Columns:
    """Return the columns of the rows that are kept, and the keys that these still use."""
    used, first, key = np.unique(columns.key[keep], return_index=True, return_inverse=True)
    order = np.argsort(first)  # keys stand in order of appearance
    rank = np.empty(len(used), np.int32)
    rank[order] = np.arange(len(used), dtype=np.int32)
    return Columns(
        time=columns.time[keep],
        values=columns.values[keep],
        key=rank[key],
        keys=[columns.keys[used[number]] for number in order],
        id_high=columns.id_high[keep],
        id_low=columns.id_low[keep],
        id_source=columns.id_source[keep],
        fault=columns.fault[keep],
    )
