"""Telemetry in: answered only once it is durable."""

from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from msgspec import Struct

from sentinel.api.describe import IngestOperation, refusal
from sentinel.api.desk import Desk
from sentinel.api.problems import answer

CODINGS = ("gzip", "zstd")


class Refused(Struct, frozen=True):
    """One event that was not taken: where it stood and why, never what it held."""

    index: int
    code: str
    path: str


class Receipt(Struct, frozen=True):
    """How many events are durable now, and which were refused."""

    accepted: int
    rejected: list[Refused]


@post(
    "/api/v1/events",
    status_code=200,
    operation_class=IngestOperation,
    responses={
        400: refusal("Nothing of it was accepted."),
        413: refusal("Too large."),
        415: refusal("A content encoding other than gzip and zstd."),
        503: refusal("Over a bound; nothing was taken. Send it again later."),
    },
)
async def ingest(request: Request[Any, Any, Any], state: State) -> Response[Receipt]:
    """Take one event, an array or NDJSON; gzip and zstd are understood.

    A retried event id is answered like the first time and judged once.
    """
    desk: Desk = state.desk
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in (*CODINGS, "identity", ""):
        return answer(415, "content_encoding", "expected gzip or zstd")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > desk.body_bytes_max:
        return answer(413, "too_big", f"expected at most {desk.body_bytes_max} bytes")
    body = await request.body()
    if len(body) > desk.body_bytes_max:
        return answer(413, "too_big", f"expected at most {desk.body_bytes_max} bytes")
    receipt = await desk.take(body, coding if coding in CODINGS else None)
    rejected = [Refused(r.position, r.code, r.path) for r in receipt.rejected]
    if not receipt.accepted and not rejected:
        return answer(400, "empty", "expected at least one event")
    if not receipt.accepted:
        status = 413 if any(r.code == "too_big" and r.path == "$" for r in rejected) else 400
        return answer(status, rejected[0].code, "no event was accepted", list(rejected))
    return Response(Receipt(receipt.accepted, rejected), status_code=200)
