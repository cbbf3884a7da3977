"""`sentinel baselines`: list, and a round trip through an exported file."""

import base64
import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sentinel._core import evidence_records, records
from sentinel.checkpoints.disk import DiskCheckpoint
from sentinel.cli import main
from sentinel.demo.traffic import Traffic
from sentinel.model.control import Control
from sentinel.model.metric import METRICS
from sentinel.replay.run import Replay
from sentinel.settings import Settings
from sentinel.sources.journal import CONTROL
from sentinel.sources.journal_reader import read_folder
from sentinel.sources.segments import Record

SERIES = 6 * 7
"""Six services and models, all metrics but the time to the first token."""
RECORDS = SERIES + 6 + 5
"""And the evidence of each, and of the five services as a whole."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the state of a replay, an incident open in it."""
    folder = tmp_path_factory.mktemp("replayed")
    traffic, replay = Traffic(7), Replay(Settings())
    for body in (*traffic.history(), *(body for second, body in traffic.live() if second < 25)):
        replay.judge(body)
    assert len(replay.open_incidents()) == 1
    DiskCheckpoint(folder).write(replay.save())
    return folder


def run(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["baselines", *map(str, arguments)])
    return code, *capfd.readouterr()


def listed(capfd: pytest.CaptureFixture[str], state: Path) -> list[dict[str, Any]]:
    code, out, told = run(capfd, "list", "--json", "--state", state)
    assert (code, told) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_every_series_is_listed_with_its_numbers(
    capfd: pytest.CaptureFixture[str], state: Path
) -> None:
    rows = listed(capfd, state)
    assert len(rows) == SERIES
    assert {row["service"] for row in rows} >= {"chat-api", "report-gen"}
    for row in rows:
        assert row["samples"] == 1000
        assert row["q1"] <= row["median"] <= row["q3"] <= row["p95"] <= row["p99"]
    code, out, told = run(capfd, "list", "--state", state)
    assert (code, told) == (0, "")
    head, *lines = out.splitlines()
    assert head.split() == ["series", "samples", "mean", "stddev", "median", "p95", "p99"]
    assert len(lines) == len(rows)
    assert lines[0].split()[:2] == ["chat-api:gpt-4o:latency_ms", "1,000"]
    assert {len(line) for line in lines} == {len(head)}


