"""The same input in the same order gives the same bytes out, whatever way it comes in."""

import gzip
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard

from end_to_end.streams import Lines, nasty
from sentinel.replay.run import Replay
from sentinel.settings import Settings

SEED = 5
OUTPUTS = ((), ("--alerts",), ("--incidents",))
NAMES = ("anomalies", "alerts", "incidents")
STEP = 50
"""Lines between two looks at whether an incident is open."""


@dataclass(frozen=True)
class Stream:
    """The stream, and where it lies."""

    lines: Lines
    folder: Path

    @property
    def path(self) -> str:
        return str(self.folder / "stream.ndjson")


def replay(*arguments: str, stdin: bytes | None = None, hash_seed: int = 0) -> bytes:
    """Run `sentinel replay` as a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", "replay", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )
    told = done.stderr.decode()
    assert done.returncode == 0, told
    assert "Traceback" not in told
    return done.stdout


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    folder = tmp_path_factory.mktemp("stream")
    lines = nasty(SEED)
    half = len(lines) // 2
    parts = [b"".join(lines[:half]), b"".join(lines[half:])]
    (folder / "stream.ndjson").write_bytes(b"".join(parts))
    (folder / "members.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    pack = zstandard.ZstdCompressor().compress
    (folder / "frames.zst").write_bytes(b"".join(map(pack, parts)))
    return Stream(lines, folder)


@pytest.fixture(scope="module")
def carried(stream: Stream, whole: dict[tuple[str, ...], bytes]) -> dict[tuple[str, ...], bytes]:
    """Return what one run prints that keeps its state: open incidents are carried, not printed."""
    state = ("--state", str(stream.folder / "one"))
    return {**whole, OUTPUTS[2]: replay(stream.path, *OUTPUTS[2], *state)}


@pytest.fixture(scope="module")
def whole(stream: Stream) -> dict[tuple[str, ...], bytes]:
    """Return what one run over the file prints, by output."""
    return {output: replay(stream.path, *output) for output in OUTPUTS}


def open_at(lines: Lines) -> list[int]:
    """Return the lines after which an incident is open."""
    judge = Replay(Settings())
    found = []
    for first in range(0, len(lines), STEP):
        judge.judge(b"".join(lines[first : first + STEP]))
        if judge.open_incidents():
            found.append(first + STEP)
    return found


def test_the_stream_has_everything_that_could_go_wrong(
    stream: Stream, whole: dict[tuple[str, ...], bytes]
) -> None:
    judge = Replay(Settings())
    kinds: set[str] = set()
    for first in range(0, len(stream.lines), 1000):
        step = judge.judge(b"".join(stream.lines[first : first + 1000]))
        kinds |= {event.kind for event in step.incident_events}
    counts = judge.counts
    assert kinds >= {"open", "evidence", "progress", "close"}
    assert all(counts.states[name] > 50 for name in ("late", "stale", "repeated"))
    assert counts.over_limit > 50
    assert counts.rejections.keys() >= {
        *("not_json", "not_utf8", "wrong_type", "bad_name", "no_time", "negative"),
        *("bad_number", "too_deep", "too_big"),
    }
    assert judge.open_incidents()
    for kind in (b"open", b"resolve"):
        assert b'"kind":"%b"' % kind in whole["--alerts",]
    assert all(len(whole[output].splitlines()) > 15 for output in OUTPUTS)


@pytest.mark.parametrize("output", OUTPUTS, ids=NAMES)
def test_standard_input_gives_the_same_as_a_file(
    stream: Stream, whole: dict[tuple[str, ...], bytes], output: tuple[str, ...]
) -> None:
    assert replay("-", *output, stdin=b"".join(stream.lines)) == whole[output]


@pytest.mark.parametrize("output", OUTPUTS[:2], ids=NAMES[:2])
@pytest.mark.parametrize("name", ["members.gz", "frames.zst"])
def test_a_compressed_file_gives_the_same_as_a_plain_one(
    stream: Stream, whole: dict[tuple[str, ...], bytes], name: str, output: tuple[str, ...]
) -> None:
    assert replay(str(stream.folder / name), *output) == whole[output]


@pytest.mark.parametrize("output", OUTPUTS, ids=NAMES)
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_the_size_of_a_batch_changes_nothing(
    stream: Stream, whole: dict[tuple[str, ...], bytes], size: int, output: tuple[str, ...]
) -> None:
    assert replay(stream.path, "--batch-size", str(size), *output) == whole[output]


@pytest.mark.parametrize("output", OUTPUTS, ids=NAMES)
def test_the_hash_seed_of_python_changes_nothing(
    stream: Stream, whole: dict[tuple[str, ...], bytes], output: tuple[str, ...]
) -> None:
    assert replay(stream.path, *output, hash_seed=4242) == whole[output]


@pytest.mark.parametrize("output", OUTPUTS[:2], ids=NAMES[:2])
def test_several_files_are_one_stream(
    stream: Stream,
    whole: dict[tuple[str, ...], bytes],
    output: tuple[str, ...],
    tmp_path: Path,
) -> None:
    third = len(stream.lines) // 3
    paths = []
    for number in range(3):
        end = None if number == 2 else (number + 1) * third
        paths.append(tmp_path / f"{number}.ndjson")
        paths[-1].write_bytes(b"".join(stream.lines[number * third : end]))
    assert replay(*map(str, paths), *output) == whole[output]


@pytest.mark.parametrize("size", [1, 7])
def test_the_cap_on_series_is_reached_at_the_same_event_whatever_the_batches(
    stream: Stream, tmp_path: Path, size: int
) -> None:
    settings = tmp_path / "small.yaml"
    settings.write_text("detection:\n  baseline:\n    max_series: 16\n")
    one = replay(stream.path, "-c", str(settings), "--alerts")
    assert b"__other__" in one
    arguments = (stream.path, "-c", str(settings), "--alerts")
    assert replay(*arguments, "--batch-size", str(size)) == one


@pytest.mark.parametrize("output", OUTPUTS, ids=NAMES)
@pytest.mark.parametrize("place", ["first", "in an incident", "in the last incident"])
def test_a_stream_in_two_parts_with_state_between_is_one_stream(
    stream: Stream,
    carried: dict[tuple[str, ...], bytes],
    place: str,
    output: tuple[str, ...],
    tmp_path: Path,
) -> None:
    lines = stream.lines
    places = open_at(lines)
    cut = {
        "first": 1,
        "in an incident": places[len(places) // 3],
        "in the last incident": places[-3],
    }[place]
    state = ("--state", str(tmp_path / "state"))
    got = [
        replay("-", *state, *output, stdin=b"".join(part)) for part in (lines[:cut], lines[cut:])
    ]
    assert b"".join(got) == carried[output]
    assert place == "in the last incident" or got[1], "the second part has its share"


@pytest.mark.parametrize("output", OUTPUTS[1:], ids=NAMES[1:])
def test_a_stream_in_many_parts_is_one_stream_too(
    stream: Stream,
    carried: dict[tuple[str, ...], bytes],
    output: tuple[str, ...],
    tmp_path: Path,
) -> None:
    lines = stream.lines
    cuts = [0, 977, 3_001, 3_002, 9_999, len(lines)]
    state = ("--state", str(tmp_path / "state"))
    got = [
        replay("-", *state, *output, "--batch-size", "300", stdin=b"".join(lines[start:stop]))
        for start, stop in pairwise(cuts)
    ]
    assert b"".join(got) == carried[output]
