"""`sentinel baselines`: list, and a round trip through an exported file."""

import base64
import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from sentinel._core import records
from sentinel.checkpoints.disk import DiskCheckpoint
from sentinel.cli import main
from sentinel.demo.traffic import Traffic
from sentinel.model.metric import METRICS
from sentinel.replay.run import Replay
from sentinel.settings import Settings

SERIES = 6 * 7
"""Six services and models, all metrics but the time to the first token."""


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
    assert (code, out, told) == (0, "", f"{SERIES} series written to {file}\n")
    code, out, told = run(capfd, "import", file, "--state", other)
    assert (code, out, told) == (0, "", f"{SERIES} series added\n")
    assert listed(capfd, other) == listed(capfd, state)


def test_an_exported_line_says_which_series_its_record_is(
    capfd: pytest.CaptureFixture[str], state: Path
) -> None:
    code, out, _ = run(capfd, "export", "-", "--state", state)
    assert code == 0
    for line in map(json.loads, out.splitlines()):
        key, metric, _, samples = records.read(base64.b64decode(line["record"]))
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
    assert "chat-api:gpt-4o:latency_ms is here already" in told
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
    assert "series record: " in told
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
    assert (code, told) == (0, f"{SERIES} series added\n")


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
