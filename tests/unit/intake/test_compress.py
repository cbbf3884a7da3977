"""gzip and zstd: whole, in pieces, garbled, cut short, and bombs."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
import zstandard

from sentinel.errors import InputError
from sentinel.intake import compress, inflate, unpack
from sentinel.model.batch import Rejection

TEXT = b"".join(b'{"number": %d}\n' % number for number in range(60_000))  # about 1 MB
SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"


def frame(text: bytes, *, checksum: bool = True, size: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size).compress(text)


WHOLE = {
    "gzip": gzip.compress(TEXT),
    "gzip of several members": gzip.compress(TEXT[:7]) + gzip.compress(TEXT[7:]),
    "gzip with padding": gzip.compress(TEXT) + b"\0" * 512,
    "gzip of nothing before": gzip.compress(b"") + gzip.compress(TEXT),
    "zstd": frame(TEXT),
    "zstd without checksum and size": frame(TEXT, checksum=False, size=False),
    "zstd of several frames": frame(TEXT[:7]) + frame(TEXT[7:], checksum=False),
    "zstd with skippable frames": SKIPPABLE + frame(TEXT) + SKIPPABLE,
    "zstd that could not be compressed": frame(frame(TEXT)),
    "plain": TEXT,
}


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.fixture(params=["as installed", "without isal"], autouse=True)
def either_inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without isal":
        monkeypatch.setattr(compress, "_zlib", zlib)
        monkeypatch.setattr(compress, "_BAD_DATA", (zlib.error, zstandard.ZstdError))


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_a_stream_is_inflated_however_it_is_cut(name: str, size: int) -> None:
    data = WHOLE[name]
    if size == 1:
        data = data[:0] + data if len(data) < 400_000 else gzip.compress(TEXT)
    expected = frame(TEXT) if "could not" in name and data is WHOLE[name] else TEXT
    assert b"".join(unpack(pieces_of(data, size))) == expected


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT, None),
        (TEXT, "identity"),
        (gzip.compress(TEXT), None),
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT), " X-GZIP "),
        (zlib.compress(TEXT), "deflate"),
        (frame(TEXT), None),
        (frame(TEXT), "zstd"),
        (b"", "identity"),
    ],
)
def test_a_body_is_inflated_by_its_name_or_by_its_first_bytes(
    data: bytes, encoding: str | None
) -> None:
    assert inflate(data, encoding=encoding, limit=len(TEXT)) == (TEXT if data else b"")


@pytest.mark.parametrize("pack", [gzip.compress, frame, bytes])
def test_one_byte_over_the_limit_is_too_big(pack: Callable[[bytes], bytes]) -> None:
    refused = inflate(pack(TEXT), encoding=None, limit=len(TEXT) - 1)
    assert isinstance(refused, Rejection)
    assert refused.code == "too_big"
    with pytest.raises(InputError, match="more than"):
        list(unpack([pack(TEXT)], limit=len(TEXT) - 1))


@pytest.mark.parametrize("data", [zlib.compress(TEXT)[:-1], zlib.compress(TEXT) + b"more", b"no"])
def test_deflate_that_is_cut_or_garbled_is_refused(data: bytes) -> None:
    refused = inflate(data, encoding="deflate", limit=len(TEXT))
    assert isinstance(refused, Rejection)
    assert refused.code == "bad_compression"


def test_deflate_that_inflates_beyond_the_limit_is_too_big() -> None:
    refused = inflate(zlib.compress(TEXT), encoding="deflate", limit=len(TEXT) - 1)
    assert isinstance(refused, Rejection)
    assert refused.code == "too_big"


def test_a_name_that_nobody_knows_is_refused() -> None:
    refused = inflate(b"x", encoding="br, gzip", limit=9)
    assert isinstance(refused, Rejection)
    assert refused.code == "unknown_encoding"


BROKEN = {
    "gzip cut short": WHOLE["gzip"][:-1],
    "gzip cut in its header": WHOLE["gzip"][:5],
    "gzip second member cut": WHOLE["gzip of several members"][:-9],
    "gzip with a wrong checksum": WHOLE["gzip"][:-8] + b"\0\0\0\0" + WHOLE["gzip"][-4:],
    "gzip garbled": WHOLE["gzip"][:3000] + b"\xff" * 40 + WHOLE["gzip"][3040:],
    "gzip with something behind": WHOLE["gzip"] + b"more",
    "gzip magic only": b"\x1f\x8b",
    "zstd cut short": WHOLE["zstd"][:-1],
    "zstd cut in its header": WHOLE["zstd"][:5],
    "zstd cut between blocks": frame(TEXT, checksum=False)[:-3],
    "zstd second frame cut": WHOLE["zstd of several frames"][:-9],
    "zstd with a wrong checksum": WHOLE["zstd"][:-4] + b"\0\0\0\0",
    "zstd with something behind": WHOLE["zstd"] + b"more than a header of a frame",
    "zstd of a giant window": b"\x28\xb5\x2f\xfd\x00\xf8" + b"\x01\x00\x00" * 8,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_garbled_or_ends_early_is_said_and_never_crashes(name: str) -> None:
    refused = inflate(BROKEN[name], encoding=None, limit=1 << 24)
    assert isinstance(refused, Rejection)
    assert refused.code == "bad_compression"
    for size in (7, 1 << 20):
        with pytest.raises(InputError, match=r"garbled|ends early"):
            list(unpack(pieces_of(BROKEN[name], size)))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_that_is_not_what_it_says_is_refused(encoding: str) -> None:
    for body in (TEXT, b"", b"{}"):
        answer = inflate(body, encoding=encoding, limit=1 << 24)
        assert isinstance(answer, Rejection) if body else answer == b""


@pytest.mark.parametrize("pack", [gzip.compress, frame])
def test_a_bomb_is_refused_without_holding_what_it_unpacks_to(
    pack: Callable[[bytes], bytes],
) -> None:
    bomb = pack(bytes(64 << 20))
    limit = 1 << 20
    tracemalloc.start()
    try:
        refused = inflate(bomb, encoding=None, limit=limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(refused, Rejection)
    assert refused.code == "too_big"
    assert peak < limit + (1 << 20)
