"""The states of partitions in a folder, a SQLite file each, for processes of one machine."""

import re
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sentinel.checkpoints.contract import go_on
from sentinel.checkpoints.rows import OutboxRow, Seen, SeriesRecord
from sentinel.checkpoints.sqlite import BUSY_SECONDS, OLDEST_ROWS, Checkpoint, translated, whole
from sentinel.errors import StateError

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")


class FolderCheckpoints:
    """A place for state: see `contract.Checkpoints`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._visited: dict[str, sqlite3.Connection] = {}
        """Files that are not ours, open to take rows out of their outbox; for one thread."""

    def open(
        self, partition: str, *, log_id: str, crash_point: Callable[[str], None] = go_on
    ) -> Checkpoint:
        """Open or make the file of a partition and raise its fence."""
        return Checkpoint.open(self._path(partition), log_id=log_id, crash_point=crash_point)

    def look(self, partition: str, *, series: bool = True) -> Seen | None:
        """Return a state as its owner has left it, in one transaction that only reads."""
        path = self._path(partition)
        if not path.exists():
            return None
        with translated(path):
            uri = f"{path.absolute().as_uri()}?mode=ro"
            database = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                database.execute("BEGIN")
                return _seen(database, path, series=series)
            finally:
                database.close()

    def waiting(self, partition: str, destination: str, limit: int) -> list[OutboxRow]:
        """Return the rows of a destination that wait longest, whoever owns the state."""
        path = self._path(partition)
        if partition not in self._visited and not path.exists():
            return []
        with translated(path):
            database = self._visit(partition, path)
            if not _has(database, "outbox"):
                return []
            rows = database.execute(OLDEST_ROWS, (destination, limit)).fetchall()
        return [
            OutboxRow(name, to, whole(path, body, crc, f"outbox row {name}"))
            for name, to, body, crc in rows
        ]

    def taken(self, partition: str, ids: Sequence[str], destination: str) -> None:
        """Delete rows that are safe elsewhere, whoever owns the state."""
        path = self._path(partition)
        with translated(path):
            database = self._visit(partition, path)
            database.execute("BEGIN IMMEDIATE")
            try:
                database.executemany(
                    "DELETE FROM outbox WHERE destination = ? AND id = ?",
                    ((destination, name) for name in ids),
                )
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")

    def _visit(self, partition: str, path: Path) -> sqlite3.Connection:
        database = self._visited.get(partition)
        if database is None:
            database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._visited[partition] = database
        return database

    def close(self) -> None:
        """Close the files that are not ours."""
        while self._visited:
            self._visited.popitem()[1].close()

    def _path(self, partition: str) -> Path:
        if not _NAME.fullmatch(partition) or partition.startswith("."):
            raise StateError(f"{partition!r}: no name for a file of state")
        return self.folder / f"{partition}.sqlite"


def _has(database: sqlite3.Connection, table: str) -> bool:
    found = database.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    return found is not None


def _seen(database: sqlite3.Connection, path: Path, *, series: bool) -> Seen | None:
    if not _has(database, "stand"):
        return None  # its owner is about to make it
    stand = database.execute("SELECT next_offset, epoch FROM stand").fetchone()
    if stand is None or stand[0] is None:
        return None
    shared = database.execute("SELECT body, crc FROM shared").fetchone()
    rows = database.execute("SELECT name, offset, record, crc FROM series ORDER BY name")
    return Seen(
        next_offset=stand[0],
        shared=None if shared is None else whole(path, shared[0], shared[1], "the shared state"),
        series=[
            SeriesRecord(name, offset, record)
            for name, offset, record, crc in (rows if series else ())
            if zlib.crc32(record) == crc
        ],
        epoch=stand[1],
    )
