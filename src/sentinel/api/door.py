"""The quick way in: plain POSTs of telemetry go past the framework, which costs twice what they do.

What is out of the ordinary (a content encoding, a page of another origin, no length) takes the
route, which decides the same way: both ask `routes.ingest.outcome_of`.
"""

from collections.abc import Sequence

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from sentinel.api.body import HEARD_OUT, body_of
from sentinel.api.desk import Desk
from sentinel.api.headers import HEADERS, caller_of
from sentinel.api.problems import MEDIA_TYPE, Problem, later, problem, problem_of
from sentinel.api.routes.ingest import PATH, Receipt, outcome_of
from sentinel.errors import SentinelError
from sentinel.vitals.logs import log

_Headers = Sequence[tuple[bytes, bytes]]

_PLAIN = frozenset((b"content-encoding", b"origin", b"transfer-encoding", b"expect"))
"""Headers with which a request is not plain."""
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
        answer, more = await _answer(receive, desk, caller_of(scope))
        status = answer.status if isinstance(answer, Problem) else 200
        headers = _JSON
        if isinstance(answer, Problem):
            headers = [*(_RETRY if status == 503 else _PROBLEM), *more]
        payload = msgspec.json.encode(answer)
        length = (b"content-length", str(len(payload)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": payload, "more_body": False})

    return door


async def _answer(receive: Receive, desk: Desk, sender: str) -> tuple[Receipt | Problem, _Headers]:
    """Return the answer, and the headers that it has beside the usual ones."""
    body, whole = await body_of(receive, desk.body_bytes_max)
    if not whole:
        return problem(400, "incomplete_body", "the body ended early"), ()
    if body is None:
        return problem(413, "too_big", f"expected at most {desk.body_bytes_max} bytes"), ()
    try:
        return outcome_of(await desk.take(body, None, sender)), ()
    except SentinelError as error:
        return problem_of(error), [
            (k.lower().encode(), v.encode()) for k, v in later(error).items()
        ]
    except Exception as error:
        log.error("request.failed", path=PATH, exc_info=error)
        return problem(500, "internal"), ()


def _is_plain(scope: Scope, desk: Desk) -> bool:
    length = -1
    for name, value in scope["headers"]:
        if name in _PLAIN:
            return False
        if name == b"content-length" and value.isdigit():
            length = int(value)
    return 0 <= length <= HEARD_OUT * desk.body_bytes_max
