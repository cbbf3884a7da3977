"""A folder of states, as its owner and as somebody else sees it."""

import sqlite3
import subprocess
import sys
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


OTHER_PROCESS = """
import sys
from pathlib import Path
from sentinel.checkpoints.folder import FolderCheckpoints
place = FolderCheckpoints(Path(sys.argv[1]))
place.waiting("calls-0", "log", 1)
seen = place.look("calls-0")
place.close()
print(seen.next_offset)
"""


def seen_by_another_process(folder: Path) -> int:
    """Return where the state stands for a process that comes, looks and goes."""
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_whoever_comes_and_goes_meanwhile_takes_no_commit_along(tmp_path: Path) -> None:
    # A file that is closed takes all locks of its process along, those of others of its threads
    # too: the next process to go would think itself the last one, and take the log away.
    place = FolderCheckpoints(tmp_path)
    first = place.open("calls-0", log_id="log")
    first.commit(0, 1)
    first.close()
    assert place.waiting("calls-0", "log", 1) == []
    again = place.open("calls-0", log_id="log")
    again.commit(1, 2)
    assert seen_by_another_process(tmp_path) == 2
    again.commit(2, 3)
    assert seen_by_another_process(tmp_path) == 3
    again.close()
    place.close()
    assert seen_by_another_process(tmp_path) == 3
