"""Rows and cursor move together: re-runs, kills, failures, retention, one owner."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracle.stored import (
    LOG,
    START,
    anomaly_count,
    event_count,
    event_of,
    incident_of,
    rows_between,
    rows_of,
    time_of,
)
from sentinel.errors import ForeignState, StateError, TornState
from sentinel.stores import DuckDbStore, Retention, TelemetryFilter
from sentinel.stores.duckdb_file import DuckDbFile
from sentinel.stores.queries import Statement
from sentinel.stores.tables import FORMAT

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(TESTS), *os.environ.get("PYTHONPATH", "").split()]),
}


def all_places(store: DuckDbStore) -> list[tuple[Any, ...]]:
    query = 'SELECT "offset", "index" FROM telemetry ORDER BY ALL'
    return store._file.ask(Statement(query, []))


def assert_whole(store: DuckDbStore) -> None:
    """Nothing is missing below the cursor, nothing is there twice or above it."""
    end = store.cursor
    places = all_places(store)
    below = [place for place in places if place[0] < end]
    assert below == [(k, i) for k in range(end) for i in range(1 + k % 3)]
    # A cut within a record: its first events are there, and the cursor knows how many.
    assert places[len(below) :] == [(end, i) for i in range(len(places) - len(below))]
    assert store.counts()["anomalies"] >= anomaly_count(end)


def test_a_re_run_is_dropped_below_the_cursor_and_taken_above(open_store: Any) -> None:
    store = open_store()
    store.put(rows_between(0, 50))
    store.put(rows_between(20, 40))
    store.put(rows_between(30, 60))
    assert store.flush()
    assert store.cursor == 60
    store.close()
    again = open_store()
    assert again.cursor == 60
    for start, end in ((0, 30), (30, 60), (45, 75)):
        again.put(rows_between(start, end))
    assert again.flush()
    assert again.cursor == 75
    assert again.counts() == {
        "telemetry": event_count(75),
        "anomalies": anomaly_count(75),
        "incidents": 1,
    }
    assert_whole(again)


def test_offsets_without_rows_move_the_cursor(store: DuckDbStore) -> None:
    store.put(rows_of([], 9, next_offset=9, incidents=[incident_of(0, 1)]))
    assert store.flush()
    assert store.cursor == 9
    assert store.counts() == {"telemetry": 0, "anomalies": 0, "incidents": 1}


def test_another_log_begins_anew_and_keeps_the_rows(open_store: Any) -> None:
    first = open_store()
    first.put(rows_between(0, 10))
    first.close()
    other = open_store(log_id="another's")
    assert other.cursor == 0
    other.put(rows_between(0, 5))
    other.close()
    assert open_store().cursor == 10


def test_a_kill_at_any_moment_leaves_rows_and_cursor_as_one(path: Path) -> None:
    """Ten kills at random moments; each run goes on a little below the cursor, as a re-run does.

    Every other run puts so much at once that it fills row groups.
    """
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for kill in range(10):
        largest = "9000" if kill % 2 else "700"
        command = [sys.executable, "-m", "oracle.stored", str(path), str(kill), largest]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline(), f"seed {seed}: it did not open"
            time.sleep(rng.uniform(0.05, 1.2))
            child.send_signal(signal.SIGKILL)
            child.wait()
        store = DuckDbStore(path, log_id=LOG)
        store.open()
        assert_whole(store)
        store.close()
    store = DuckDbStore(path, log_id=LOG)
    cursor = store.open()
    assert cursor > 0
    store.put(rows_between(max(0, cursor - 50), cursor + 50))
    assert store.flush()
    assert_whole(store)
    assert store.counts()["anomalies"] == anomaly_count(cursor + 50)
    store.close()


def test_a_crash_before_the_commit_leaves_nothing(path: Path) -> None:
    calls: list[str] = []

    def crash(name: str) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise StateError("a crash")

    told: list[StateError] = []
    store = DuckDbStore(path, log_id=LOG, crash_point=crash, on_failure=told.append)
    store.open()
    store.put(rows_between(0, 10))
    assert store.flush()
    store.put(rows_between(10, 20))
    assert not store.flush(0.2)
    assert store.cursor == 10
    assert store.flush(5)
    assert_whole(store)
    assert calls == ["store"] * 3
    assert [str(error) for error in told] == ["a crash"]
    store.close()


def test_a_failing_write_is_told_and_tried_again(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[StateError] = []
    store._writer._on_failure = told.append
    insert, left = DuckDbFile._insert, [2]

    def fail(self: DuckDbFile, connection: Any, table: Any, rows: Any) -> None:
        insert(self, connection, table, rows)
        if left[0]:
            left[0] -= 1
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(DuckDbFile, "_insert", fail)
    store.put(rows_between(0, 100))
    assert not store.flush(0.3)
    assert store.health().failure is not None
    assert store.backlog_bytes > 0
    store.put(rows_between(100, 200))
    assert store.flush(10)
    assert len(told) == 2
    assert "No space left on device" in str(told[0])
    assert store.health().failure is None
    assert store.backlog_bytes == 0
    assert_whole(store)


def test_a_commit_whose_answer_was_lost_is_not_repeated(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, lost = DuckDbFile.write, [True]

    def lose(self: DuckDbFile, blocks: Any) -> None:
        write(self, blocks)
        if lost.pop() if lost else False:
            self.close()
            raise StateError("the answer was lost")

    monkeypatch.setattr(DuckDbFile, "write", lose)
    store.put(rows_between(0, 100))
    assert not store.flush(0.3)
    store.put(rows_between(100, 150))
    assert store.flush(10)
    assert_whole(store)
    assert store.counts()["telemetry"] == event_count(150)


FULL_DISK = """
import resource, sys
from pathlib import Path
from oracle.stored import LOG, event_count, anomaly_count, rows_between
from sentinel.stores import DuckDbStore

