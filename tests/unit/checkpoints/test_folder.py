"""A folder of states, as its owner and as somebody else sees it."""

import sqlite3
from pathlib import Path

import pytest

from sentinel.checkpoints.contract import Checkpoint, Checkpoints
from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.checkpoints.rows import SeriesRecord
from sentinel.errors import StateError


def test_a_folder_keeps_to_the_contract_and_has_a_file_for_each_partition(tmp_path: Path) -> None:
    place: Checkpoints = FolderCheckpoints(tmp_path)
    first: Checkpoint = place.open("topic-0", log_id="log")
    second = place.open("topic-1", log_id="log")
    first.commit(0, 7)
    assert (first.committed_to(), second.committed_to()) == (7, 0)
    assert {file.name for file in tmp_path.glob("*.sqlite")} == {"topic-0.sqlite", "topic-1.sqlite"}
    first.close()
    second.close()


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a\n"])
def test_a_name_that_is_no_name_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateError, match="no name"):
        FolderCheckpoints(tmp_path).open(name, log_id="log")


def test_a_damaged_record_is_not_shown(tmp_path: Path) -> None:
    place = FolderCheckpoints(tmp_path)
    checkpoint = place.open("p", log_id="log")
    checkpoint.commit(0, 1)
    checkpoint.sweep([SeriesRecord(b"x", 1, b"x"), SeriesRecord(b"y", 1, b"y")], shared=b"s")
    with sqlite3.connect(tmp_path / "p.sqlite") as database:
        database.execute("UPDATE series SET record = x'00' WHERE name = x'78'")
    database.close()
    seen = place.look("p")
    assert seen is not None
    assert [record.name for record in seen.series] == [b"y"]
    checkpoint.close()