def test_what_is_exported_and_imported_is_the_same(
    capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    file, other = tmp_path / "baselines.ndjson", tmp_path / "other"
    code, out, told = run(capfd, "export", file, "--state", state)
    assert (code, out, told) == (0, "", f"{RECORDS} records written to {file}\n")
    code, out, told = run(capfd, "import", file, "--state", other)
    assert (code, out, told) == (0, "", f"{RECORDS} records added\n")
    assert listed(capfd, other) == listed(capfd, state)


def test_an_exported_line_says_which_series_its_record_is(
    capfd: pytest.CaptureFixture[str], state: Path
) -> None:
    code, out, _ = run(capfd, "export", "-", "--state", state)
    assert code == 0
    for line in map(json.loads, out.splitlines()):
        record = base64.b64decode(line["record"])
        if line["series"].endswith(":evidence"):
            of, _, calls = evidence_records.read(record)
            assert line["series"] == f"{of[2]}:{of[3] or '*'}:evidence"
            assert line["samples"] == calls
            continue
        key, metric, _, samples = records.read(record)
        assert line["series"] == f"{key[2]}:{key[3]}:{METRICS[metric]}"
        assert line["samples"] == samples


def test_an_import_starts_without_the_open_incidents_of_the_other(
    capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    file, other = tmp_path / "baselines.ndjson", tmp_path / "other"
    run(capfd, "export", file, "--state", state)
    run(capfd, "import", file, "--state", other)
    empty = tmp_path / "empty.ndjson"
    empty.write_bytes(b"")
    told = []
    for folder in (state, other):
        assert main(["replay", str(empty), "--state", str(folder)]) == 0
        told.append(capfd.readouterr().err)
    assert " 1 open" in told[0]
    assert " 0 open" in told[1]


def test_what_is_there_already_is_not_imported_again(
    capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    file, other = tmp_path / "baselines.ndjson", tmp_path / "other"
    run(capfd, "export", file, "--state", state)
    run(capfd, "import", file, "--state", other)
    before = listed(capfd, other)
    code, out, told = run(capfd, "import", file, "--state", other)
    assert (code, out) == (2, "")
    assert "is here already" in told
    assert listed(capfd, other) == before


def test_an_import_that_fails_half_way_adds_nothing(
    capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    _, out, _ = run(capfd, "export", "-", "--state", state)
    file, other = tmp_path / "baselines.ndjson", tmp_path / "other"
    lines = out.splitlines(keepends=True)
    torn = json.loads(lines[-1]) | {"record": base64.b64encode(b"torn").decode()}
    file.write_text("".join(lines[:-1]) + json.dumps(torn))
    code, _, told = run(capfd, "import", file, "--state", other)
    assert code == 2
    assert "state record: " in told
    assert not other.exists()


def test_standard_input_can_be_imported(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    state: Path,
    tmp_path: Path,
) -> None:
    _, out, _ = run(capfd, "export", "-", "--state", state)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(out.encode())))
    code, _, told = run(capfd, "import", "-", "--state", tmp_path / "other")
    assert (code, told) == (0, f"{RECORDS} records added\n")


@pytest.mark.parametrize(
    "text",
    ["garbage", "{}", '{"series":"a","samples":1,"record":"?"}', '{"service_name":"a"}', "\xff"],
)
def test_what_is_no_export_is_refused(
    text: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text(text, encoding="latin-1")
    code, out, told = run(capfd, "import", file, "--state", tmp_path / "state")
    assert (code, out) == (2, "")
    assert told.startswith(f"sentinel: {file}: not exported baselines: ")


def test_files_and_folders_that_cannot_be_used_are_named(
    capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    absent, nowhere = tmp_path / "absent", tmp_path / "no" / "where"
    for verb in (("list",), ("export", "-")):
        code, out, told = run(capfd, *verb, "--state", absent)
        assert (code, out, told) == (2, "", f"sentinel: {absent}: no state here\n")
    for path, arguments in (
        (absent, ("import", absent, "--state", nowhere)),
        (nowhere, ("export", nowhere, "--state", state)),
    ):
        code, out, told = run(capfd, *arguments)
        assert (code, out, told) == (2, "", f"sentinel: {path}: No such file or directory\n")


# A service that is stopped


def data_dir(folder: Path, **detection: Any) -> Path:
    """Return a configuration of a service whose folder is `folder`."""
    config = folder.with_suffix(".yaml")
    config.write_text(json.dumps({"data_dir": str(folder), "detection": detection}))
    return config


def test_baselines_come_into_a_service_before_its_first_start(
    capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    file, config = tmp_path / "baselines.ndjson", data_dir(tmp_path / "data")
    run(capfd, "export", file, "--state", state)
    code, out, told = run(capfd, "import", file, "-c", config)
    assert (code, out, told) == (0, "", f"{RECORDS} records added\n")
    code, out, _ = run(capfd, "list", "--json", "-c", config)
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == listed(capfd, state)
    code, out, _ = run(capfd, "export", "-", "-c", config)
    assert len(out.splitlines()) == RECORDS
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_the_log_of_a_service_says_by_which_rules_it_begins_and_what_was_adopted(
    capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.service.stopped.RECORD_SERIES", 20)
    file, config = tmp_path / "baselines.ndjson", data_dir(tmp_path / "data")
    run(capfd, "export", file, "--state", state)
    run(capfd, "import", file, "-c", config)
    recorded = read_folder(tmp_path / "data" / "journal")
    controls = [msgspec.json.decode(record.payload, type=Control) for record in recorded.records]
    kinds = [control.kind for control in controls]
    assert kinds == ["configure", "adopt", "adopt", "adopt"]
    assert [len(control.series) for control in controls] == [0, 20, 20, RECORDS - 40]


@pytest.mark.parametrize("fault", ["twice", "torn", "too many"])
def test_an_import_into_a_service_is_whole_or_not_at_all(
    fault: str, capfd: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    file, folder = tmp_path / "baselines.ndjson", tmp_path / "data"
    run(capfd, "export", file, "--state", state)
    config = data_dir(folder)
    if fault == "twice":
        run(capfd, "import", file, "-c", config)
    elif fault == "torn":
        torn = json.dumps({"series": "a", "samples": 1, "record": base64.b64encode(b"?").decode()})
        file.write_text(file.read_text() + torn)
    else:
        config = data_dir(folder, baseline={"max_series": SERIES - 1})
    code, out, told = run(capfd, "import", file, "-c", config)
    assert (code, out) == (2, "")
    said = {"twice": "is here already", "torn": "state record: ", "too many": "max_series"}
    assert said[fault] in told
    recorded = read_folder(folder / "journal")
    assert len(list(recorded.records)) == (2 if fault == "twice" else 0)


def test_what_the_log_cannot_adopt_any_more_is_left_out(state: Path) -> None:
    """Of a journal whose beginning is gone, or under a lower max_series: it stops nothing."""
    replay = Replay(Settings())
    saved = DiskCheckpoint(state).read()
    assert saved is not None
    one, other, *_ = (record for record in saved.series if record.startswith(b"SNTS"))
    series = [one, one, b"torn", other]
    payload = msgspec.json.encode(Control(kind="adopt", series=series))
    replay.judge_record(Record(0, CONTROL, 1, "default", payload))
    assert len(replay.partition.baselines()) == 2
    assert replay.partition.next_offset == 1
    few = Replay(msgspec.convert({"detection": {"baseline": {"max_series": 1}}}, Settings))
    few.judge_record(Record(0, CONTROL, 1, "default", payload))
    assert len(few.partition.baselines()) == 1


def test_an_adopted_series_is_in_every_snapshot_until_it_speaks(state: Path) -> None:
    partition = Replay(Settings()).partition
    saved = DiskCheckpoint(state).read()
    assert saved is not None
    partition.advance(10**18, 1)
    partition.adopt(saved.series)
    assert len(partition.named_records(10**18)) == len(saved.series)


def test_where_no_service_has_run_there_is_nothing_to_list(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    code, out, told = run(capfd, "list", "-c", data_dir(folder))
    assert (code, out, told) == (2, "", f"sentinel: {folder}: no service has run here\n")
    assert not folder.exists()
