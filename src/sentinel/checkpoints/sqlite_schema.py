"""The tables of the state of one machine, and how SQLite is to treat its file."""

from typing import Final

FORMAT_VERSION: Final = 2

PAGE_BYTES: Final = 16_384
"""A series record of 8 KB lies in one page: new ones are written a third faster than with 4096."""

PRAGMAS: Final = (
    f"PRAGMA page_size = {PAGE_BYTES}",
    "PRAGMA synchronous = FULL",
    # 16 MiB: a sweep of a thousand series goes into the file about once, not eight times.
    "PRAGMA wal_autocheckpoint = 1024",
    "PRAGMA journal_size_limit = 67108864",
)
"""With the write-ahead log, FULL makes each commit durable before it returns."""

TABLES: Final = (
    # One row: who owns the state, and where it stands.  It is written with every commit, so it is
    # small: an update writes the whole row again.
    "CREATE TABLE IF NOT EXISTS stand ("
    " only INTEGER PRIMARY KEY CHECK (only = 1),"
    " format_version INTEGER NOT NULL,"
    " log_id TEXT NOT NULL,"
    " epoch INTEGER NOT NULL,"
    " next_offset INTEGER)",
    # At most one row: what all series share, up to 50 MB.
    "CREATE TABLE IF NOT EXISTS shared ("
    " only INTEGER PRIMARY KEY CHECK (only = 1),"
    " crc INTEGER NOT NULL,"
    " body BLOB NOT NULL)",
    # At most one row: where judging went on, and nothing beyond was committed yet.
    "CREATE TABLE IF NOT EXISTS attempt ("
    " only INTEGER PRIMARY KEY CHECK (only = 1),"
    " offset INTEGER NOT NULL,"
    " count INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS series ("
    " name BLOB NOT NULL UNIQUE,"
    " offset INTEGER NOT NULL,"
    " crc INTEGER NOT NULL,"
    " record BLOB NOT NULL)",
    # AUTOINCREMENT: a number is never given again, so the order is that of the commits.
    "CREATE TABLE IF NOT EXISTS outbox ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " destination TEXT NOT NULL,"
    " id TEXT NOT NULL,"
    " crc INTEGER NOT NULL,"
    " body BLOB NOT NULL,"
    " UNIQUE (destination, id))",
)
