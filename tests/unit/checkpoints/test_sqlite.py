"""The fenced checkpoint: position and state move together, and only for the owner."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.checkpoints.sqlite import Checkpoint, OutboxRow, SeriesRecord
from sentinel.errors import Fenced, ForeignState, StateError, TornState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "checkpoint.sqlite"


def opened(path: Path, log_id: str = "log") -> Checkpoint:
    return Checkpoint.open(path, log_id=log_id)


@pytest.fixture
def checkpoint(path: Path) -> Iterator[Checkpoint]:
    checkpoint = opened(path)
    yield checkpoint
    checkpoint.close()


def alert(number: int, destination: str = "hook") -> OutboxRow:
    return OutboxRow(f"id-{number}", destination, b"body %d" % number)


def test_nothing_is_loaded_before_the_first_commit(checkpoint: Checkpoint) -> None:
    assert checkpoint.load() is None
    assert checkpoint.committed_to() == 0
    assert list(checkpoint.series()) == []


def test_what_was_committed_is_loaded_by_the_next_owner(path: Path) -> None:
    first = opened(path)
    first.commit(0, 10, [alert(1)])
    first.sweep([], shared=b"s1")
    first.commit(10, 25, [alert(2)])
    first.sweep([SeriesRecord(b"x", 25, b"window")], shared=b"s2")
    first.close()
    second = opened(path)
    loaded = second.load()
    assert loaded is not None
    assert (loaded.next_offset, loaded.shared, loaded.epoch) == (25, b"s2", 2)
    assert list(second.series()) == [SeriesRecord(b"x", 25, b"window")]
    assert second.outbox("hook", 9) == [alert(1), alert(2)]
    assert second.outbox_bytes == 12
    second.commit(25, 26)
    assert second.committed_to() == 26
    second.close()


def test_the_file_is_for_its_owner_alone(path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.commit(0, 1)
    assert {found.stat().st_mode & 0o777 for found in path.parent.iterdir()} == {0o600}


# The fence


def test_an_owner_whose_epoch_was_passed_can_write_nothing(path: Path) -> None:
    zombie = opened(path)
    zombie.commit(0, 5, [alert(1)])
    owner = opened(path)
    owner.commit(5, 6)
    owner.sweep([], shared=b"new")
    with pytest.raises(Fenced, match="epoch is 2, ours 1"):
        zombie.commit(6, 7)
    with pytest.raises(Fenced):
        zombie.sweep([SeriesRecord(b"x", 1, b"zombie")], shared=b"zombie")
    with pytest.raises(Fenced):
        zombie.delivered(["id-1"], "hook")
    loaded = owner.load()
    assert loaded is not None
    assert (loaded.shared, loaded.next_offset) == (b"new", 6)
    assert list(owner.series()) == []
    assert owner.outbox("hook", 9) == [alert(1)]
    zombie.close()
    owner.close()


def test_state_of_another_log_or_format_is_refused_and_its_fence_is_not_raised(path: Path) -> None:
    owner = opened(path)
    with pytest.raises(ForeignState, match="log id is log, expected other"):
        opened(path, log_id="other")
    owner.commit(0, 1)
    owner.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE stand SET format_version = 1")
    database.close()
    with pytest.raises(ForeignState, match="format is 1, expected 2"):
        opened(path)


# Shared state and series


def test_a_commit_costs_the_same_beside_large_shared_state(checkpoint: Checkpoint) -> None:
    """A commit several times a second must not write the whole state again."""
    checkpoint.commit(0, 1)
    checkpoint.sweep([], shared=bytes(50_000_000))
    wal = checkpoint.path.with_name(checkpoint.path.name + "-wal")
    checkpoint._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    checkpoint.commit(1, 2, [alert(1)])
    assert wal.stat().st_size < 1_000_000


# Outbox


# Damage


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE shared SET body = x'00'", "shared state"),
        ("UPDATE series SET record = x'00' WHERE name = x'79'", "series b'y'"),
        ("UPDATE outbox SET body = x'00'", "outbox row id-1"),
    ],
)
def test_a_blob_that_was_changed_is_not_handed_out(path: Path, change: str, what: str) -> None:
    checkpoint = opened(path)
    checkpoint.commit(0, 1, [alert(1)])
    checkpoint.sweep([SeriesRecord(name, 1, name) for name in (b"x", b"y", b"z")], shared=b"s")
    other = sqlite3.connect(path)
    other.execute(change)
    other.commit()
    other.close()
    with pytest.raises(TornState, match=what):
        (checkpoint.load(), list(checkpoint.series()), checkpoint.outbox("hook", 9))
    checkpoint.close()


def test_a_torn_series_can_be_left_out_by_name(path: Path) -> None:
    checkpoint = opened(path)
    checkpoint.commit(0, 1)
    checkpoint.sweep([SeriesRecord(name, 1, name) for name in (b"x", b"y", b"z")])
    checkpoint._database.execute("UPDATE series SET crc = crc + 1 WHERE name = x'79'")
    torn: list[bytes] = []
    assert [record.name for record in checkpoint.series(torn.append)] == [b"x", b"z"]
    assert torn == [b"y"]
    checkpoint.close()


def test_a_file_that_is_no_database_is_torn(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(TornState, match="not a database"):
        opened(path)
    assert path.read_bytes() == b"no database" * 1000


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file/checkpoint"):
        opened(tmp_path / "file" / "checkpoint.sqlite")
    checkpoint = opened(tmp_path / "checkpoint.sqlite")
    checkpoint.close()
    with pytest.raises(StateError, match="closed database"):
        checkpoint.commit(0, 1)


def test_a_write_that_fails_leaves_no_trace_and_can_be_tried_again(path: Path) -> None:
    failures = iter([True, False])

    def crash_point(name: str) -> None:
        if name == "commit" and next(failures):
            raise OSError(28, "No space left on device")

    checkpoint = Checkpoint.open(path, log_id="log", crash_point=crash_point)
    with pytest.raises(StateError, match="No space left"):
        checkpoint.commit(0, 5, [alert(1)])
    assert checkpoint.load() is None
    assert checkpoint.outbox_bytes == 0
    checkpoint.commit(0, 5, [alert(1)])
    assert checkpoint.committed_to() == 5
    checkpoint.close()
