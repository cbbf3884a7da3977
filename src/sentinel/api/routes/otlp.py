"""OpenTelemetry in, by OTLP/HTTP: answered only once it is durable.

Statuses, and bodies of answers, are those of the protocol
(https://opentelemetry.io/docs/specs/otlp/#otlphttp): an Export...ServiceResponse, or where the
whole request is refused a google.rpc.Status, in the encoding of the request.
"""

from collections import Counter
from typing import Any, Final, NamedTuple

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from sentinel.api.body import HEARD_OUT, body_of
from sentinel.api.describe import OtlpOperation
from sentinel.api.desk import Desk
from sentinel.api.desk import Receipt as Taken
from sentinel.api.headers import caller_of
from sentinel.api.problems import later, problem_of
from sentinel.errors import SentinelError
from sentinel.intake import Signal

PROTOBUF: Final = "application/x-protobuf"
CODINGS: Final = ("gzip", "zstd", "deflate")
# google.rpc.Code by HTTP status.
_CODES: Final = {400: 3, 413: 8, 415: 3, 429: 8, 500: 13, 503: 14}
_REJECTED: Final = {
    "traces": "rejectedSpans",
    "logs": "rejectedLogRecords",
    "metrics": "rejectedDataPoints",
}


class Status(Struct, frozen=True):
    """Why the whole request was refused: a google.rpc.Status."""

    code: int
    message: str


class Exported(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What became of a request; empty where all of it was taken."""

    partial_success: dict[str, str] = {}


class Refusal(NamedTuple):
    """A request of which nothing was taken."""

    status: int
    message: str


_ANSWERS: Final = {
    status: ResponseSpec(Status, description=text, generate_examples=False)
    for status, text in (
        (400, "No OTLP, or nothing of it was accepted."),
        (413, "Too large."),
        (415, "Neither protobuf nor JSON, or another content encoding."),
        (429, "Over the quota of the key; nothing was taken. Send it again later."),
        (503, "Over a bound; nothing was taken. Send it again later."),
    )
}


@post("/v1/traces", status_code=200, operation_class=OtlpOperation, responses=_ANSWERS)
async def traces(request: Request[Any, Any, Any], state: State) -> Response[Exported]:
    """Take spans; those of model calls become events, under ids made of trace and span id."""
    return await _export("traces", request, state.desk)


@post("/v1/logs", status_code=200, operation_class=OtlpOperation, responses=_ANSWERS)
async def logs(request: Request[Any, Any, Any], state: State) -> Response[Exported]:
    """Take log records; those that tell the tokens of a call without a span become events."""
    return await _export("logs", request, state.desk)


@post("/v1/metrics", status_code=200, operation_class=OtlpOperation, responses=_ANSWERS)
async def metrics(request: Request[Any, Any, Any], state: State) -> Response[Exported]:
    """Take data points, which are counted and not kept."""
    return await _export("metrics", request, state.desk)


ROUTES: Final = (traces, logs, metrics)


async def _export(signal: Signal, request: Request[Any, Any, Any], desk: Desk) -> Response[Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    json = kind == MediaType.JSON
    if not json and kind != PROTOBUF:
        return _refused(Refusal(415, f"expected {PROTOBUF} or {MediaType.JSON}"), json=True)
    try:
        outcome = await _outcome(signal, request, desk, json=json)
    except SentinelError as error:
        told = problem_of(error)
        outcome = Refusal(told.status, told.detail or told.title)
        refused = _refused(outcome, json=json)
        refused.headers.update(later(error))
        return refused
    if isinstance(outcome, Refusal):
        return _refused(outcome, json=json)
    return _taken(signal, outcome, json=json)


async def _outcome(
    signal: Signal, request: Request[Any, Any, Any], desk: Desk, *, json: bool
) -> Taken | Refusal:
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in (*CODINGS, "identity", ""):
        return Refusal(415, f"content-encoding: expected {', '.join(CODINGS)}")
    limit = desk.body_bytes_max
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > HEARD_OUT * limit:
        return Refusal(413, f"expected at most {limit} bytes")
    body, whole = await body_of(request.receive, limit)
    if not whole:
        return Refusal(400, "the body ended early or cannot be read")
    if body is None:
        return Refusal(413, f"expected at most {limit} bytes")
    receipt: Taken = await desk.take_otlp(
        (signal, json), body, coding if coding in CODINGS else None, caller_of(request.scope)
    )
    if not receipt.outcomes:
        refused = receipt.rejected[0]
        return Refusal(
            413 if refused.code == "too_big" else 400, f"{refused.code}: {refused.reason}"
        )
    if receipt.rejected and len(receipt.rejected) == sum(receipt.outcomes.values()):
        return Refusal(400, _reasons(receipt))
    return receipt


def _reasons(receipt: Taken) -> str:
    """Return which events were refused why, without their values."""
    reasons = Counter(f"{refused.code} at {refused.path}" for refused in receipt.rejected)
    return "refused: " + ", ".join(f"{why} ({count})" for why, count in reasons.most_common(10))


def _taken(signal: Signal, receipt: Taken, *, json: bool) -> Response[Any]:
    count = len(receipt.rejected)
    message = _reasons(receipt) if count else ""
    if json:
        partial = {_REJECTED[signal]: str(count), "errorMessage": message} if count else {}
        return _answer(200, msgspec.json.encode(Exported(partial)), json=json)
    content = b"\x08" + _varint(count) + b"\x12" + _sized(message) if count else b""
    return _answer(200, b"\x0a" + _varint(len(content)) + content if count else b"", json=json)


def _refused(refusal: Refusal, *, json: bool) -> Response[Any]:
    status = Status(_CODES.get(refusal.status, 2), refusal.message)
    if json:
        return _answer(refusal.status, msgspec.json.encode(status), json=json)
    content = b"\x08" + _varint(status.code) + b"\x12" + _sized(status.message)
    return _answer(refusal.status, content, json=json)


def _answer(status: int, content: bytes, *, json: bool) -> Response[Any]:
    return Response(
        content,
        status_code=status,
        media_type=MediaType.JSON if json else PROTOBUF,
        headers={"Retry-After": "1"} if status == 503 else None,
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _sized(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data
