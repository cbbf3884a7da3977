"""The body of a request, under a limit: what is too large is not kept."""

from typing import Any

from litestar.types import Receive

HEARD_OUT = 4
"""A body up to this many times too large is read to its end and thrown away: a client that is cut
off while it sends sees a broken connection instead of the answer."""


async def body_of(receive: Receive, limit: int) -> tuple[bytes | None, bool]:
    """Return the body, None if it is over the limit, and whether the connection lasted it out."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            return None, False
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        else:
            pieces.clear()
        if not message.get("more_body"):
            return (b"".join(pieces) if size <= limit else None), True
        if size > HEARD_OUT * limit:
            return None, True
