"""Telemetry in: answered only once it is durable."""

from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from msgspec import Struct

from sentinel.api.describe import IngestOperation, refusal
from sentinel.api.desk import Desk
from sentinel.api.headers import caller_of
from sentinel.api.problems import Problem, answer, as_response, problem

PATH = "/api/v1/events"
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
    PATH,
    status_code=200,
    operation_class=IngestOperation,
    responses={
        400: refusal("Nothing of it was accepted."),
        413: refusal("Too large."),
        415: refusal("A content encoding other than gzip and zstd."),
        429: refusal("Over the quota of the key; nothing was taken. Send it again later."),
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
    sender = caller_of(request.scope)
    body = await request.body()
    if len(body) > desk.body_bytes_max:
        return answer(413, "too_big", f"expected at most {desk.body_bytes_max} bytes")
    outcome = outcome_of(await desk.take(body, coding if coding in CODINGS else None, sender))
    if isinstance(outcome, Problem):
        return as_response(outcome)
    return Response(outcome, status_code=200)


def outcome_of(receipt: Any) -> Receipt | Problem:
    """Return the answer to a body that was taken."""
    rejected = [Refused(r.position, r.code, r.path) for r in receipt.rejected]
    if receipt.accepted:
        return Receipt(receipt.accepted, rejected)
    if not rejected:
        return problem(400, "empty", "expected at least one event")
    status = 413 if any(r.code == "too_big" and r.path == "$" for r in rejected) else 400
    return problem(status, rejected[0].code, "no event was accepted", list(rejected))