told = []
store = DuckDbStore(Path(sys.argv[1]), log_id=LOG, on_failure=told.append)
store.open()
store.put(rows_between(0, 1000))
assert store.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
for start in range(1000, 31_000, 3000):
    store.put(rows_between(start, start + 3000))
assert not store.flush(4)
assert told and store.backlog_bytes > 0, told
cursor = store.cursor
assert cursor < 31_000
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert store.flush(60), store.health()
assert store.cursor == 31_000
assert store.counts()["telemetry"] == event_count(31_000), store.counts()
assert store.counts()["anomalies"] == anomaly_count(31_000), store.counts()
assert store.telemetry().rows
store.close()
print(len(told), "failures:", told[0])
"""


def test_a_full_disk_is_told_and_nothing_is_lost_once_there_is_room(path: Path) -> None:
    """The limit on a file's size stands for the full disk: a write gives an error in its midst."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "failures" in done.stdout


def test_a_store_is_behind_from_its_bound_on(open_store: Any) -> None:
    store = open_store(backlog_bytes_max=50_000)
    assert not store.is_behind
    store.put(rows_between(0, 100))
    assert store.is_behind
    assert store.flush()
    assert not store.is_behind


def test_old_rows_go_and_open_incidents_stay(open_store: Any) -> None:
    keep = Retention(telemetry_hours=0.01, anomalies_hours=0.02, incidents_hours=0.03)
    store = open_store(retention=keep, tidy_interval_secs=0.0)
    store.put(rows_between(0, 100))
    ended = [
        incident_of(1, 1, state="resolved", ended_at=time_of(1000)),
        incident_of(2, 1, state="resolved", ended_at=time_of(50_000)),
    ]
    store.put(rows_of([event_of(100, 0)], 100, incidents=[*ended, incident_of(3, 1)]))
    assert store.flush()
    anomalies = anomaly_count(100) - anomaly_count(51)
    # 36 s of telemetry, 72 s of anomalies, 108 s of incidents are kept.
    for offset, counts in (
        (36_050, {"telemetry": 102, "anomalies": 80, "incidents": 4}),
        (72_051, {"telemetry": 1, "anomalies": anomalies, "incidents": 4}),
        (120_000, {"telemetry": 1, "anomalies": 0, "incidents": 3}),
        (170_000, {"telemetry": 1, "anomalies": 0, "incidents": 2}),
    ):
        store.put(rows_of([event_of(offset, 0)], offset))
        assert store.flush()
        end = time.monotonic() + 10  # what is old goes right after the commit
        while store.counts() != counts and time.monotonic() < end:
            time.sleep(0.02)
        assert store.counts() == counts, offset


