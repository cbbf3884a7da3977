"""A stream cut anywhere becomes chunks of whole lines."""

import pytest

from sentinel.intake import Intake, whole_lines

TEXT = b"one\n\ntwo\r\nthree and more\nlast"


@pytest.mark.parametrize("size", range(1, 32))
@pytest.mark.parametrize("chunk_bytes", [1, 5, 1000])
def test_no_byte_is_lost_and_chunks_end_with_a_line(size: int, chunk_bytes: int) -> None:
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    chunks = list(whole_lines(pieces, longest=100, chunk_bytes=chunk_bytes))
    assert b"".join(chunks) == TEXT
    assert all(chunk.endswith(b"\n") for chunk in chunks[:-1])


def test_a_line_without_end_is_held_to_its_limit_and_refused_as_one_input(intake: Intake) -> None:
    pieces = [b"{}\n", *[b"x" * 100_000] * 20, b"y\n{}\n"]
    (chunk,) = whole_lines(pieces, longest=262_144)
    assert len(chunk) == 262_145 + 7
    _, rejections, held = intake.take(chunk, offset=0, received_at=None, lines=True)
    assert held == 3
    assert [r.code for r in rejections] == ["missing_field", "too_big", "missing_field"]


def test_nothing_gives_no_chunk() -> None:
    assert list(whole_lines([], longest=9)) == list(whole_lines([b"", b""], longest=9)) == []
