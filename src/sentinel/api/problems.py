"""Errors as `application/problem+json` (RFC 9457): what, where, and what to do; never a value."""

import math
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Struct

from sentinel.api.headers import HEADERS
from sentinel.errors import (
    BrokerError,
    JournalFull,
    OverQuota,
    QueryError,
    SentinelError,
    StateError,
    StoreBusy,
)
from sentinel.vitals.logs import log

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "bad request",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    409: "conflict",
    413: "content too large",
    415: "unsupported media type",
    429: "too many requests",
    500: "internal error",
    503: "service unavailable",
}


class Problem(Struct, frozen=True, omit_defaults=True):
    """One error."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[Any] = msgspec.field(default_factory=list)


def problem(status: int, code: str, detail: str = "", errors: list[Any] | None = None) -> Problem:
    """Return a problem; `code` is stable."""
    return Problem(
        type=f"urn:sentinel:{code}",
        title=_TITLES.get(status, "error"),
        status=status,
        detail=detail,
        errors=errors or [],
    )


def as_response(told: Problem) -> Response[Any]:
    """Return a problem as a response."""
    # A path that no route has is answered past the application's own headers.
    headers = HEADERS | ({"Retry-After": "1"} if told.status == 503 else {})
    return Response(
        msgspec.json.encode(told),
        status_code=told.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def answer(
    status: int, code: str, detail: str = "", errors: list[Any] | None = None
) -> Response[Any]:
    """Return a problem as a response."""
    return as_response(problem(status, code, detail, errors))


def of_framework(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Return what the framework refuses: an unknown route, a parameter of the wrong type."""
    if isinstance(error, ValidationException):
        errors = [
            {"key": item.get("key", ""), "message": item.get("message", "")}
            for item in (error.extra or [])
            if isinstance(item, dict)
        ]
        return answer(400, "bad_parameter", "a parameter cannot be used", errors)
    if error.status_code == 413:
        return answer(413, "too_big", "the body is too large")
    if error.status_code >= 500 and "disconnected" in error.detail:
        # Said of a connection that ends, or of chunks that cannot be read, inside a body.
        return answer(400, "incomplete_body", "the body ended early or cannot be read")
    if error.status_code >= 500:
        log.error("request.failed", error=type(error).__name__, exc_info=error)
    title = _TITLES.get(error.status_code, "error")
    says_more = error.status_code < 500 and error.detail.lower() != title
    response = answer(error.status_code, title.replace(" ", "_"), error.detail * says_more)
    response.headers.update(error.headers or {})
    return response


def of_ours(_request: Request[Any, Any, Any], error: SentinelError) -> Response[Any]:
    """Return what the service refuses."""
    response = as_response(problem_of(error))
    response.headers.update(later(error))
    return response


def later(error: SentinelError) -> dict[str, str]:
    """Return the headers that say when to send again, and how much.

    The quota stands as in the IETF's draft of RateLimit fields (httpapi-ratelimit-headers).
    """
    if not isinstance(error, OverQuota):
        return {}
    wait = max(1, math.ceil(error.wait))
    window = max(1, round(error.capacity / error.per_second))
    return {
        "Retry-After": str(wait),
        "RateLimit-Policy": f'"{error.unit}";q={error.capacity:.0f};w={window}',
        "RateLimit": f'"{error.unit}";r=0;t={wait}',
    }


def problem_of(error: SentinelError) -> Problem:
    """Return an error of ours as a problem."""
    if isinstance(error, (BrokerError, JournalFull, StateError, StoreBusy)):
        return problem(503, error.code, str(error))
    if isinstance(error, OverQuota):
        return problem(429, error.code, str(error))
    if isinstance(error, QueryError):
        return problem(400, error.code, str(error))
    return problem(500, error.code)
