"""A file gives the same inputs in the same order however it is packed, ended and cut."""

import gzip
import io
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from sentinel.errors import InputError
from sentinel.intake import Intake, IntakeSettings
from sentinel.sources.file import CHUNK_BYTES, LINE_BYTES_MAX, Body, FileReader

SIZES = (None, 1, 2, 7, 65536)
Seen = tuple[list[tuple[int, str]], list[tuple[int, str]]]


def event(number: int, **fields: object) -> bytes:
    fields = {"event_id": f"e{number}", "timestamp": 1_740_992_400 + number} | fields
    return json.dumps({"service_name": "a", "model": "b"} | fields).encode()


EVENTS = [event(number) for number in range(20)]
PLAIN = b"\n".join(EVENTS) + b"\n"


def pack_zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def bodies(path: Path | str, lines: int | None = None) -> list[Body]:
    with FileReader(str(path), lines) as reader:
        return list(reader.bodies())


def seen(path: Path | str, lines: int | None = None) -> Seen:
    """Return (position, event id) of what intake admits of a file, and (position, code) of the
    rest."""
    intake = Intake(IntakeSettings(), key=b"k" * 32, log_id="x")
    admitted: list[tuple[int, str]] = []
    refused: list[tuple[int, str]] = []
    offset = 0
    for body in bodies(path, lines):
        batch, rejections, inputs = intake.take(
            body.data, offset=offset, received_at=None, lines=body.lines
        )
        ids = [str(event.event_id) for event in batch.events]
        admitted += zip(batch.offset.tolist(), ids, strict=True)
        refused += [(rejection.position, rejection.code) for rejection in rejections]
        offset += inputs
    return admitted, refused


ALL = [(number, f"e{number}") for number in range(20)]
FORMS: dict[str, bytes] = {
    "plain": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip of many members": b"".join(gzip.compress(line + b"\n") for line in EVENTS),
    "gzip, members cut within a line": gzip.compress(PLAIN[:333]) + gzip.compress(PLAIN[333:]),
    "gzip with zeros behind it": gzip.compress(PLAIN) + bytes(64),
    "gzip after an empty member": gzip.compress(b"") + gzip.compress(PLAIN),
    "zstd": pack_zstd(PLAIN),
    "zstd of many frames": b"".join(pack_zstd(line + b"\n") for line in EVENTS),
    "zstd after an empty frame": pack_zstd(b"") + pack_zstd(PLAIN),
    "zstd after a frame to skip": b"\x50\x2a\x4d\x18\x04\0\0\0skip" + pack_zstd(PLAIN),
    "an array": b"[" + b",".join(EVENTS) + b"]",
    "an array of many lines": b" \n[\n  " + b",\n  ".join(EVENTS) + b"\n]\n",
    "an array in gzip": gzip.compress(b"[" + b",".join(EVENTS) + b"]"),
    "carriage returns": b"\r\n".join(EVENTS) + b"\r\n",
    "blank lines": b"\n\r\n  \n" + b"\n\n \t\n".join(EVENTS) + b"\n\n\n",
    "no final newline": b"\n".join(EVENTS),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "a byte order mark before an array": b"\xef\xbb\xbf[" + b",".join(EVENTS) + b"]",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FORMS)
def test_a_file_gives_the_same_events_at_the_same_positions(
    name: str, size: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(FORMS[name])
    assert seen(path, size) == (ALL, [])


BAD = {
    "first": (b"garbage\n" + PLAIN, [(0, "not_json")]),
    "first, like the beginning of an array": (b"[INFO] started\n" + PLAIN, [(0, "wrong_type")]),
    "first, an array": (b"[1, 2]\n" + PLAIN, [(0, "wrong_type")]),
    "first, like the beginning of an object": (b"{\n" + PLAIN, [(0, "not_json")]),
    "two": (b"garbage\nrubbish\n" + PLAIN, [(0, "not_json"), (1, "not_json")]),
    "all of them": (b"one\ntwo\n\nthree", [(0, "not_json"), (1, "not_json"), (2, "not_json")]),
    "last": (PLAIN + b'{"service_name":"a","mod', [(20, "not_json")]),
    "not UTF-8": (PLAIN + b"\xff\xfe\n", [(20, "not_utf8")]),
    "very long": (b"x" * 3_000_000 + b"\n" + PLAIN, [(0, "too_big")]),
    "exactly as long as is kept": (
        b"x" * LINE_BYTES_MAX + b"\n" + PLAIN,
        [(0, "too_big")],
    ),
    "very long twice": (
        b"x" * 3_000_000 + b"\n" + event(0) + b"\n" + b"y" * 3_000_000 + b"\n" + event(1),
        [(0, "too_big"), (2, "too_big")],
    ),
    "very long and last": (PLAIN + b"x" * 2_500_000, [(20, "too_big")]),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, pack_zstd], ids=["plain", "gz", "zst"])
