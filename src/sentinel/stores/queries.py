"""Questions to a store: filters, pages and the SQL they become.

What a user gave is always bound, never written into SQL: the texts here are put together from names
of columns alone.  Pages are cut by position, not by count: a cursor says after which row to go on,
so that a row comes once however many are added meanwhile.
"""

import binascii
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from sentinel.errors import QueryError
from sentinel.model.anomaly import ANOMALY_PREFIX, Anomaly
from sentinel.model.incident import IncidentState
from sentinel.model.instant import instant
from sentinel.model.severity import Severity
from sentinel.stores.tables import (
    ANOMALIES,
    INCIDENTS,
    TELEMETRY,
    StoredEvent,
    Table,
    quoted,
)

LIMIT_MAX: Final = 1000
"""Rows of one page."""

_CURSOR_CHARACTERS_MAX: Final = 256
_USUAL_FORM: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ANOMALY_DIGITS: Final = re.compile("[0-9a-f]{32}")

T = TypeVar("T")


class Filter(Struct, frozen=True, kw_only=True):
    """Which rows; None does not choose.  A field is the column that must be equal to it."""

    start: datetime | None = None
    """From this on."""
    end: datetime | None = None
    """Before this."""
    tenant: str | None = None
    environment: str | None = None
    service: str | None = None
    model: str | None = None


class TelemetryFilter(Filter, frozen=True, kw_only=True):
    """Which events."""

    event_id: str | None = None


class AnomalyFilter(Filter, frozen=True, kw_only=True):
    """Which anomalies."""

    id: str | None = None
    event_id: str | None = None
    severity: Severity | None = None
    metric: str | None = None
    detector: str | None = None


class IncidentFilter(Filter, frozen=True, kw_only=True):
    """Which incidents; `start` and `end` speak of when they opened."""

    id: str | None = None
    state: IncidentState | None = None
    severity: Severity | None = None
    type: str | None = None
    metric: str | None = None


class Page(Struct, Generic[T], frozen=True):
    """Rows, newest first, and how to get those that follow."""

    rows: list[T]
    next_cursor: str | None
    """None at the end."""


class Statement(NamedTuple):
    """SQL and what is bound to its question marks."""

    sql: str
    values: list[Any]


