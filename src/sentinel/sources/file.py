"""Telemetry from files and standard input: NDJSON or one JSON array, plain, gzip or zstd."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from sentinel.errors import InputError

CHUNK_BYTES = 1 << 20
"""About 3,000 events: what they turn into still fits in the second-level cache's reach."""
LINE_BYTES_MAX = 1 << 20
"""A line longer than this is cut here and refused by intake, which allows much less."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class FileReader:
    """Reads one file, or standard input for `-`, as bodies of whole lines.

    What the bytes are is told by how they start, not by the name, so standard input may be
    compressed too.

    Parameters
    ----------
    path : str
    lines : int or None
        Lines of a body; None: as many as fill about 1 MiB.

    Raises
    ------
    InputError
        It cannot be opened, or what is compressed is damaged.
    """

    def __init__(self, path: str, lines: int | None = None) -> None:
        self.path = path
        self._lines = lines
        try:
            raw = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error
        self._raw = _Counting(raw)
        self._buffer = io.BufferedReader(self._raw, CHUNK_BYTES)

    def read_bytes(self) -> int:
        """Return how many bytes of the file have been read, for a progress bar."""
        return self._raw.count

    def bodies(self) -> Iterator[bytes]:
        """Yield bodies: whole lines each, or one body that is a JSON array."""
        try:
            plain = _decompressed(self._buffer)
            start = plain.peek(CHUNK_BYTES).lstrip()[:1]
            if start == b"[":
                yield plain.read()
            elif self._lines is None:
                yield from _by_size(plain)
            else:
                yield from _by_count(plain, self._lines)
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise InputError(f"{self.path}: {error}") from error
        finally:
            if self.path != "-":
                self._buffer.close()


class _Counting(io.RawIOBase):
    """A stream that counts what is read from it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._source = raw
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        data = self._source.read(len(memoryview(buffer)))  # type: ignore[arg-type]
        memoryview(buffer)[: len(data)] = data  # type: ignore[arg-type]
        self.count += len(data)
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


def _decompressed(buffer: io.BufferedReader) -> io.BufferedReader:
    magic = buffer.peek(4)[:4]
    if magic.startswith(_GZIP):
        try:
            from isal import igzip  # the extra `fast`: half the time
        except ImportError:
            return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=buffer)), CHUNK_BYTES)
        return io.BufferedReader(igzip.IGzipFile(fileobj=buffer), CHUNK_BYTES)
    if magic == _ZSTD:
        reader = zstandard.ZstdDecompressor().stream_reader(buffer, read_across_frames=True)
        return io.BufferedReader(cast(io.RawIOBase, reader), CHUNK_BYTES)
    return buffer


def _by_size(plain: io.BufferedReader) -> Iterator[bytes]:
    rest = b""
    while block := plain.read(CHUNK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut == 0:
            rest += block
            if len(rest) > LINE_BYTES_MAX:
                rest = _cut_line(plain, rest)
            continue
        yield rest + block[:cut]
        rest = block[cut:]
    if rest:
        yield rest


def _cut_line(plain: io.BufferedReader, rest: bytes) -> bytes:
    """Read a line without end to its end and keep its start: memory stays bounded."""
    while block := plain.read(CHUNK_BYTES):
        end = block.find(b"\n")
        if end >= 0:
            return rest[:LINE_BYTES_MAX] + block[end:]
    return rest[:LINE_BYTES_MAX]


def _by_count(plain: io.BufferedReader, lines: int) -> Iterator[bytes]:
    whole = _whole_lines(plain)
    while body := b"".join(islice(whole, lines)):
        yield body


def _whole_lines(plain: io.BufferedReader) -> Iterator[bytes]:
    while line := plain.readline(LINE_BYTES_MAX):
        yield line
        while not line.endswith(b"\n") and (line := plain.readline(LINE_BYTES_MAX)):
            if line.endswith(b"\n"):
                yield b"\n"
