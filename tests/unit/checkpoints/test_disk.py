"""State on disk is whole or it is not used; what was there before stays when a write fails."""

import os
import struct
import zlib
from pathlib import Path

import msgspec
import pytest

from sentinel.checkpoints.disk import DiskCheckpoint, Saved
from sentinel.errors import ForeignState, StateError, TornState

SAVED = Saved(shared=b"shared" * 9, grouping=b"grouping", series=[b"one" * 50, b"", b"three" * 70])
HEAD = 18
"""Bytes before the checked part: magic 4, version 2, checksum 4, length 8."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def state(folder: Path) -> Path:
    """Return the file of a state that was written."""
    DiskCheckpoint(folder).write(SAVED)
    (path,) = folder.iterdir()
    return path


def test_what_was_written_is_read(folder: Path) -> None:
    checkpoint = DiskCheckpoint(folder)
    assert checkpoint.read() is None
    checkpoint.write(SAVED)
    assert checkpoint.read() == SAVED
    assert DiskCheckpoint(folder).read() == SAVED


def test_a_later_write_replaces_the_one_before(folder: Path) -> None:
    checkpoint = DiskCheckpoint(folder)
    checkpoint.write(SAVED)
    second = Saved(shared=b"", grouping=b"", series=[])
    checkpoint.write(second)
    assert checkpoint.read() == second
    assert [path.name for path in folder.iterdir()] == ["partition-0.state"]


def test_only_the_owner_may_look_into_the_folder(state: Path) -> None:
    assert state.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_cut_anywhere_is_torn(folder: Path, state: Path) -> None:
    whole = state.read_bytes()
    for length in range(len(whole)):
        state.write_bytes(whole[:length])
        with pytest.raises(TornState) as caught:
            DiskCheckpoint(folder).read()
        assert str(state) in str(caught.value)


def test_a_file_with_more_behind_it_is_torn(folder: Path, state: Path) -> None:
    state.write_bytes(state.read_bytes() + b"\0")
    with pytest.raises(TornState):
        DiskCheckpoint(folder).read()


def test_a_file_with_any_bit_turned_is_not_used(folder: Path, state: Path) -> None:
    whole = state.read_bytes()
    for at in range(len(whole)):
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[at] ^= bit
            state.write_bytes(changed)
            # Magic and version say whose it is before anything else is believed.
            with pytest.raises(ForeignState if at < 6 else TornState):
                DiskCheckpoint(folder).read()


def test_zeros_are_not_a_state(folder: Path, state: Path) -> None:
    state.write_bytes(bytes(len(state.read_bytes())))
    with pytest.raises(ForeignState):
        DiskCheckpoint(folder).read()


@pytest.mark.parametrize("rest", [b"", b"\xc0", msgspec.msgpack.encode({"shared": b""})])
def test_a_whole_file_that_holds_something_else_is_torn(
    folder: Path, state: Path, rest: bytes
) -> None:
    head = struct.pack("<4sHIQ", b"SNTP", 1, zlib.crc32(rest), len(rest))
    assert len(head) == HEAD
    state.write_bytes(head + rest)
    with pytest.raises(TornState):
        DiskCheckpoint(folder).read()


def test_the_state_of_another_version_is_foreign(folder: Path, state: Path) -> None:
    whole = bytearray(state.read_bytes())
    whole[4] = 2
    state.write_bytes(whole)
    with pytest.raises(ForeignState, match="expected state of version 1"):
        DiskCheckpoint(folder).read()


def test_a_folder_that_cannot_be_written_to_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateError):
            DiskCheckpoint(folder).write(SAVED)
        with pytest.raises(StateError):
            DiskCheckpoint(folder).read()


def test_a_folder_in_place_of_the_file_is_a_state_error(folder: Path) -> None:
    (folder / "partition-0.state").mkdir(parents=True)
    with pytest.raises(StateError):
        DiskCheckpoint(folder).read()
    with pytest.raises(StateError):
        DiskCheckpoint(folder).write(SAVED)


def test_a_write_that_fails_leaves_what_was_there(
    folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="No space left on device"):
        DiskCheckpoint(folder).write(Saved(shared=b"new", grouping=b"", series=[]))
    monkeypatch.undo()
    assert DiskCheckpoint(folder).read() == SAVED


def test_what_a_crash_left_half_written_is_not_looked_at(folder: Path, state: Path) -> None:
    state.with_suffix(".new").write_bytes(state.read_bytes()[:40])
    assert DiskCheckpoint(folder).read() == SAVED
    DiskCheckpoint(folder).write(SAVED)
    assert [path.name for path in folder.iterdir()] == ["partition-0.state"]
