"""State and position on one machine: a SQLite file with a fence.

A commit is one transaction of {position, outbox rows}; a sweep one of {series records, what all
series share}.  Both are refused once another owner has raised the epoch.  Beside each blob stands
its CRC-32.  What the blobs mean is not known here.
"""

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from sentinel.checkpoints.contract import go_on
from sentinel.checkpoints.rows import Attempt, Loaded, OutboxRow, SeriesRecord
from sentinel.checkpoints.sqlite_schema import FORMAT_VERSION, PRAGMAS, TABLES
from sentinel.errors import Fenced, ForeignState, Gap, StateError, TornState

__all__ = ["CRASH_POINTS", "Checkpoint", "Loaded", "OutboxRow", "SeriesRecord"]

CRASH_POINTS: Final = ("commit", "sweep", "delivered", "attempt")
"""Each before its COMMIT."""
BUSY_SECONDS: Final = 5
"""How long to wait for another process, which can only be an owner on its way out."""
OLDEST_ROWS: Final = (
    "SELECT id, destination, body, crc FROM outbox WHERE destination = ? ORDER BY number LIMIT ?"
)
PAGE_ROWS: Final = 256
"""Series read at once: 2 to 4 MB, and the lock is free in between."""


class Checkpoint:
    """One owner's hold on the state of one partition; safe from any thread.

    Every method raises `StateError` when the file cannot be read or written (a write then left no
    trace), and `TornState` when it is damaged.

    Attributes
    ----------
    epoch : int
        Ours; whoever opens the file next has a higher one, and fences this owner.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, log_id: str) -> None:
        self.path = path
        self.log_id = log_id
        self.epoch = 0
        self._database = database
        self._lock = threading.Lock()
        self._outbox_bytes = 0
        self._crash_point: Callable[[str], None] = go_on

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        log_id: str,
        crash_point: Callable[[str], None] = go_on,
    ) -> Self:
        """Open or make the file and raise the fence.

        Parameters
        ----------
        crash_point
            Called with each of `CRASH_POINTS` as it is passed.

        Raises
        ------
        ForeignState
            It is the state of another log or of another format; the fence is as it was.
        """
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(path)
            database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        checkpoint = cls(path, database, log_id)
        checkpoint._crash_point = crash_point
        try:
            checkpoint._raise_fence()
        except StateError:
            database.close()
            raise
        return checkpoint

    def _raise_fence(self) -> None:
        with translated(self.path):
            for pragma in PRAGMAS:
                self._database.execute(pragma).fetchall()
            mode = self._database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StateError(f"{self.path}: the file system allows no write-ahead log, only {mode}")
        with self._transaction("IMMEDIATE") as database:
            for table in TABLES:
                database.execute(table)
            row = database.execute("SELECT format_version, log_id, epoch FROM stand").fetchone()
            if row is None:
                row = (FORMAT_VERSION, self.log_id, 0)
                database.execute(
                    "INSERT INTO stand (only, format_version, log_id, epoch) VALUES (1, ?, ?, ?)",
                    row,
                )
            if row[0] != FORMAT_VERSION:
                raise ForeignState(
                    f"{self.path}: format is {row[0]}, expected {FORMAT_VERSION}",
                    "start the version that wrote it, or move the file aside: "
                    "the journal is then judged from its start",
                )
            if row[1] != self.log_id:
                raise ForeignState(f"{self.path}: log id is {row[1]}, expected {self.log_id}")
            self.epoch = row[2] + 1
            database.execute("UPDATE stand SET epoch = ?", (self.epoch,))
            total = database.execute("SELECT SUM(LENGTH(body)) FROM outbox").fetchone()[0]
            self._outbox_bytes = total or 0

    def load(self) -> Loaded | None:
        """Return what was committed last, or None where nothing was.

        Raises
        ------
        TornState
            A checksum differs.
        """
        with self._transaction() as database:
            stands = self._stands()
            found = database.execute("SELECT body, crc FROM shared").fetchone()
        body, crc = found or (None, 0)
        if stands is None:
            return None
        return Loaded(
            next_offset=stands,
            shared=None if body is None else self._whole(body, crc, "the shared state"),
            epoch=self.epoch,
        )

    def commit(self, base: int, next_offset: int, outbox: Sequence[OutboxRow] = ()) -> None:
        """Move position and outbox on together.

        Parameters
        ----------
        base
            The position that the last commit left, ours or that of whoever was before us.  The
            first commit of a file may have any.
        outbox
            What is to be told; a row that waits already is not added again.

        Raises
        ------
        Fenced
            Another owner has raised the epoch.
        Gap
            The file does not stand at `base`, or `next_offset` lies before it.
        """
        added = 0
        with self._writing("commit") as database:
            stands = self._stands()
            if next_offset < base or stands not in (None, base):
                raise Gap(f"{self.path}: stands at {stands}, commit of {base} to {next_offset}")
            database.execute("UPDATE stand SET next_offset = ?", (next_offset,))
            database.execute("DELETE FROM attempt WHERE offset < ?", (next_offset,))
            for row in outbox:
                cursor = database.execute(
                    "INSERT INTO outbox (id, destination, body, crc) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (*row, zlib.crc32(row.body)),
                )
                added += cursor.rowcount * len(row.body)
        self._outbox_bytes += added

    def committed_to(self) -> int:
        """Return the position of the last commit; 0 where there was none."""
        with self._transaction():
            return self._stands() or 0

    def _stands(self) -> int | None:
        stands: int | None = self._database.execute("SELECT next_offset FROM stand").fetchone()[0]
        return stands

    # Series

    def sweep(
        self,
        records: Sequence[SeriesRecord],
        gone: Sequence[bytes] = (),
        *,
        shared: bytes | None = None,
    ) -> None:
        """Write the records of series that changed, and forget those that are gone.

        Parameters
        ----------
        shared
            Takes the place of the one before, when both are to be one snapshot; None: that stays.

        Raises
        ------
        Fenced
            Another owner has raised the epoch.
        Gap
            A record stands beyond the last commit: what the events in between did to the shared
            state would never be told.
        """
        with self._writing("sweep") as database:
            stands = self._stands()
            ahead = max((offset for _, offset, _ in records), default=0)
            if ahead > (stands or 0):
                raise Gap(f"{self.path}: stands at {stands}, a series at {ahead}")
            if shared is not None:
                database.execute(
                    "INSERT OR REPLACE INTO shared (only, crc, body) VALUES (1, ?, ?)",
                    (zlib.crc32(shared), shared),
                )
            database.executemany(
                "INSERT INTO series (name, offset, crc, record) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET"
                " offset = excluded.offset, crc = excluded.crc, record = excluded.record",
                ((name, offset, zlib.crc32(record), record) for name, offset, record in records),
            )
            database.executemany("DELETE FROM series WHERE name = ?", ((name,) for name in gone))

    def series(self, torn: Callable[[bytes], None] | None = None) -> Iterator[SeriesRecord]:
        """Yield the series records, ordered by name; sweeps may go on meanwhile.

        Parameters
        ----------
        torn
            Called with the name of a series whose checksum differs, which is then left out; None:
            `TornState` is raised.
        """
        after = b""
        while True:
            with self._transaction() as database:
                rows = database.execute(
                    "SELECT name, offset, record, crc FROM series WHERE name > ? ORDER BY name"
                    " LIMIT ?",
                    (after, PAGE_ROWS),
                ).fetchall()
            if not rows:
                return
            for name, offset, record, crc in rows:
                if torn is not None and zlib.crc32(record) != crc:
                    torn(name)
                else:
                    yield SeriesRecord(name, offset, self._whole(record, crc, f"series {name!r}"))
            after = rows[-1][0]

    # Outbox

    @property
    def outbox_bytes(self) -> int:
        """Bytes of the bodies that wait."""
        return self._outbox_bytes

    def outbox(self, destination: str, limit: int) -> list[OutboxRow]:
        """Return the rows of a destination that wait longest, in order of their commits."""
        with self._transaction() as database:
            rows = database.execute(OLDEST_ROWS, (destination, limit)).fetchall()
        return [
            OutboxRow(name, to, self._whole(body, crc, f"outbox row {name}"))
            for name, to, body, crc in rows
        ]

    def delivered(self, ids: Sequence[str], destination: str) -> None:
        """Delete rows that a destination has confirmed.

        Raises
        ------
        Fenced
            Another owner has raised the epoch: it will send them again, under the same ids.
        """
        removed = 0
        with self._writing("delivered") as database:
            for name in ids:
                row = database.execute(
                    "SELECT number, LENGTH(body) FROM outbox WHERE destination = ? AND id = ?",
                    (destination, name),
                ).fetchone()
                if row is not None:
                    database.execute("DELETE FROM outbox WHERE number = ?", row[:1])
                    removed += row[1]
        self._outbox_bytes -= removed

    # Positions that stop the process

    def attempt(self, offset: int) -> int:
        """Take note that judging goes on at a position; return how often it did so far."""
        with self._writing("attempt") as database:
            database.execute(
                "INSERT INTO attempt (only, offset, count) VALUES (1, ?, 1)"
                " ON CONFLICT (only) DO UPDATE SET"
                " count = IIF(offset = excluded.offset, count, 0) + 1, offset = excluded.offset",
                (offset,),
            )
            count: int = database.execute("SELECT count FROM attempt").fetchone()[0]
        return count

    def attempted(self) -> Attempt | None:
        """Return the last note that no commit has passed."""
        with self._transaction() as database:
            row = database.execute("SELECT offset, count FROM attempt").fetchone()
        return None if row is None else Attempt(*row)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    # Transactions

    @contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Iterator[sqlite3.Connection]:
        """Run a transaction, to read unless it is an IMMEDIATE one."""
        with self._lock, translated(self.path):
            self._database.execute(f"BEGIN {kind}")
            try:
                yield self._database
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    @contextmanager
    def _writing(self, point: str) -> Iterator[sqlite3.Connection]:
        """Run a transaction that only the owner may, and pass a crash point before its end."""
        with self._transaction("IMMEDIATE") as database:
            epoch = database.execute("SELECT epoch FROM stand").fetchone()[0]
            if epoch != self.epoch:
                raise Fenced(f"{self.path}: epoch is {epoch}, ours {self.epoch}")
            yield database
            self._crash_point(point)

    def _whole(self, blob: bytes, crc: int, what: str) -> bytes:
        return whole(self.path, blob, crc, what)


def _make(path: Path) -> None:
    """Make the file where there is none: SQLite would let everybody read it.

    One that is there is not touched.  Closing a file takes along every lock that the process has on
    it (POSIX), those of another connection of ours, too; the next process to close the state would
    think itself its last reader, and delete the log that we go on writing to.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def whole(path: Path, blob: bytes, crc: int, what: str) -> bytes:
    """Return a blob whose checksum is as it was written; `TornState` where it is not."""
    if zlib.crc32(blob) != crc:
        raise TornState(f"{path}: the checksum of {what} differs")
    return blob


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk raise into errors of ours."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.ProgrammingError, OSError) as error:
        raise StateError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise TornState(f"{path}: {error}") from error
