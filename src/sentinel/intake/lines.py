"""A stream of bytes, cut anywhere, to chunks that end where a line ends."""

from collections.abc import Iterable, Iterator


def whole_lines(
    pieces: Iterable[bytes], *, longest: int, chunk_bytes: int = 1 << 20
) -> Iterator[bytes]:
    r"""Yield chunks of at least `chunk_bytes` (the last one: what is left), cut after a line feed.

    Memory stays below the chunk, one piece and one line.  Of a line longer than `longest` bytes
    that spans pieces only the first `longest + 1` pass: enough to be refused as too big.

    >>> list(whole_lines([b"a\nb", b"c\nd"], longest=10, chunk_bytes=1))
    [b'a\n', b'bc\n', b'd']
    """
    ready: list[bytes] = []
    line = bytearray()  # the beginning of a line whose end is not here yet
    size = 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            first = piece.find(b"\n")
            line += piece[:first][: longest + 1 - len(line)]
            ready += (bytes(line), piece[first:end])
            size += len(line) + end - first
            line.clear()
        line += piece[end:][: longest + 1 - len(line)]
        if size >= chunk_bytes:
            yield b"".join(ready)
            ready.clear()
            size = 0
    rest = b"".join((*ready, line))
    if rest:
        yield rest
