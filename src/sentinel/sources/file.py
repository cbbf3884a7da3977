"""Telemetry from files and standard input: NDJSON, one JSON array or object; plain, gzip, zstd."""

import io
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

from sentinel.errors import InputError
from sentinel.intake import unpack, whole_lines

CHUNK_BYTES: Final = 1 << 20
"""About 3,000 events: what they turn into still fits in the second-level cache's reach."""
LINE_BYTES_MAX: Final = 1 << 20
"""A line longer than this is cut here and refused by intake, which allows much less."""

_BLANK: Final = b" \t\r\n"
_MARK: Final = b"\xef\xbb\xbf"  # of UTF-8, as some editors begin a file


class Body(NamedTuple):
    """What intake takes at once."""

    data: bytes
    lines: bool
    """NDJSON and nothing else; False: one array, or one object written over several lines."""


class FileReader:
    """Reads one file, or standard input for `-`, as bodies of whole lines.

    What the bytes are is told by how they start, not by the name, so standard input may be
    compressed too.  The inputs and their order are the same whatever `lines` is.

    Parameters
    ----------
    path : str
    lines : int or None
        Lines of a body, blank ones not counted; None: as many as fill about 1 MiB.

    Raises
    ------
    InputError
        It cannot be opened.
    """

    def __init__(self, path: str, lines: int | None = None) -> None:
        self.path = path
        self._lines = lines
        self._count = 0
        try:
            self._raw: BinaryIO = (
                sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
            )
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.path != "-":
            self._raw.close()

    def read_bytes(self) -> int:
        """Return how many bytes of the file have been read, for a progress bar."""
        return self._count

    def bodies(self) -> Iterator[Body]:
        """Yield the bodies in order.

        Raises
        ------
        InputError
            It cannot be read, or what is compressed is garbled or ends early.
        """
        try:
            yield from self._bodies(unpack(self._pieces()))
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror or error}") from error
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error
        finally:
            self.close()

    def _pieces(self) -> Iterator[bytes]:
        # As they come: a pipe that is slow is not waited for until it has filled a chunk.
        read = self._raw.read1 if isinstance(self._raw, io.BufferedReader) else self._raw.read
        while piece := read(CHUNK_BYTES):
            self._count += len(piece)
            yield piece

    def _bodies(self, pieces: Iterator[bytes]) -> Iterator[Body]:
        head = _head_of(pieces)
        # A log line such as `[INFO] ...` before the first event is one bad line, and no array.
        if head.startswith(b"[") and head[1:].lstrip(_BLANK)[:1] in (b"{", b"]", b""):
            yield Body(b"".join((head, *pieces)), lines=False)
            return
        if head.partition(b"\n")[0].strip(_BLANK) == b"{":
            # No line of NDJSON looks so: an object written for people, if it is alone here.
            head = _first_bytes(head, pieces)
            if len(head) <= LINE_BYTES_MAX and b"\n{" not in head:
                yield Body(head, lines=False)
                return
        pieces = chain((head,), pieces)
        if self._lines is None:
            chunks = whole_lines(pieces, longest=LINE_BYTES_MAX, chunk_bytes=CHUNK_BYTES)
        else:
            chunks = _by_count(pieces, self._lines)
        for chunk in chunks:
            yield Body(chunk, lines=True)


def _head_of(pieces: Iterator[bytes]) -> bytes:
    """Return what tells the form: the first line that is not blank, or `[` and what follows it."""
    head, begun = b"", False
    for piece in pieces:
        head += piece
        if not begun and len(head) < len(_MARK):
            continue
        head = (head if begun else head.removeprefix(_MARK)).lstrip(_BLANK)
        begun = True
        is_told = head[1:].lstrip(_BLANK) if head.startswith(b"[") else b"\n" in head
        if is_told or len(head) > LINE_BYTES_MAX:
            break
    return head


def _first_bytes(head: bytes, pieces: Iterator[bytes]) -> bytes:
    """Return all that is left, or more than LINE_BYTES_MAX of it."""
    while len(head) <= LINE_BYTES_MAX and (piece := next(pieces, b"")):
        head += piece
    return head


def _by_count(pieces: Iterator[bytes], lines: int) -> Iterator[bytes]:
    chunks = whole_lines(pieces, longest=LINE_BYTES_MAX, chunk_bytes=1)
    inputs = (line for chunk in chunks for line in io.BytesIO(chunk) if line.strip(_BLANK))
    while body := b"".join(islice(inputs, lines)):
        yield body
