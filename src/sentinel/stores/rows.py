"""From what the engine gives to columns: Rows -> Block, a few microseconds for each thousand cells.

The only file that imports pyarrow, and only once a store is opened.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch, Key
from sentinel.model.event import Event
from sentinel.model.incident import Incident
from sentinel.model.metric import METRICS
from sentinel.stores.tables import FLAGS, INCIDENTS, TELEMETRY

_EVENT_BYTES: Final = 1500
"""What an event takes as Python objects and columns, without its metadata (measured, 1.3 KB)."""
_ANOMALY_BYTES: Final = 700
_INCIDENT_BYTES: Final = 8_000

_TEXTS: Final = ("event_id", "provider", "trace_id", "span_id", "user_id", "session_id")
_FLOATS: Final = ("latency_ms", "ttft_ms", "cost_usd", "tokens_per_second")
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_ERROR: Final = METRICS.index("error")
_OVER_LIMIT: Final = np.uint8(1 << FLAGS.index("over_limit"))
_FLAG_TEXTS: Final = [
    ",".join(name for bit, name in enumerate(FLAGS) if state >> bit & 1) or None
    for state in range(1 << len(FLAGS))
]
_FLAG_BITS: Final = len(_FLAG_TEXTS) - 1
_NEWLINE: Final = 10

_encoder: Final = msgspec.json.Encoder()


class Rows(Struct, frozen=True):
    """What came of one batch and is to be kept."""

    next_offset: int
    """Position after the batch; the cursor once the rows are committed."""
    batch: Batch
    stored: NDArray[np.bool_]
    """Which events are rows."""
    state: NDArray[np.uint8]
    """Bits of each event, as FLAGS names them."""
    anomalies: list[Anomaly]
    """Ordered by position."""
    incidents: list[Incident]
    """Those that changed, as they stand now; each replaces what is kept under its id."""
    body_bytes: int = 0
    """Size of the record that the events came in, where it is known."""

    def size_bytes(self) -> int:
        """Return about how much memory the rows hold."""
        return (
            _EVENT_BYTES * len(self.batch)
            + _ANOMALY_BYTES * len(self.anomalies)
            + _INCIDENT_BYTES * len(self.incidents)
            + self.body_bytes
        )


Place = tuple[int, int]
"""Offset and index: rows below it are there, those from it on are not."""


class Waiting(NamedTuple):
    """Rows with the place from which on they are new, and since when they wait."""

    rows: Rows
    base: Place
    since: float


class Block(Struct, frozen=True, kw_only=True):
    """Rows as Arrow tables: what one transaction writes whole or not at all."""

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


class _Part(NamedTuple):
    """What of one Rows is new."""

    batch: Batch
    row: NDArray[np.int64]
    """Rows of the batch that are kept."""
    events: list[Event]
    anomalies: list[Anomaly]
    anomaly_row: NDArray[np.int64]
    """Row in the batch of the event of each anomaly: one of `row`."""
    state: NDArray[np.uint8]


class ArrowRows:
    """Builds blocks; holds nothing of them."""

    def __init__(self) -> None:
        import pyarrow

        self._pa = pyarrow

    def block(self, waiting: Sequence[Waiting]) -> Block:
        """Return several Rows, at least one, as one block.

        Raises
        ------
        ValueError
            The anomalies of a batch are not in the order of its events.
        """
        parts = [_part(one) for one in waiting]
        telemetry = self._telemetry(parts)
        anomalies = self._anomalies(parts)
        incidents = {
            incident.id: incident for one in waiting for incident in one.rows.incidents
        }  # the last of each id
        table = self._incidents(list(incidents.values()))
        times = [int(part.batch.time.max()) // 1000 for part in parts if len(part.batch)]
        start = np.cumsum([0, *(len(part.row) for part in parts)]).tolist()
        return Block(
            end=(waiting[-1].rows.next_offset, 0),
            telemetry=telemetry,
            anomalies=anomalies,
            incidents=table,
            incident_ids=list(incidents),
            offset=_joined([part.batch.offset[part.row] for part in parts]),
            index=_joined([part.batch.index[part.row] for part in parts]),
            anomaly_at=_joined(
                [
                    np.searchsorted(part.row, part.anomaly_row) + begin
                    for part, begin in zip(parts, start[:-1], strict=True)
                ]
            ),
            newest=max(times, default=0),
            since=waiting[0].since,
            size_bytes=telemetry.nbytes + anomalies.nbytes + table.nbytes,
        )

    def _telemetry(self, parts: list[_Part]) -> Any:
        pa = self._pa
        events = [event for part in parts for event in part.events]
        values = _joined([part.batch.values[part.row] for part in parts])
        columns: dict[str, Any] = {
            name: pa.array(_joined([getattr(part.batch, name)[part.row] for part in parts]))
            for name in ("offset", "index")
        }
        columns |= {
            name: self._instants(_joined([getattr(part.batch, of)[part.row] for part in parts]))
            for name, of in (("timestamp", "time"), ("received_at", "received"))
        }
        columns |= self._keys([(part.batch.keys, part.batch.key[part.row]) for part in parts])
        for name in _TEXTS:
            columns[name] = self._texts(list(map(attrgetter(name), events)))
        for name in _FLOATS:
            columns[name] = pa.array(values[:, METRICS.index(name)], from_pandas=True)
        for name in _COUNTS:
            columns[name] = self._counts(values[:, METRICS.index(name)])
        error = values[:, _ERROR]
        columns["error"] = pa.array(error == 1.0, mask=np.isnan(error))
        columns["error_classes"] = self._texts(
            [",".join(event.errors) if event.errors else None for event in events]
        )
        answers = [event.response for event in events]
        prompts = [event.prompt for event in events]
        columns["finish_reason"] = self._texts([a.finish_reason if a else None for a in answers])
        columns["response_model"] = self._texts([a.model if a else None for a in answers])
        columns["prompt_length"] = pa.array([p.length if p else None for p in prompts], pa.int64())
        columns["response_length"] = pa.array(
            [a.length if a else None for a in answers], pa.int64()
        )
        columns["prompt_text"] = self._texts([p.text if p else None for p in prompts])
        columns["response_text"] = self._texts([a.text if a else None for a in answers])
        columns["metadata"] = self._metadata([event.metadata or None for event in events])
        columns["flags"] = pa.DictionaryArray.from_arrays(
            pa.array((_joined([part.state for part in parts]) & _FLAG_BITS).astype(np.int8)),
            pa.array(_FLAG_TEXTS, pa.string()),
        )
        return pa.table({name: columns[name] for name in TELEMETRY.columns})

    def _anomalies(self, parts: list[_Part]) -> Any:
        pa = self._pa
        anomalies = [anomaly for part in parts for anomaly in part.anomalies]
        row = [part.anomaly_row for part in parts]
        columns: dict[str, Any] = {
            name: pa.array(_joined([getattr(p.batch, name)[p.anomaly_row] for p in parts]))
            for name in ("offset", "index")
        }
        # The votes of an event stand side by side: count on from the first of them.
        columns["ordinal"] = pa.array(
            _joined([np.arange(len(r)) - np.searchsorted(r, r) for r in row]).astype(np.int32)
        )
        columns["timestamp"] = self._instants(
            _joined([part.batch.time[part.anomaly_row] for part in parts])
        )
        columns |= self._keys([(p.batch.keys, p.batch.key[p.anomaly_row]) for p in parts])
        for name, kind in _ANOMALY_FIELDS.items():
            values = list(map(attrgetter(name), anomalies))
            columns[name] = self._texts(values) if kind == "text" else pa.array(values, kind)
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

    def _texts(self, values: list[str | None]) -> Any:
        try:
            return self._pa.array(values, self._pa.string())
        except UnicodeEncodeError:  # half a surrogate pair: no text, and no reason to stop the rest
            clean = [v and v.encode("utf-8", "replace").decode("utf-8") for v in values]
            return self._pa.array(clean, self._pa.string())

    def _counts(self, values: NDArray[np.float64]) -> Any:
        absent = np.isnan(values)
        return self._pa.array(np.where(absent, 0.0, values).astype(np.int64), mask=absent)

    def _metadata(self, values: list[Any]) -> Any:
        """Return objects as JSON texts: written in one go, then cut where the lines end."""
        pa = self._pa
        try:
            lines = _encoder.encode_lines(values)
        except UnicodeEncodeError:
            # Half a surrogate pair: escaped, it is still JSON.
            return self._texts([None if v is None else json.dumps(v) for v in values])
        ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _NEWLINE)  # texts hold it escaped
        offsets = np.zeros(len(values) + 1, np.int64)
        offsets[1:] = ends - np.arange(len(values))
        present = None
        if None in values:
            known = np.array([value is not None for value in values])
            present = pa.py_buffer(np.packbits(known, bitorder="little"))
        texts = pa.py_buffer(lines.replace(b"\n", b""))
        buffers = [present, pa.py_buffer(offsets), texts]
        return pa.Array.from_buffers(pa.large_string(), len(values), buffers)


_ANOMALY_FIELDS: Final = {
    **dict.fromkeys(("id", "event_id", "metric", "detector", "severity"), "text"),
    **dict.fromkeys(("value", "statistic", "threshold", "score", "z_score"), "float64"),
    "baseline_samples": "int64",
    **dict.fromkeys(("baseline_mean", "baseline_stddev", "baseline_median"), "float64"),
    **dict.fromkeys(("expected_lower", "expected_upper"), "float64"),
}


def _part(waiting: Waiting) -> _Part:
    """Return what of the rows lies at or above their base."""
    rows, batch = waiting.rows, waiting.rows.batch
    offset, index = waiting.base
    new = (batch.offset > offset) | ((batch.offset == offset) & (batch.index >= index))
    row = np.flatnonzero(rows.stored & new)
    events = batch.events if len(row) == len(batch) else [batch.events[i] for i in row.tolist()]
    anomalies, anomaly_row = rows.anomalies, np.zeros(0, np.int64)
    if anomalies:
        anomaly_row = _rows_of(anomalies, batch, np.flatnonzero(rows.stored))
        newly = new[anomaly_row]
        if not newly.all():
            anomalies = [anomalies[i] for i in np.flatnonzero(newly).tolist()]
            anomaly_row = anomaly_row[newly]
    state = rows.state[row] | batch.over_limit[row] * _OVER_LIMIT
    return _Part(batch, row, events, anomalies, anomaly_row, state)


def _rows_of(
    anomalies: list[Anomaly], batch: Batch, stored: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the row in the batch of the event of each anomaly; both stand in position order."""
    ids = [batch.events[i].event_id for i in stored.tolist()]
    at, found = 0, []
    for anomaly in anomalies:
        at = ids.index(anomaly.event_id, at)
        found.append(at)
    return stored[found]


def _joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    parts = list(parts)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _naive(time: datetime | None) -> datetime | None:
    """Return an instant as tables keep it: in UTC, without saying so."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
