"""What the tests of the stores share: a store in a folder of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oracle.stored import LOG
from sentinel.stores import DuckDbStore

Open = Callable[..., DuckDbStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sentinel.duckdb"


@pytest.fixture
def open_store(path: Path) -> Iterator[Open]:
    """Return a function that opens the store; what it opened is closed in the end."""
    opened: list[DuckDbStore] = []

    def open_it(**changes: Any) -> DuckDbStore:
        store = DuckDbStore(path, **{"log_id": LOG, **changes})
        opened.append(store)
        store.open()
        return store

    yield open_it
    for store in opened:
        store.close(1.0)


@pytest.fixture
def store(open_store: Open) -> DuckDbStore:
    return open_store()
