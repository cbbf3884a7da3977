"""The tables of a store: their columns, and one stored event as readers get it.

No table has a unique key: rows and cursor are written in one transaction, so a row that is there
twice cannot come about, and inserts stay several times faster.  NULL is absent, 0 is zero.
"""

from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from sentinel.model.anomaly import Anomaly

FORMAT: Final = 2
"""Version of the columns; a file with another one is not opened."""

FLAGS: Final = ("repeated", "late", "stale", "overflowed", "unjudged", "over_limit", "split")
"""Names of the bits of `Rows.state`; `over_limit` is what intake says of values."""
SPLIT: Final = 1 << FLAGS.index("split")

Names = tuple[str, ...]


class Retention(Struct, frozen=True, kw_only=True):
    """For how long rows are kept, measured in their own time back from the newest row."""

    telemetry_hours: float = 7 * 24
    anomalies_hours: float = 30 * 24
    incidents_hours: float = 90 * 24
    """After the end of an incident; an open one stays."""


class StoredEvent(Struct, frozen=True, gc=False):
    """One event as it is kept."""

    offset: int
    index: int
    event_id: str
    timestamp: datetime
    received_at: datetime
    tenant: str
    environment: str
    service: str
    model: str
    provider: str | None
    trace_id: str | None
    span_id: str | None
    latency_ms: float | None
    ttft_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost_usd: float | None
    tokens_per_second: float | None
    error: bool | None
    error_classes: list[str]
    finish_reason: str | None
    response_model: str | None
    """The model that answered, where it differs in name from the one asked."""
    prompt_length: int | None
    """Characters of the whole text."""
    response_length: int | None
    prompt_text: str | None
    """As `privacy.content` lets it be kept: redacted, and cut."""
    response_text: str | None
    user_id: str | None
    """A pseudonym, as `session_id` is."""
    session_id: str | None
    metadata: msgspec.Raw | None
    """A JSON object, as it was written."""
    flags: list[str]
    """What was special about the event: words of FLAGS."""


class Table(NamedTuple):
    """One table, and how its rows are ordered and read."""

    name: str
    columns: dict[str, str]
    """Name -> SQL type, in the order of the file."""
    order: Names
    """Unique together; newest first means descending in all of them."""
    read: Names
    """Columns that a reader gets."""

    def create(self) -> str:
        """Return the statement that makes the table where it is missing."""
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in self.columns.items())
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({columns})"


def quoted(name: str) -> str:
    """Return a column's name fit for SQL, where `offset` is a word of the language."""
    return f'"{name}"'


_TEXTS: Final = ("prompt_text", "response_text")
_LOG: Final = "VARCHAR DEFAULT ''"
ADDED: Final = {
    "telemetry": {**dict.fromkeys(_TEXTS, "VARCHAR"), "log": _LOG},
    "anomalies": {"log": _LOG},
}
"""Columns that files of the first days lack; they are added when one is opened."""

_POSITION: Final = {"offset": "BIGINT", "index": "INTEGER"}
_EVENT_ID: Final = {"event_uuid": "UUID", "event_id": "VARCHAR"}
"""An id that is a uuid in its usual form is kept as one, any other as a text; the other is NULL.
Random texts of 36 characters took a fifth of the time of writing, and half of the file."""
_KEY: Final = dict.fromkeys(("tenant", "environment", "service", "model"), "VARCHAR")

TELEMETRY: Final = Table(
    "telemetry",
    {
        **_POSITION,
        **_EVENT_ID,
        "timestamp": "TIMESTAMP",
        "received_at": "TIMESTAMP",
        **_KEY,
        **dict.fromkeys(("provider", "trace_id", "span_id"), "VARCHAR"),
        **dict.fromkeys(("latency_ms", "ttft_ms"), "DOUBLE"),
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), "BIGINT"),
        **dict.fromkeys(("cost_usd", "tokens_per_second"), "DOUBLE"),
        "error": "BOOLEAN",
        **dict.fromkeys(("error_classes", "finish_reason", "response_model"), "VARCHAR"),
        **dict.fromkeys(("prompt_length", "response_length"), "BIGINT"),
        **dict.fromkeys(("user_id", "session_id", "metadata", "flags"), "VARCHAR"),
        **ADDED["telemetry"],
    },
    order=("timestamp", "offset", "index", "log"),
    read=StoredEvent.__struct_fields__,
)

ANOMALIES: Final = Table(
    "anomalies",
    {
        **_POSITION,
        "ordinal": "INTEGER",  # among the anomalies of one event
        "id": "UUID",
        "timestamp": "TIMESTAMP",
        **_EVENT_ID,
        **_KEY,
        **dict.fromkeys(("metric", "detector"), "VARCHAR"),
        **dict.fromkeys(("value", "statistic", "threshold", "score"), "DOUBLE"),
        "severity": "VARCHAR",
        "z_score": "DOUBLE",
        "baseline_samples": "BIGINT",
        **dict.fromkeys(("baseline_mean", "baseline_stddev", "baseline_median"), "DOUBLE"),
        **dict.fromkeys(("expected_lower", "expected_upper"), "DOUBLE"),
        **ADDED["anomalies"],
    },
    order=("timestamp", "offset", "index", "ordinal", "log"),
    read=Anomaly.__struct_fields__,
)

INCIDENTS: Final = Table(
    "incidents",
    {
        "id": "VARCHAR",
        **dict.fromkeys(("state", "severity", "type"), "VARCHAR"),
        **_KEY,
        **dict.fromkeys(("provider", "metric", "detector"), "VARCHAR"),
        "score": "DOUBLE",
        **dict.fromkeys(("title", "fingerprint"), "VARCHAR"),
        **dict.fromkeys(("started_at", "timestamp", "ended_at"), "TIMESTAMP"),
        "body": "VARCHAR",  # the whole incident as JSON
    },
    order=("timestamp", "id"),
    read=("body",),
)

TABLES: Final = (TELEMETRY, ANOMALIES, INCIDENTS)
