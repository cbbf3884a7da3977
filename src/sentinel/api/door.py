"""The quick way in: plain POSTs of telemetry go past the framework, which costs twice what they do.

What is out of the ordinary (a content encoding, a page of another origin, no length) takes the
route, which decides the same way: both ask `routes.ingest.outcome_of`.
"""

from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from sentinel.api.desk import Desk
from sentinel.api.headers import HEADERS
from sentinel.api.problems import MEDIA_TYPE, Problem, problem, problem_of
from sentinel.api.routes.ingest import PATH, Receipt, outcome_of
from sentinel.errors import SentinelError
from sentinel.vitals.logs import log

_PLAIN = frozenset((b"content-encoding", b"origin", b"transfer-encoding", b"expect"))
"""Headers with which a request is not plain."""
HEARD_OUT = 4
"""A body up to this many times too large is read to its end and thrown away: a client that is cut
off while it sends sees a broken connection instead of the answer."""
_COMMON = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_JSON = [(b"content-type", b"application/json"), *_COMMON]
_PROBLEM = [(b"content-type", MEDIA_TYPE.encode()), *_COMMON]
_RETRY = [*_PROBLEM, (b"retry-after", b"1")]


def with_door(app: ASGIApp, desk: Desk) -> ASGIApp:
    """Wrap the application with a quick way in for telemetry."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != PATH or scope.get("method") != "POST" or not _is_plain(scope, desk):
            await app(scope, receive, send)
            return
        answer = await _answer(receive, desk)
        status = answer.status if isinstance(answer, Problem) else 200
        headers = _JSON
        if isinstance(answer, Problem):
            headers = _RETRY if status == 503 else _PROBLEM
        payload = msgspec.json.encode(answer)
        length = (b"content-length", str(len(payload)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": payload, "more_body": False})

    return door


async def _answer(receive: Receive, desk: Desk) -> Receipt | Problem:
    body, whole = await _body(receive, desk.body_bytes_max)
    if not whole:
        return problem(400, "incomplete_body", "the body ended early")
    if body is None:
        return problem(413, "too_big", f"expected at most {desk.body_bytes_max} bytes")
    try:
        return outcome_of(await desk.take(body, None))
    except SentinelError as error:
        return problem_of(error)
    except Exception as error:
        log.error("request.failed", path=PATH, exc_info=error)
        return problem(500, "internal")


def _is_plain(scope: Scope, desk: Desk) -> bool:
    length = -1
    for name, value in scope["headers"]:
        if name in _PLAIN:
            return False
        if name == b"content-length" and value.isdigit():
            length = int(value)
    return 0 <= length <= HEARD_OUT * desk.body_bytes_max


async def _body(receive: Receive, limit: int) -> tuple[bytes | None, bool]:
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
