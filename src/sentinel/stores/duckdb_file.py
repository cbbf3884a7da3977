"""The DuckDB file and its connections: one that writes, a few that read.

The only file that imports duckdb, and only once a store is opened.

Row groups are 16,384 rows instead of 122,880: rows that fill them are written to their place at
once, not first to the write-ahead log and again at a checkpoint, and newest-first queries pass by
most of the table.  Measured on 1.2 million rows: a third less CPU for writing, no pause of half a
second at checkpoints, 4 ms instead of 80 ms for the newest hundred, a third more disk.  A
transaction that writes row groups should fill them: half-full ones take twice the disk, and the
next checkpoint writes them all again.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel.errors import ForeignState, StateError, StoreBusy, TornState
from sentinel.stores.queries import LIMIT_MAX, Statement
from sentinel.stores.rows import Block, Place, joined
from sentinel.stores.tables import (
    ADDED,
    ANOMALIES,
    FORMAT,
    INCIDENTS,
    TABLES,
    TELEMETRY,
    Retention,
    Table,
    quoted,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROW_GROUP_ROWS: Final = 16_384
_CHECKPOINT_BYTES: Final = "64MB"
"""Of the write-ahead log: a checkpoint of 0.4 s every 20 s at 10,000 events a second.  With 16 MB
each takes 0.2 s, every 5 s, and the file grows by a third more."""
_READERS: Final = 2
_HOUR_US: Final = 3_600_000_000


class DuckDbFile:
    """Opens the file, writes blocks to it, and answers statements.

    A failed write closes the connections, and the next one opens them anew.
    """

    def __init__(
        self,
        path: Path,
        *,
        memory_limit: str,
        query_timeout_secs: float,
        crash_point: Callable[[str], None],
    ) -> None:
        self._path = path
        self._memory_limit = memory_limit
        self._query_timeout_secs = query_timeout_secs
        self._crash_point = crash_point
        self._writing: DuckDBPyConnection | None = None
        self._readers: queue.LifoQueue[DuckDBPyConnection] = queue.LifoQueue()

    def open(self) -> None:
        """Connect, and make the tables where they are missing."""
        import duckdb

        self._duckdb = duckdb
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with ExitStack() as undo:
                connection = duckdb.connect(":memory:", config=self._config())
                undo.callback(connection.close)
                self._attach(connection)
                readers: queue.LifoQueue[DuckDBPyConnection] = queue.LifoQueue()
                for _ in range(_READERS):
                    reader = connection.cursor()
                    reader.execute("USE store")
                    readers.put(reader)
                undo.pop_all()
        except (duckdb.Error, OSError) as error:
            raise self._translated(error) from error
        self._writing, self._readers = connection, readers

    def close(self) -> None:
        """Let go of the file; what fails then is found at the next opening."""
        connection, self._writing = self._writing, None
        if connection is None:
            return
        readers, self._readers = self._readers, queue.LifoQueue()
        with suppress(queue.Empty, self._duckdb.Error):
            while True:
                readers.get_nowait().close()
        with suppress(self._duckdb.Error):
            connection.close()

    def file_bytes(self) -> int:
        """Return the size on disk, write-ahead log included."""
        beside = self._path.with_name(self._path.name + ".wal")
        return sum(path.stat().st_size for path in (self._path, beside) if path.exists())

    # For the writer's thread

    def cursors(self) -> dict[str, Place]:
        """Return the place that the file has seen of each log."""
        with self._transaction() as connection:
            return self._cursors(connection)

    def newest(self) -> int:
        """Return the largest timestamp of an event, microseconds since 1970; 0 where none is."""
        with self._transaction() as connection:
            found = _one(connection, "SELECT epoch_us(max(timestamp)) FROM telemetry")
        return int(found or 0)

    def write(self, blocks: Sequence[Block]) -> None:
        """Write blocks and the cursor behind them, all or nothing.

        A block that the file has already is left out: a commit may have come through whose answer
        did not.
        """
        with self._transaction() as connection:
            seen = self._cursors(connection)
            fresh = [block for block in blocks if block.end > seen.get(block.log, (0, 0))]
            if not fresh:
                return
            self._insert(connection, TELEMETRY, joined(block.telemetry for block in fresh))
            self._insert(connection, ANOMALIES, joined(block.anomalies for block in fresh))
            for block in fresh:
                if block.incident_ids:
                    connection.execute(
                        "DELETE FROM incidents WHERE id IN (SELECT unnest(?))", [block.incident_ids]
                    )
                    self._insert(connection, INCIDENTS, block.incidents)
            for log, end in {block.log: block.end for block in fresh}.items():
                connection.execute(
                    "UPDATE cursors SET next_offset = ?, next_index = ? WHERE log_id = ?"
                    if log in seen
                    else "INSERT INTO cursors (next_offset, next_index, log_id) VALUES (?, ?, ?)",
                    [*end, log],
                )
            self._crash_point("store")

    def forget(self, newest: int, retention: Retention) -> None:
        """Delete what is older than it is to be kept; `newest` in microseconds since 1970."""
        with self._transaction() as connection:
            for condition, hours in (
                ("telemetry WHERE timestamp", retention.telemetry_hours),
                ("anomalies WHERE timestamp", retention.anomalies_hours),
                ("incidents WHERE state = 'resolved' AND ended_at", retention.incidents_hours),
            ):
                connection.execute(
                    f"DELETE FROM {condition} < make_timestamp(?)",  # noqa: S608
                    [newest - int(hours * _HOUR_US)],
                )

    def _insert(self, connection: "DuckDBPyConnection", table: Table, rows: Any) -> None:
        if rows.num_rows:
            connection.register("incoming", rows)
            try:
                connection.execute(f"INSERT INTO {table.name} BY NAME SELECT * FROM incoming")  # noqa: S608
            finally:
                connection.unregister("incoming")

    def _cursors(self, connection: "DuckDBPyConnection") -> dict[str, Place]:
        query = "SELECT log_id, next_offset, next_index FROM cursors"
        rows = connection.execute(query).fetchall()
        return {log: (offset, index) for log, offset, index in rows}

    @contextmanager
    def _transaction(self) -> "Iterator[DuckDBPyConnection]":
        """Commit what is done inside; after a failure the file is opened anew before the next."""
        if self._writing is None:
            self.open()
        assert self._writing is not None
        connection, done = self._writing, False
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
            done = True
        except (self._duckdb.Error, OSError) as error:
            raise self._translated(error) from error
        finally:
            if not done:
                # What the connection thinks depends on what failed; a new one knows what is there.
                self.close()

    # For any thread

    def ask(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Return all rows of a query.

        Raises
        ------
        StoreBusy
            It took too long, or others did and none was left to answer it.
        StateError
            The file cannot be read.
        """
        readers, timeout = self._readers, self._query_timeout_secs
        if self._writing is None:
            raise StateError(f"{self._path}: is not open")
        try:
            reader = readers.get(timeout=timeout)
        except queue.Empty:
            raise StoreBusy("every reader is busy", "ask again later") from None
        try:
            with _Deadline(reader, timeout):
                return reader.execute(statement.sql, statement.values).fetchall()
        except self._duckdb.InterruptException as error:
            raise StoreBusy(
                f"took longer than {timeout:g} s", "choose a service or a shorter time"
            ) from error
        except self._duckdb.Error as error:
            raise self._translated(error) from error
        finally:
            readers.put(reader)

    # Opening

    def _config(self) -> dict[str, Any]:
        return {
            "threads": 1,
            "memory_limit": self._memory_limit,
            "temp_directory": str(self._path.parent / "tmp"),
            "checkpoint_threshold": _CHECKPOINT_BYTES,
            # Above the largest page: the sort reads the sort columns alone, then the rows it kept.
            "late_materialization_max_rows": LIMIT_MAX + 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }

    def _attach(self, connection: "DuckDBPyConnection") -> None:
        name = str(self._path).replace("'", "''")
        connection.execute(f"ATTACH '{name}' AS store (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")
        connection.execute("USE store")
        connection.execute("SET enable_external_access = false")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE IF NOT EXISTS about (format INTEGER)")
        version = _one(connection, "SELECT max(format) FROM about")
        if version is not None and version != FORMAT:
            raise ForeignState(
                f"{self._path}: expected tables of version {FORMAT}, got {version}",
                "start the version of sentinel that wrote it, or move the file aside: "
                "a new one is made, and the rows of the old one stay in it",
            )
        if version is None:
            connection.execute("INSERT INTO about VALUES (?)", [FORMAT])
        for table in TABLES:
            connection.execute(table.create())
        for table_name, columns in ADDED.items():
            for column, kind in columns.items():
                connection.execute(
                    f"ALTER TABLE {table_name} ADD COLUMN IF NOT EXISTS {quoted(column)} {kind}"
                )
        connection.execute(
            "CREATE TABLE IF NOT EXISTS cursors"
            " (log_id VARCHAR, next_offset BIGINT, next_index INTEGER)"
        )
        connection.execute("COMMIT")

    def _translated(self, error: Exception) -> StateError:
        """Return what went wrong in our words; of DuckDB's the first line, which says most."""
        text = (str(error).splitlines() or [""])[0]
        if "lock on file" in text or "file handle conflict" in text:
            return StateError(
                f"{self._path}: somebody else has it open",
                "a store has one owner: stop the other, or use another data_dir",
            )
        if "version number" in text:
            return ForeignState(f"{self._path}: {text}")
        damaged = (self._duckdb.SerializationException, self._duckdb.InternalException)
        if isinstance(error, damaged) or "not a valid DuckDB" in text or "checksum" in text.lower():
            return TornState(f"{self._path}: {text}")
        return StateError(f"{self._path}: {text}")


def _one(connection: "DuckDBPyConnection", sql: str) -> Any:
    """Return the one value of a query; a connection does nothing else before all is fetched."""
    return connection.execute(sql).fetchall()[0][0]


class _Deadline:
    """Interrupts a reader that takes too long, and never one that is done."""

    def __init__(self, reader: "DuckDBPyConnection", timeout_secs: float) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._timer = threading.Timer(timeout_secs, self._interrupt)
        self._timer.daemon = True
        self._done = False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._done = True
        self._timer.cancel()

    def _interrupt(self) -> None:
        with self._lock:
            if not self._done:
                self._reader.interrupt()
