"""gzip, zstd and deflate, inflated piece by piece under a limit.

A bomb is refused as soon as it has put out more than it may: what is held never exceeds the limit
by more than one block (128 KiB of zstd, 64 KiB of gzip).  gzip may have several members, zstd
several frames.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import chain
from typing import Any, Final, Protocol

import zstandard

from sentinel.errors import InputError
from sentinel.model.batch import Rejection

_zlib: Any
try:
    _zlib = import_module("isal.isal_zlib")  # igzip: about three times as fast
except ImportError:
    _zlib = import_module("zlib")

_BAD_DATA: Final[tuple[type[Exception], ...]] = (_zlib.error, zstandard.ZstdError)

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC: Final = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f
_SKIPPABLE_HEADER: Final = 8
_HEADER_MAX: Final = 18  # of a zstd frame, magic included
_GZIP_BLOCK: Final = 1 << 16
_GZIP_WBITS: Final = 31  # gzip header and trailer, window of 32 KiB
_ZLIB_WBITS: Final = 15  # what HTTP calls deflate (RFC 9110): a zlib header, the same window
_BODY_WINDOW: Final = 8 << 20  # RFC 9659: what HTTP may ask a receiver to hold
_FILE_WINDOW: Final = 128 << 20  # zstd --long


class _Inflater(Protocol):
    """Gives out what went in, inflated, in blocks of bounded size."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    @property
    def is_whole(self) -> bool:
        """Whether all that began has also ended."""


class _Plain:
    """What is not compressed."""

    is_whole = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data


class _Gzip:
    """Members of gzip, one after another; zeros after the last are padding."""

    def __init__(self, wbits: int = _GZIP_WBITS) -> None:
        self._member: Any = None
        self._wbits = wbits

    @property
    def is_whole(self) -> bool:
        return self._member is None

    def feed(self, data: bytes) -> Iterator[bytes]:
        block = b""
        # A full block may have more behind it that needs no further input.
        while data or len(block) == _GZIP_BLOCK:
            if self._member is None:
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = _zlib.decompressobj(self._wbits)
            block = self._member.decompress(data, _GZIP_BLOCK)
            yield block
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, block = self._member.unused_data, b""
                self._member = None


class _Zstd:
    """Frames of zstd, fed block by block: no block puts out more than 128 KiB (RFC 8878)."""

    def __init__(self, max_window: int) -> None:
        self._make = zstandard.ZstdDecompressor(max_window_size=max_window).decompressobj
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._checksum_bytes = 0
        self._skip = 0  # bytes of a skippable frame still to come
        self._waiting = b""

    @property
    def is_whole(self) -> bool:
        return self._frame is None and not self._waiting and not self._skip

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = self._waiting + data
        at = 0
        while self._skip or at < len(data):
            skipped = min(self._skip, len(data) - at)
            self._skip -= skipped
            at += skipped
            size = 0 if self._skip else self._next(data, at)
            if not 0 < size <= len(data) - at:
                break
            if self._frame is not None:
                yield self._frame.decompress(data[at : at + size])
                if self._frame.eof:
                    self._frame = None
            at += size
        self._waiting = data[at:]

    def _next(self, data: bytes, at: int) -> int:
        """Return the size of the header or block that begins here, 0 where that is not known."""
        if self._frame is not None:
            header = int.from_bytes(data[at : at + 3], "little")  # last 1, type 2, size 21 bits
            is_run = (header >> 1) & 3 == 1  # one byte, repeated
            return 3 + (1 if is_run else header >> 3) + (header & 1) * self._checksum_bytes
        if data[at + 1 : at + 4] == _SKIPPABLE_MAGIC and data[at] >> 4 == 5:
            if len(data) - at < _SKIPPABLE_HEADER:
                return 0
            self._skip = int.from_bytes(data[at + 4 : at + 8], "little")
            return _SKIPPABLE_HEADER
        head = data[at : at + _HEADER_MAX]
        try:
            parameters = zstandard.get_frame_parameters(head)
            size = zstandard.frame_header_size(head)
        except zstandard.ZstdError:
            if len(head) == _HEADER_MAX:
                raise
            return 0
        self._frame = self._make()
        self._checksum_bytes = 4 if parameters.has_checksum else 0
        return size


def _inflater_of(head: bytes, max_window: int) -> _Inflater:
    if head.startswith(GZIP_MAGIC):
        return _Gzip()
    if head.startswith(ZSTD_MAGIC) or (head[1:] == _SKIPPABLE_MAGIC and head[0] >> 4 == 5):
        return _Zstd(max_window)
    return _Plain()


def inflate(body: bytes, *, encoding: str | None, limit: int) -> bytes | Rejection:
    """Inflate a body of at most `limit` bytes, or say why not.

    `encoding` is what the sender calls it: gzip, zstd, deflate, identity; None = told by its first
    bytes, which deflate cannot be.
    Codes: `unknown_encoding`, `bad_compression`, `too_big`.
    """
    inflater: _Inflater
    match (encoding or "").strip().lower():
        case "":
            inflater = _inflater_of(body[:4], _BODY_WINDOW)
        case "gzip" | "x-gzip":
            inflater = _Gzip()
        case "zstd":
            inflater = _Zstd(_BODY_WINDOW)
        case "deflate":
            inflater = _Gzip(_ZLIB_WBITS)
        case "identity":
            inflater = _Plain()
        case _:
            return _refusal("unknown_encoding", "expected gzip, zstd, deflate or identity")
    blocks: list[bytes] = []
    size = 0
    try:
        for block in inflater.feed(body):
            size += len(block)
            if size > limit:
                return _refusal("too_big", f"inflates to more than {limit} bytes")
            blocks.append(block)
    except _BAD_DATA:
        return _refusal("bad_compression", "not the compression that it says")
    if not inflater.is_whole:
        return _refusal("bad_compression", "ends early")
    return b"".join(blocks)


def _refusal(code: str, reason: str) -> Rejection:
    return Rejection(code=code, position=0, path="$", reason=reason)


def unpack(pieces: Iterable[bytes], *, limit: int | None = None) -> Iterator[bytes]:
    """Inflate a stream that may be gzip, zstd or neither, which its first bytes tell.

    Raises InputError where it is garbled, ends early, or passes `limit` bytes.
    """
    rest = iter(pieces)
    head = b""
    for piece in rest:
        head += piece
        if len(head) >= len(ZSTD_MAGIC):
            break
    inflater = _inflater_of(head[:4], _FILE_WINDOW)
    size = 0
    try:
        for piece in chain([head], rest):
            for block in inflater.feed(piece):
                size += len(block)
                if limit is not None and size > limit:
                    raise InputError(f"compressed input: inflates to more than {limit} bytes")
                yield block
    except _BAD_DATA as error:
        raise InputError("compressed input: garbled") from error
    if not inflater.is_whole:
        raise InputError("compressed input: ends early")
