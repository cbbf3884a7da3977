"""State in a folder: one file, replaced as a whole.

Layout, little-endian: `SNTP`, version u16, CRC-32 of the rest u32, its length u64, then the rest: a
MessagePack map of `shared`, `grouping` and `series`.
"""

import os
import struct
import zlib
from pathlib import Path

import msgspec
from msgspec import Struct

from sentinel.errors import ForeignState, StateError, TornState

_HEAD = struct.Struct("<4sHIQ")
_VERSION = 1
_NAME = "partition-0.state"


class Saved(Struct, frozen=True, kw_only=True):
    """What a partition's folder holds."""

    shared: bytes
    grouping: bytes
    series: list[bytes]


class DiskCheckpoint:
    """The state of one partition in a folder.

    A write is whole or not there: it goes to a file beside the old one, to the disk, and then takes
    its name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _NAME

    def read(self) -> Saved | None:
        """Return what was written last, or None where nothing was.

        Raises
        ------
        TornState
            The file is not whole.
        ForeignState
            It is of another format.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{self._path}: {error.strerror or error}") from error
        if len(data) < _HEAD.size:
            raise TornState(f"{self._path}: expected {_HEAD.size} bytes at least, got {len(data)}")
        magic, version, checksum, length = _HEAD.unpack_from(data)
        if magic != b"SNTP" or version != _VERSION:
            raise ForeignState(f"{self._path}: expected state of version {_VERSION}")
        rest = memoryview(data)[_HEAD.size :]
        if len(rest) != length or zlib.crc32(rest) != checksum:
            raise TornState(f"{self._path}: its checksum differs, it is torn or changed")
        try:
            return msgspec.msgpack.decode(rest, type=Saved)
        except msgspec.MsgspecError as error:
            raise TornState(f"{self._path}: {error}") from error

    def write(self, saved: Saved) -> None:
        """Replace what was written before.

        Raises
        ------
        StateError
            The folder cannot be written to; what was there before still is.
        """
        rest = msgspec.msgpack.encode(saved)
        beside = self._path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with beside.open("wb") as file:
                file.write(_HEAD.pack(b"SNTP", _VERSION, zlib.crc32(rest), len(rest)))
                file.write(rest)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StateError(f"{self._path}: {error.strerror or error}") from error
