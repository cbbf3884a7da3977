"""The embedded store: one DuckDB file, one process that owns it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from sentinel.errors import StateError
from sentinel.model.anomaly import Anomaly
from sentinel.stores.duckdb_file import ROW_GROUP_ROWS, DuckDbFile
from sentinel.stores.queries import (
    AnomalyFilter,
    Filter,
    IncidentFilter,
    Page,
    TelemetryFilter,
    count_statement,
    page_of,
    page_statement,
)
from sentinel.stores.rows import Rows
from sentinel.stores.tables import (
    ANOMALIES,
    INCIDENTS,
    TABLES,
    TELEMETRY,
    Retention,
    StoredEvent,
    Table,
)
from sentinel.stores.writer import Writer, do_nothing


class StoreHealth(Struct, frozen=True, kw_only=True):
    """How a store is doing; costs no query."""

    cursor: int
    backlog_bytes: int
    is_behind: bool
    failure: str | None
    """What went wrong at the last attempt to write; None where that went well."""
    file_bytes: int


class LogRows:
    """The rows of one log, on their way into a store that may hold several."""

    def __init__(self, writer: Writer, log: str) -> None:
        self._writer, self._log = writer, log

    def put(self, rows: Rows) -> None:
        """Queue rows; those below what was put before are dropped, as a re-run makes them again.

        Raises
        ------
        StateError
            The store is closed, or its writer has stopped on a broken invariant.
        """
        self._writer.put(self._log, rows)

    def flush(self, timeout_secs: float = 10.0) -> bool:
        """Wait until all that was put, of any log, is committed; tell whether it is."""
        return self._writer.flush(timeout_secs)

    @property
    def cursor(self) -> int:
        """Offset up to which rows are committed."""
        return self._writer.cursor(self._log)


class DuckDbStore:
    """Keeps telemetry, anomalies and incidents, of one log or several, and answers queries.

    Threads may share one.  `put` queues; one thread writes rows and cursor in one transaction, half
    a second after the first of them came, or as soon as they fill a row group.

    Parameters
    ----------
    path
        The file.  Beside it lie its write-ahead log and, for queries beyond the memory, `tmp`.
    log_id
        Of the log that `put` and `cursor` mean; `log` has others.  A file that has seen another log
        begins anew at 0 for this one and keeps the rows.
    backlog_bytes_max
        From this on the store `is_behind`.  It still takes what it is given: who gives asks first.
    on_failure
        Told of every failed attempt, in the writer's thread; the rows stay and are tried again.
    crash_point
        Called by name where a test may end the process.
    """

    def __init__(
        self,
        path: Path,
        *,
        log_id: str,
        retention: Retention | None = None,
        memory_limit: str = "128MB",
        query_timeout_secs: float = 5.0,
        backlog_bytes_max: int = 64 << 20,
        tidy_interval_secs: float = 60.0,
        on_failure: Callable[[StateError], None] = do_nothing,
        crash_point: Callable[[str], None] = do_nothing,
    ) -> None:
        self._log_id = log_id
        self._file = DuckDbFile(
            path,
            memory_limit=memory_limit,
            query_timeout_secs=query_timeout_secs,
            crash_point=crash_point,
        )
        self._writer = Writer(
            self._file,
            group_rows=ROW_GROUP_ROWS,
            retention=retention or Retention(),
            backlog_bytes_max=backlog_bytes_max,
            tidy_interval_secs=tidy_interval_secs,
            on_failure=on_failure,
        )

    def open(self) -> int:
        """Open the file, made where it is missing; return its cursor.

        Raises
        ------
        StateError
            Another process owns the file, or it cannot be read or written.
        TornState
            It is damaged, or no DuckDB file.
        ForeignState
            A later or an earlier version has written it.
        """
        self._file.open()
        try:
            self._writer.start()
            return self.cursor
        except StateError:
            self._file.close()
            raise

    def close(self, timeout_secs: float = 10.0) -> bool:
        """Write what waits and close the file; tell whether all was written in time."""
        done = self._writer.stop(timeout_secs)
        self._file.close()
        return done

    # Writing

    def log(self, name: str) -> LogRows:
        """Return the place for the rows of a log."""
        return LogRows(self._writer, name)

    def put(self, rows: Rows) -> None:
        """Queue rows; those below what was put before are dropped, as a re-run makes them again.

        Raises
        ------
        StateError
            The store is closed, or its writer has stopped on a broken invariant.
        """
        self._writer.put(self._log_id, rows)

    def flush(self, timeout_secs: float = 10.0) -> bool:
        """Wait until all that was put is committed; tell whether it is."""
        return self._writer.flush(timeout_secs)

    @property
    def cursor(self) -> int:
        """Offset up to which rows are committed."""
        return self._writer.cursor(self._log_id)

    @property
    def commits(self) -> int:
        """How often rows were committed since it was opened: answers may differ from then on."""
        return self._writer.commits

    @property
    def backlog_bytes(self) -> int:
        """About how much memory waits to be written."""
        return self._writer.backlog_bytes

    @property
    def is_behind(self) -> bool:
        """Whether more waits than should."""
        return self._writer.is_behind

    def health(self) -> StoreHealth:
        """Return how the store is doing."""
        failure = self._writer.failure
        return StoreHealth(
            cursor=self.cursor,
            backlog_bytes=self.backlog_bytes,
            is_behind=self.is_behind,
            failure=None if failure is None else str(failure),
            file_bytes=self._file.file_bytes(),
        )

    # Asking: each raises QueryError for a bad limit, cursor or time, or when it takes too long, and
    # StateError when the file cannot be read.

    def telemetry(
        self, chosen: TelemetryFilter | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page[StoredEvent]:
        """Return events, newest first."""
        return self._page(TELEMETRY, chosen or TelemetryFilter(), limit, cursor)

    def anomalies(
        self, chosen: AnomalyFilter | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Anomaly]:
        """Return anomalies, newest first."""
        return self._page(ANOMALIES, chosen or AnomalyFilter(), limit, cursor)

    def recent_anomalies(self, limit: int = 100) -> list[Anomaly]:
        """Return the newest anomalies, newest first."""
        return self.anomalies(limit=limit).rows

    def incidents(
        self, chosen: IncidentFilter | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page[msgspec.Raw]:
        """Return incidents as JSON, by when they opened, newest first."""
        return self._page(INCIDENTS, chosen or IncidentFilter(), limit, cursor)

    def incident(self, id: str) -> msgspec.Raw | None:  # noqa: A002
        """Return an incident as JSON, as it stood at the cursor."""
        found = self.incidents(IncidentFilter(id=id), limit=1).rows
        return found[0] if found else None

    def counts(self) -> dict[str, int]:
        """Return how many rows each table holds."""
        return {table.name: self._file.ask(count_statement(table))[0][0] for table in TABLES}

    def _page(self, table: Table, chosen: Filter, limit: int, cursor: str | None) -> Page[Any]:
        statement = page_statement(table, chosen, limit, cursor)
        return page_of(table, self._file.ask(statement), limit)