def test_a_second_process_is_told_that_the_file_has_an_owner(
    store: DuckDbStore, path: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; from sentinel.stores import DuckDbStore\n"
        "from sentinel.errors import StateError\n"
        "try: DuckDbStore(Path(sys.argv[1]), log_id='x').open()\n"
        "except StateError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert "sentinel.duckdb: somebody else has it open" in done.stdout
    with pytest.raises(StateError, match="somebody else has it open"):
        DuckDbStore(path, log_id=LOG).open()


def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(TornState, match="not a valid DuckDB"):
        DuckDbStore(path, log_id=LOG).open()
    assert path.read_bytes().startswith(b"no database")


@pytest.mark.parametrize("version", [FORMAT - 1, 99])
def test_a_file_of_another_version_is_refused(open_store: Any, path: Path, version: int) -> None:
    store = open_store()
    with store._file._transaction() as connection:
        connection.execute(f"UPDATE about SET format = {version}")
    store.close()
    with pytest.raises(ForeignState, match=f"version {FORMAT}, got {version}"):
        DuckDbStore(path, log_id=LOG).open()


def test_a_damaged_file_is_refused(open_store: Any, path: Path) -> None:
    store = open_store()
    store.put(rows_between(0, 12_000))
    store.close()
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(4096, len(data), 2000):
        data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(StateError, match=r"sentinel\.duckdb"):
        DuckDbStore(path, log_id=LOG).open()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"file/sentinel\.duckdb"):
        DuckDbStore(tmp_path / "file" / "sentinel.duckdb", log_id=LOG).open()


def test_a_closed_store_takes_and_answers_nothing(open_store: Any) -> None:
    store = open_store()
    store.put(rows_between(0, 10))
    assert store.close()
    assert store.close() is False or store.cursor == 10
    with pytest.raises(StateError, match="closed"):
        store.put(rows_between(10, 20))
    with pytest.raises(StateError, match="not open"):
        store.telemetry()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_broken_invariant_stops_the_writer_and_is_told(open_store: Any) -> None:
    told: list[StateError] = []
    store = open_store(on_failure=told.append)
    rows = rows_between(0, 10)
    rows.votes.event[:] = rows.votes.event[::-1].copy()
    store.put(rows)
    assert not store.flush(5)
    assert "stopped" in str(told[0])
    with pytest.raises(StateError, match="broken"):
        store.put(rows_between(10, 20))


def test_the_library_is_not_imported_before_a_store_is_opened() -> None:
    script = "import sys, sentinel.stores; print({'duckdb', 'pyarrow'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_time_of_a_row_is_the_end_of_the_call(store: DuckDbStore) -> None:
    store.put(rows_between(0, 3))
    assert store.flush()
    assert store.telemetry(TelemetryFilter(end=time_of(1))).rows[0].timestamp == START


def test_logs_in_one_store_have_a_cursor_each_and_their_rows_side_by_side(
    open_store: Any,
) -> None:
    store = open_store()
    places = [store.log(name) for name in ("topic/0", "topic/1")]
    places[0].put(rows_between(0, 40))
    places[1].put(rows_between(0, 30))
    places[0].put(rows_between(40, 50))
    places[1].put(rows_between(20, 35))
    assert store.flush()
    assert [place.cursor for place in places] == [50, 35]
    store.close()
    again = open_store()
    assert [again.log(name).cursor for name in ("topic/0", "topic/1")] == [50, 35]
    assert again.cursor == 0
    seen, cursor = 0, None
    while seen == 0 or cursor:
        page = again.telemetry(limit=7, cursor=cursor)
        seen, cursor = seen + len(page.rows), page.next_cursor
    assert seen == again.counts()["telemetry"]
