"""From what the engine gives to columns: Rows -> Block, a few microseconds for each thousand cells.

The only file that imports pyarrow, and only once a store is opened.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sentinel.model.batch import Batch, Key
from sentinel.model.incident import Incident
from sentinel.model.kept import KEPT_SIZES, KEPT_TEXTS, lengths_of, sizes_of
from sentinel.model.metric import METRICS
from sentinel.model.severity import SEVERITIES
from sentinel.model.votes import NUMBERS, VOTED_METRICS, VOTERS, VoteColumns
from sentinel.model.votes import joined as joined_votes
from sentinel.stores.tables import FLAGS, INCIDENTS, TELEMETRY

_EVENT_BYTES: Final = 200
"""What the columns of an event take, without its texts (measured, 180)."""
_ANOMALY_BYTES: Final = 700
_INCIDENT_BYTES: Final = 8_000

_FLOATS: Final = ("latency_ms", "ttft_ms", "cost_usd", "tokens_per_second")
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_ERROR: Final = METRICS.index("error")
_EVENT_ID: Final = KEPT_TEXTS.index("event_id")
_OVER_LIMIT: Final = np.uint8(1 << FLAGS.index("over_limit"))
_FLAG_TEXTS: Final = [
    ",".join(name for bit, name in enumerate(FLAGS) if state >> bit & 1) or None
    for state in range(1 << len(FLAGS))
]
_FLAG_BITS: Final = len(_FLAG_TEXTS) - 1

_encoder: Final = msgspec.json.Encoder()


class Rows(Struct, frozen=True):
    """What came of one batch and is to be kept."""

    next_offset: int
    """Position after the batch; the cursor once the rows are committed."""
    batch: Batch
    """With what is `kept` of it; its events are not needed."""
    stored: NDArray[np.bool_]
    """Which events are rows."""
    state: NDArray[np.uint8]
    """Bits of each event, as FLAGS names them."""
    votes: VoteColumns
    incidents: list[Incident]
    """Those that changed, as they stand now; each replaces what is kept under its id."""

    def size_bytes(self) -> int:
        """Return about how much memory the rows hold."""
        return (
            _EVENT_BYTES * len(self.batch)
            + _ANOMALY_BYTES * len(self.votes)
            + _INCIDENT_BYTES * len(self.incidents)
            + sum(sum(map(len, part.data)) for part in self.batch.kept)
        )


Place = tuple[int, int]
"""Offset and index: rows below it are there, those from it on are not."""


class Waiting(NamedTuple):
    """Rows of a log with the place from which on they are new, and since when they wait."""

    log: str
    rows: Rows
    base: Place
    since: float


class Block(Struct, frozen=True, kw_only=True):
    """Rows of one log as Arrow tables: what one transaction writes whole or not at all."""

    log: str
    end: Place
    """The cursor once the block is committed."""
    telemetry: Any
    anomalies: Any
    incidents: Any
    incident_ids: list[str]
    offset: NDArray[np.int64]
    """Of each row of telemetry, as `index`."""
    index: NDArray[np.int32]
    anomaly_at: NDArray[np.int64]
    """Row of telemetry that each anomaly belongs to."""
    newest: int
    """Largest timestamp, microseconds since 1970; 0 where there is no event."""
    since: float
    size_bytes: int

    def split(self, rows: int) -> "tuple[Block, Block]":
        """Return the first rows of telemetry with their anomalies, and all that follows.

        Incidents stand as after the last row, so they go with what follows.
        """
        anomalies = int(np.searchsorted(self.anomaly_at, rows))
        size_bytes = self.size_bytes * rows // len(self.offset)
        before = msgspec.structs.replace(
            self,
            end=(int(self.offset[rows]), int(self.index[rows])),
            telemetry=self.telemetry.slice(0, rows),
            anomalies=self.anomalies.slice(0, anomalies),
            incidents=self.incidents.slice(0, 0),
            incident_ids=[],
            offset=self.offset[:rows],
            index=self.index[:rows],
            anomaly_at=self.anomaly_at[:anomalies],
            size_bytes=size_bytes,
        )
        after = msgspec.structs.replace(
            self,
            telemetry=self.telemetry.slice(rows),
            anomalies=self.anomalies.slice(anomalies),
            offset=self.offset[rows:],
            index=self.index[rows:],
            anomaly_at=self.anomaly_at[anomalies:] - rows,
            size_bytes=self.size_bytes - size_bytes,
        )
        return before, after


def joined(tables: Iterable[Any]) -> Any:
    """Return Arrow tables, one after the other, as one; nothing is copied."""
    import pyarrow

    return pyarrow.concat_tables(tables)


class _Part(NamedTuple):
    """What of one Rows is new."""

    batch: Batch
    new: NDArray[np.bool_]
    """Events of the batch that become rows."""
    votes: VoteColumns
    """Those on events that become rows."""
    state: NDArray[np.uint8]


class ArrowRows:
    """Builds blocks; holds nothing of them."""

    def __init__(self) -> None:
        import pyarrow

        self._pa = pyarrow

    def block(self, waiting: Sequence[Waiting]) -> Block:
        """Return several Rows of one log, at least one, as one block.

        Raises
        ------
        ValueError
            The anomalies of a batch are not in the order of its events.
        """
        parts = [_part(one) for one in waiting]
        new = _joined([part.new for part in parts])
        telemetry = self._telemetry(parts, waiting[0].log)
        anomalies = self._anomalies(parts, telemetry)
        if not new.all():
            telemetry = telemetry.filter(self._pa.array(new))
        incidents = {
            incident.id: incident for one in waiting for incident in one.rows.incidents
        }  # the last of each id
        table = self._incidents(list(incidents.values()))
        times = [int(part.batch.time.max()) // 1000 for part in parts if len(part.batch)]
        return Block(
            log=waiting[0].log,
            end=(waiting[-1].rows.next_offset, 0),
            telemetry=telemetry,
            anomalies=anomalies,
            incidents=table,
            incident_ids=list(incidents),
            offset=_joined([part.batch.offset for part in parts])[new],
            index=_joined([part.batch.index for part in parts])[new],
            anomaly_at=(np.cumsum(new) - 1)[_events_of(parts)],
            newest=max(times, default=0),
            since=waiting[0].since,
            size_bytes=telemetry.nbytes + anomalies.nbytes + table.nbytes,
        )

    def _telemetry(self, parts: list[_Part], log: str) -> Any:
        """Return all events, those that become no rows included."""
        pa = self._pa
        batches = [part.batch for part in parts]
        values = _joined([batch.values for batch in batches])
        columns: dict[str, Any] = {
            name: pa.array(_joined([getattr(batch, name) for batch in batches]))
            for name in ("offset", "index")
        }
        columns |= {
            name: self._instants(_joined([getattr(batch, of) for batch in batches]))
            for name, of in (("timestamp", "time"), ("received_at", "received"))
        }
        columns |= self._keys([(batch.keys, batch.key) for batch in batches])
        columns["log"] = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(values), np.int8)), self._texts([log])
        )
        columns |= self._kept(batches)
        for name in _FLOATS:
            columns[name] = pa.array(values[:, METRICS.index(name)], from_pandas=True)
        for name in _COUNTS:
            columns[name] = self._counts(values[:, METRICS.index(name)])
        error = values[:, _ERROR]
        columns["error"] = pa.array(error == 1.0, mask=np.isnan(error))
        columns["flags"] = pa.DictionaryArray.from_arrays(
            pa.array((_joined([part.state for part in parts]) & _FLAG_BITS).astype(np.int8)),
            pa.array(_FLAG_TEXTS, pa.string()),
        )
        return pa.table({name: columns[name] for name in TELEMETRY.columns})

    def _kept(self, batches: list[Batch]) -> dict[str, Any]:
        """Return texts, sizes and the bits of event ids."""
        pa = self._pa
        kept = [part for batch in batches for part in batch.kept]
        n = sum(map(len, batches))
        lengths = np.ascontiguousarray(lengths_of(kept).T)
        sizes = np.ascontiguousarray(sizes_of(kept).T)
        if lengths.shape[1] != n:
            raise ValueError(f"expected what is kept of {n} events")
        columns = {
            name: self._cut(b"".join([part.data[row] for part in kept]), lengths[row])
            for row, name in enumerate(KEPT_TEXTS)
        }
        for row, name in enumerate(KEPT_SIZES):
            columns[name] = pa.array(sizes[row], mask=sizes[row] < 0)
        columns["event_uuid"] = self._uuids(
            _joined([batch.id_high for batch in batches]),
            _joined([batch.id_low for batch in batches]),
            lengths[_EVENT_ID] < 0,
        )
        return columns

    def _anomalies(self, parts: list[_Part], telemetry: Any) -> Any:
        pa = self._pa
        votes = joined_votes([part.votes for part in parts])
        events = _events_of(parts)
        columns: dict[str, Any] = {
            name: column.combine_chunks()
            for name, column in zip(
                _OF_THE_EVENT, telemetry.select(_OF_THE_EVENT).take(pa.array(events)), strict=True
            )
        }
        # The votes of an event stand side by side: count on from the first of them.
        ordinal = np.arange(len(events)) - np.searchsorted(events, events)
        columns["ordinal"] = pa.array(ordinal.astype(np.int32))
        columns["id"] = self._uuid_array(len(votes), np.ascontiguousarray(votes.ids))
        for name, codes, names in (
            ("metric", votes.metric, VOTED_METRICS),
            ("detector", votes.voter, VOTERS),
            ("severity", votes.severity, SEVERITIES),
        ):
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes), self._texts(names))
        for number, name in enumerate(NUMBERS):
            columns[name] = pa.array(votes.numbers[:, number], from_pandas=True)
        columns["baseline_samples"] = pa.array(votes.samples)
        return pa.table(columns)

    def _incidents(self, incidents: list[Incident]) -> Any:
        columns: dict[str, Any] = {}
        for name, kind in INCIDENTS.columns.items():
            if name == "body":
                columns[name] = self._texts([_encoder.encode(i).decode() for i in incidents])
                continue
            values = list(map(attrgetter(name), incidents))
            if kind == "VARCHAR":
                columns[name] = self._texts(values)
            elif kind == "TIMESTAMP":
                columns[name] = self._pa.array(
                    [_naive(value) for value in values], self._pa.timestamp("us")
                )
            else:
                columns[name] = self._pa.array(values, self._pa.float64())
        return self._pa.table(columns)

    # Columns

    def _instants(self, nanoseconds: NDArray[np.int64]) -> Any:
        return self._pa.array(nanoseconds // 1000, self._pa.timestamp("us"))

    def _keys(self, parts: list[tuple[list[Key], NDArray[np.int32]]]) -> dict[str, Any]:
        """Return tenant, environment, service and model as numbers into their texts."""
        keys = [key for known, _ in parts for key in known]
        start = np.cumsum([0, *(len(known) for known, _ in parts)]).tolist()
        number = self._pa.array(
            _joined([key + base for (_, key), base in zip(parts, start[:-1], strict=True)]).astype(
                np.int32
            )
        )
        return {
            name: self._pa.DictionaryArray.from_arrays(
                number, self._texts([getattr(key, name) for key in keys])
            )
            for name in Key._fields
        }

    def _texts(self, values: Sequence[str | None]) -> Any:
        try:
            return self._pa.array(values, self._pa.string())
        except UnicodeEncodeError:  # half a surrogate pair: no text, and no reason to stop the rest
            clean = [v and v.encode("utf-8", "replace").decode("utf-8") for v in values]
            return self._pa.array(clean, self._pa.string())

    def _counts(self, values: NDArray[np.float64]) -> Any:
        absent = np.isnan(values)
        return self._pa.array(np.where(absent, 0.0, values).astype(np.int64), mask=absent)

    def _cut(self, data: bytes, lengths: NDArray[np.int32]) -> Any:
        """Return texts that lie end to end, -1 where one is absent."""
        pa = self._pa
        absent = lengths < 0
        if not data and absent.all():
            return pa.nulls(len(lengths), pa.large_string())
        ends = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(np.where(absent, 0, lengths), out=ends[1:])
        present = pa.py_buffer(np.packbits(~absent, bitorder="little"))
        buffers = [present, pa.py_buffer(ends), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.large_string(), len(lengths), buffers)

    def _uuids(
        self, high: NDArray[np.uint64], low: NDArray[np.uint64], present: NDArray[np.bool_]
    ) -> Any:
        """Return 128-bit ids, where they are present."""
        return self._uuid_array(
            len(high),
            np.stack([high, low], axis=1).astype(">u8"),
            None if present.all() else np.packbits(present, bitorder="little"),
        )

    def _uuid_array(self, n: int, data: Any, present: Any = None) -> Any:
        pa = self._pa
        buffers = [None if present is None else pa.py_buffer(present), pa.py_buffer(data)]
        plain = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), n, buffers)
        return pa.ExtensionArray.from_storage(pa.uuid(), plain)


_OF_THE_EVENT: Final = [
    *("offset", "index", "event_uuid", "event_id", "timestamp"),
    *Key._fields,
    "log",
]
"""Columns of an anomaly that are those of its event."""


def _part(waiting: Waiting) -> _Part:
    """Return what of the rows lies at or above their base."""
    rows, batch = waiting.rows, waiting.rows.batch
    offset, index = waiting.base
    later = (batch.offset > offset) | ((batch.offset == offset) & (batch.index >= index))
    votes = rows.votes
    if np.any(np.diff(votes.event) < 0):
        raise ValueError("expected anomalies in the order of their events")
    if not later[votes.event].all():
        votes = votes.of(later[votes.event])
    state = rows.state | batch.over_limit * _OVER_LIMIT
    return _Part(batch, rows.stored & later, votes, state)


def _events_of(parts: list[_Part]) -> NDArray[np.int64]:
    """Return the event of each anomaly, counted through all parts."""
    start = np.cumsum([0, *(len(part.batch) for part in parts)]).tolist()
    return _joined(
        [part.votes.event + first for part, first in zip(parts, start[:-1], strict=True)]
    )


def _joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    parts = list(parts)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _naive(time: datetime | None) -> datetime | None:
    """Return an instant as tables keep it: in UTC, without saying so."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