_Instant = Annotated[int, Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
_Offset = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Index = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Id = Annotated[str, Meta(max_length=64)]
_Log = Annotated[str, Meta(max_length=300)]

# The first field says what was asked, so that a cursor of one table is none of another.
_CURSORS: Final[dict[str, Any]] = {
    TELEMETRY.name: tuple[str, _Instant, _Offset, _Index, _Log],
    ANOMALIES.name: tuple[str, _Instant, _Offset, _Index, _Index, _Log],
    INCIDENTS.name: tuple[str, _Instant, _Id],
}


def page_statement(table: Table, chosen: Filter, limit: int, cursor: str | None) -> Statement:
    """Return what asks for one page and one row more, which says whether another page follows.

    Raises
    ------
    QueryError
        The limit is out of range, the cursor is garbled, or a time has no zone.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise QueryError(f"limit: got {limit}, expected 1 to {LIMIT_MAX}")
    conditions: list[str] = []
    values: list[Any] = []
    for name in chosen.__struct_fields__:
        value = getattr(chosen, name)
        if value is None:
            continue
        if name in ("start", "end"):
            conditions.append(f"timestamp {'>=' if name == 'start' else '<'} ?")
            values.append(_bound_time(name, value))
        else:
            column, bound = _equal_to(table, name, value)
            conditions.append(f"{quoted(column)} = ?")
            values.append(bound)
    order = [quoted(name) for name in table.order]
    if cursor is not None:
        position = read_cursor(table, cursor)
        # The first says the same as the second, in the way that lets whole row groups be passed by.
        conditions.append("timestamp <= ?")
        conditions.append(f"({', '.join(order)}) < ({', '.join('?' * len(order))})")
        values += [position[0], *position]
    read = (*table.read, "event_uuid") if "event_uuid" in table.columns else table.read
    columns = ", ".join(map(quoted, (*table.order, *read)))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    newest_first = ", ".join(f"{name} DESC" for name in order)
    sql = f"SELECT {columns} FROM {table.name}{where} ORDER BY {newest_first} LIMIT ?"  # noqa: S608
    return Statement(sql, [*values, limit + 1])


def _equal_to(table: Table, name: str, value: Any) -> tuple[str, Any]:
    """Return which column holds a value of a field, and in which form."""
    if name == "event_id":
        return ("event_id", value) if (bits := _uuid_of(value)) is None else ("event_uuid", bits)
    if table is ANOMALIES and name == "id":
        digits = value.removeprefix(ANOMALY_PREFIX)
        # What is no id of an anomaly is equal to none.
        found = _ANOMALY_DIGITS.fullmatch(digits) if len(digits) < len(value) else None
        return name, UUID(digits) if found else None
    return name, value


def _uuid_of(text: str) -> UUID | None:
    """Return an id as the store keeps it, None where it keeps the text."""
    return UUID(text) if _USUAL_FORM.fullmatch(text) else None


def count_statement(table: Table) -> Statement:
    """Return what asks for the number of rows of a table."""
    return Statement(f"SELECT count(*) FROM {table.name}", [])  # noqa: S608


def page_of(table: Table, found: Sequence[tuple[Any, ...]], limit: int) -> Page[Any]:
    """Return the page that `page_statement` asked for."""
    head = len(table.order)
    rows = [_READERS[table.name](row[head:]) for row in found[:limit]]
    more = len(found) > limit
    return Page(rows, write_cursor(table, found[limit - 1][:head]) if more else None)


def write_cursor(table: Table, position: Sequence[Any]) -> str:
    """Return where a page ended, as a text without meaning to others."""
    moment = position[0].replace(tzinfo=UTC) - instant(0)
    microseconds = (moment.days * 86_400 + moment.seconds) * 1_000_000 + moment.microseconds
    data = msgspec.msgpack.encode((table.name, microseconds, *position[1:]))
    return urlsafe_b64encode(data).decode().rstrip("=")


def read_cursor(table: Table, cursor: str) -> list[Any]:
    """Return what `write_cursor` wrote, fit for binding.

    Raises
    ------
    QueryError
        It is not a cursor of this table.
    """
    if len(cursor) > _CURSOR_CHARACTERS_MAX:
        raise _garbled(table)
    text = cursor.replace("-", "+").replace("_", "/")
    try:
        data = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        name, microseconds, *rest = msgspec.msgpack.decode(data, type=_CURSORS[table.name])
    except (ValueError, msgspec.MsgspecError) as error:
        raise _garbled(table) from error
    if name != table.name:
        raise _garbled(table)
    return [instant(microseconds * 1000).replace(tzinfo=None), *rest]


def _garbled(table: Table) -> QueryError:
    return QueryError(
        f"cursor: expected one that a page of {table.name} gave", "leave it out to begin anew"
    )


def _bound_time(name: str, value: datetime) -> datetime:
    if value.tzinfo is None:
        raise QueryError(f"{name}: expected a time with its zone")
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise QueryError(f"{name}: outside the years 1 to 9999") from error


def _event(row: tuple[Any, ...]) -> StoredEvent:
    cells = _cells(TELEMETRY, row)
    for name in ("timestamp", "received_at"):
        cells[name] = cells[name].replace(tzinfo=UTC)
    for name in ("error_classes", "flags"):
        cells[name] = cells[name].split(",") if cells[name] else []
    if cells["metadata"] is not None:
        cells["metadata"] = msgspec.Raw(cells["metadata"])
    return StoredEvent(**cells)


def _anomaly(row: tuple[Any, ...]) -> Anomaly:
    cells = _cells(ANOMALIES, row)
    cells["id"] = ANOMALY_PREFIX + cells["id"].hex
    cells["timestamp"] = cells["timestamp"].replace(tzinfo=UTC)
    return Anomaly(**cells)


def _incident(row: tuple[Any, ...]) -> msgspec.Raw:
    return msgspec.Raw(row[0])


def _cells(table: Table, row: tuple[Any, ...]) -> dict[str, Any]:
    cells = dict(zip(table.read, row, strict=False))
    if cells["event_id"] is None:
        cells["event_id"] = str(row[-1])
    return cells


_READERS: Final[dict[str, Any]] = {
    TELEMETRY.name: _event,
    ANOMALIES.name: _anomaly,
    INCIDENTS.name: _incident,
}
