"""The journal against kill -9, torn writes, changed bytes and a full disk."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journals import unexpected
from sentinel.errors import JournalFull, StateError, TornState
from sentinel.sources.journal import CRASH_POINTS, EVENTS, Appended, Journal, Limits, read_folder

WRITER = Path(__file__).with_name("journal_writer.py")
ROUNDS = 4


def open_journal(folder: Path) -> Journal:
    journal = Journal.open(
        folder, on_durable=lambda _: None, on_failed=unexpected, on_broken=unexpected
    )
    journal.start()
    return journal


def append_and_close(folder: Path, *payloads: bytes) -> int:
    """Append records as groups of their own, and return how many bytes opening had cut."""
    journal = open_journal(folder)
    for payload in payloads:
        before = journal.next_offset
        journal.append(EVENTS, payload, received_at=1, tenant="t", token=None)
        while journal.next_offset == before:
            time.sleep(0.0001)
    journal.close()
    return journal.bytes_cut


def payloads_of(folder: Path) -> list[bytes]:
    records = list(read_folder(folder).records)
    assert [record.offset for record in records] == list(range(len(records)))
    return [record.payload for record in records]


class Three:
    """A journal of three records, copied afresh for each way to damage it."""

    def __init__(self, folder: Path) -> None:
        self.whole = folder / "whole"
        self.copy = folder / "copy"
        self.ends = []
        for payload in (b"first", b"second", b"third"):
            append_and_close(self.whole, payload)
            self.ends.append(self.segment(self.whole).stat().st_size)
        self.bytes = self.segment(self.whole).read_bytes()

    @staticmethod
    def segment(folder: Path) -> Path:
        return max(folder.glob("*.log"))

    def with_bytes(self, data: bytes) -> Path:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.whole, self.copy)
        self.segment(self.copy).write_bytes(data)
        return self.copy

    def changed(self, at: int, bits: int) -> Path:
        data = bytearray(self.bytes)
        data[at] ^= bits
        return self.with_bytes(bytes(data))


@pytest.fixture
def three(tmp_path: Path) -> Three:
    return Three(tmp_path)


def test_a_last_record_cut_at_any_byte_is_dropped_and_appending_goes_on(three: Three) -> None:
    for end in range(three.ends[1], three.ends[2]):
        folder = three.with_bytes(three.bytes[:end])
        assert payloads_of(folder) == [b"first", b"second"]
        assert append_and_close(folder) == end - three.ends[1]
        assert three.segment(folder).read_bytes() == three.bytes[: three.ends[1]]
        assert append_and_close(folder, b"again") == 0
        assert payloads_of(folder) == [b"first", b"second", b"again"]


def test_a_last_record_with_any_byte_changed_is_dropped_and_appending_goes_on(three: Three) -> None:
    for at in range(three.ends[1], three.ends[2]):
        for bits in (0x01, 0x80, 0xFF):
            folder = three.changed(at, bits)
            assert payloads_of(folder) == [b"first", b"second"]
            assert append_and_close(folder, b"again") == three.ends[2] - three.ends[1]
            assert payloads_of(folder) == [b"first", b"second", b"again"]


def test_a_changed_byte_in_an_earlier_record_stops_everything(three: Three) -> None:
    for at in range(three.ends[0], three.ends[1]):
        for bits in (0x01, 0x80, 0xFF):
            folder = three.changed(at, bits)
            with pytest.raises(TornState, match="record 1 is damaged"):
                open_journal(folder)
            with pytest.raises(TornState, match="record 1 is damaged"):
                list(read_folder(folder).records)
            assert three.bytes[: three.ends[0]] in max(folder.glob("*.log")).read_bytes()


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"SNTJ"])
def test_a_tail_of_nothing_but_filling_is_cut(three: Three, filling: bytes) -> None:
    folder = three.with_bytes(three.bytes + filling * 4096)
    assert append_and_close(folder, b"fourth") == len(filling) * 4096
    assert payloads_of(folder) == [b"first", b"second", b"third", b"fourth"]


def test_a_group_that_reached_the_disk_in_part_is_cut_from_its_first_hole_on(
    tmp_path: Path,
) -> None:
    """Power goes while one group of many pages is written: later pages may be there before earlier.

    Nobody was told of that group, so this is no damage and needs nobody to look at it.
    """
    folder = tmp_path / "journal"
    append_and_close(folder, b"answered")
    go_on = threading.Event()
    journal = Journal.open(
        folder,
        on_durable=lambda _: None,
        on_failed=unexpected,
        on_broken=unexpected,
        crash_point=lambda _: None if go_on.wait(10) else unexpected("no signal"),
    )
    journal.start()
    journal.append(EVENTS, b"starts the thread", received_at=1, token=None)
    while journal._waiting:
        time.sleep(0.0001)
    for number in range(50):
        journal.append(EVENTS, b"%d" % number * 1000, received_at=1, token=None)
    go_on.set()
    journal.close()
    segment = max(folder.glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[12_288:16_384] = bytes(4096)
    segment.write_bytes(data)
    kept = len(payloads_of(folder))
    assert 2 < kept < 20
    assert append_and_close(folder, b"goes on") > 4096
    assert len(payloads_of(folder)) == kept + 1


# kill -9


class Killed:
    """What processes that were killed had been told was durable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: dict[int, str] = {}

    def run(self, point: str, passing: int, kill_after: float | None = None) -> None:
        process = subprocess.Popen(
            [sys.executable, str(WRITER), str(self.folder), point, str(passing)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        first = process.stdout.readline() if kill_after is not None else b""
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        out = first + process.stdout.read()
        process.stdout.close()
        assert process.wait(30) == -9
        for line in out.decode().splitlines(keepends=True):
            if line.endswith("\n"):
                offset, payload = line.split()
                assert self.told.setdefault(int(offset), payload) == payload

    def check(self) -> int:
        """Assert that what was told is there, once and in order; return how many records are."""
        names = [payload.decode().split()[0] for payload in payloads_of(self.folder)]
        for offset, name in self.told.items():
            assert names[offset] == name
        assert len(set(names)) == len(names)
        last: dict[str, int] = {}
        for name in names:
            writer, number = name.rsplit(":", 1)
            assert int(number) == last.get(writer, -1) + 1, "a writer's records keep their order"
            last[writer] = int(number)
        return len(names)


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_whoever_is_killed_at_a_crash_point_loses_nothing_that_was_answered(
    tmp_path: Path, point: str
) -> None:
    killed = Killed(tmp_path / "journal")
    before = 0
    for round_ in range(ROUNDS):
        killed.run(point, passing=1 if round_ == 0 else round_ * 5)
        after = killed.check()
        assert after >= before
        before = after
    assert len(killed.told) > 20


def test_whoever_is_killed_at_any_time_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    killed = Killed(tmp_path / "journal")
    for kill_after in (0.0, 0.003, 0.05, 0.2, 0.31):
        killed.run("never", 1, kill_after)
        killed.check()
    assert killed.told


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal")
    second = subprocess.run(
        [sys.executable, str(WRITER), str(journal.folder), "never", "1"],
        capture_output=True,
        check=False,
    )
    journal.close()
    assert second.returncode == 1
    assert f"{journal.folder}: another process has this journal open" in second.stderr.decode()


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own; only root may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_records_and_takes_them_again_when_there_is_room(
    small_disk: Path,
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    durable: list[Appended] = []
    failed: list[tuple[Any, Exception]] = []
    broken: list[StateError] = []
    journal = Journal.open(
        small_disk / "journal",
        Limits(segment_bytes=100_000, min_free_bytes=0),
        on_durable=durable.extend,
        on_failed=lambda tokens, error: failed.extend((token, error) for token in tokens),
        on_broken=broken.append,
    )
    journal.start()

    def append(token: int) -> None:
        known = len(durable) + len(failed)
        journal.append(EVENTS, b"%05d" % token * 2_000, received_at=1, token=token)
        while len(durable) + len(failed) == known:
            time.sleep(0.0001)

    token = 0
    while len(failed) < 5:
        # Asked once a second only, so that the disk itself says no.
        journal._room._left_bytes = 1 << 30
        append(token)
        token += 1
    assert {type(error) for _, error in failed} == {JournalFull}
    assert len(durable) > 20
    assert [p[:5] for p in payloads_of(journal.folder)] == [b"%05d" % a.token for a in durable]
    ballast.unlink()
    append(token)
    assert durable[-1].token == token
    assert not broken
    journal.close()
    expected = [b"%05d" % item.token * 2_000 for item in durable]
    assert payloads_of(journal.folder) == expected
    append_and_close(journal.folder)


def test_a_disk_that_is_nearly_full_refuses_records_before_they_are_written(
    small_disk: Path,
) -> None:
    failed: list[Any] = []
    journal = Journal.open(
        small_disk / "journal",
        Limits(min_free_bytes=300_000),
        on_durable=lambda _: None,
        on_failed=lambda tokens, _: failed.extend(tokens),
        on_broken=unexpected,
    )
    journal.start()

    def fill() -> None:
        for _ in range(200):
            journal.append(EVENTS, bytes(10_000), received_at=1, token=None)

    with pytest.raises(JournalFull, match="less than 300000 bytes free"):
        fill()
    journal.close()
    assert not failed
    disk = os.statvfs(small_disk)
    assert disk.f_bavail * disk.f_frsize >= 290_000