def test_a_bad_line_is_one_input_wherever_it_stands(
    pack: Callable[[bytes], bytes], name: str, size: int | None, tmp_path: Path
) -> None:
    data, refused = BAD[name]
    path = tmp_path / "file"
    path.write_bytes(pack(data))
    admitted, found = seen(path, size)
    assert found == refused
    places = {position for position, _ in refused}
    count = 2 if name == "very long twice" else 0 if name == "all of them" else 20
    free = [place for place in range(count + len(places)) if place not in places]
    assert admitted == [(place, f"e{number}") for number, place in enumerate(free)]


def test_a_line_like_an_array_in_the_middle_of_a_large_file_is_one_input(tmp_path: Path) -> None:
    # So that it begins a body: it lies across the end of the second piece that is read.
    line = event(0, metadata={"x": "p" * 1000}) + b"\n"
    count = 2 * CHUNK_BYTES // len(line)
    path = tmp_path / "file"
    path.write_bytes(line * count + b"[1, 2" + b" " * len(line) + b"]\n" + line * 5)
    assert [body.data[:1] for body in bodies(path)] == [b"{", b"["]
    for size in (None, count, 1000):
        admitted, refused = seen(path, size)
        assert len(admitted) == count + 5
        assert refused == [(count, "wrong_type")]


def test_one_object_over_several_lines_is_one_event(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(json.dumps(json.loads(event(0)), indent=2).encode())
    for size in SIZES:
        assert seen(path, size) == ([(0, "e0")], [])


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n ", gzip.compress(b""), pack_zstd(b"")])
def test_an_empty_file_has_no_inputs(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    for size in SIZES:
        assert seen(path, size) == ([], [])


def test_bodies_have_as_many_lines_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\n\n".join(EVENTS))
    assert [body.data.count(b"event_id") for body in bodies(path, 7)] == [7, 7, 6]
    assert all(body.lines for body in bodies(path, 7))


def test_a_large_file_comes_in_bodies_of_about_a_mebibyte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PLAIN * 4000)
    parts = bodies(path)
    assert b"".join(body.data for body in parts) == PLAIN * 4000
    assert all(body.data.endswith(b"\n") for body in parts)
    assert all(len(body.data) < 2 * CHUNK_BYTES + 200 for body in parts)
    assert len(parts) > 2


GARBLED = gzip.compress(os.urandom(5000))
TORN = {
    "gzip cut": gzip.compress(PLAIN)[:-9],
    "gzip without its checksum": gzip.compress(PLAIN)[:-8],
    "gzip garbled": GARBLED[:2500] + bytes([GARBLED[2500] ^ 255]) + GARBLED[2501:],
    "gzip, not really": b"\x1f\x8b" + b"x" * 100,
    "gzip with garbage behind it": gzip.compress(PLAIN) + b"garbage",
    "zstd cut": pack_zstd(os.urandom(300_000))[:150_000],
    "zstd, its second frame cut": pack_zstd(PLAIN) + pack_zstd(PLAIN)[:-5],
    "zstd, not really": b"\x28\xb5\x2f\xfd" + b"x" * 100,
    "zstd with garbage behind it": pack_zstd(PLAIN) + b"garbage",
}


@pytest.mark.parametrize("name", TORN)
def test_what_is_garbled_or_ends_early_is_an_input_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(TORN[name])
    for size in (None, 1):
        with pytest.raises(InputError) as caught:
            bodies(path, size)
        assert str(caught.value).startswith(f"{path}: compressed input: ")


def test_what_cannot_be_opened_is_an_input_error_before_anything_is_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            FileReader(str(path))


def test_standard_input_may_be_compressed_and_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("plain", "gzip", "zstd", "an array"):
        source = io.BytesIO(FORMS[name])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
        assert seen("-") == (ALL, [])
        assert not source.closed


@pytest.mark.parametrize("name", FORMS)
def test_a_pipe_that_gives_a_few_bytes_at_a_time_gives_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for first in range(0, len(FORMS[name]), 11):
                pipe.write(FORMS[name][first : first + 11])

    writer = threading.Thread(target=write)
    writer.start()
    assert seen(path, 3) == (ALL, [])
    writer.join()


def test_lines_are_given_out_before_a_pipe_ends(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got = threading.Event()

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(PLAIN)
            assert got.wait(10), "the first lines were kept back"

    writer = threading.Thread(target=write)
    writer.start()
    with FileReader(str(path), 5) as reader:
        parts = reader.bodies()
        assert next(parts).data == b"\n".join(EVENTS[:5]) + b"\n"
        got.set()
        assert len(list(parts)) == 3
    writer.join()


def test_the_bytes_that_were_read_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(FORMS["gzip"])
    with FileReader(str(path)) as reader:
        assert reader.read_bytes() == 0
        list(reader.bodies())
        assert reader.read_bytes() == len(FORMS["gzip"])
