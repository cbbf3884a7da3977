"""What can be said of a call besides service, model and latency, and the event made of it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypedDict, cast
from uuid import uuid4

from sentinel.model.event import Event, Prompt, Response, Scalar

TEXT_MAX: Final = 30_000
"""Characters of a text that are sent.  The service keeps 10,000 after it has redacted them, and it
takes events of 256 KiB: two texts of four bytes a character fit."""


class Fields(TypedDict, total=False):
    """Absent and 0 are different things: leave out what is not known, or give None."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost_usd: float | None
    ttft_ms: float | None
    """Milliseconds until the first token."""
    finish_reason: str | None
    response_model: str | None
    """The model that answered, where it differs in name from the one asked."""
    provider: str | None
    environment: str | None
    user_id: str | int | None
    session_id: str | int | None
    trace_id: str | None
    span_id: str | None
    prompt_text: str | None
    response_text: str | None
    metadata: Mapping[str, Scalar] | None
    errors: list[str] | None
    timestamp: datetime | float | None
    """The end of the call; now, where it is absent."""
    event_id: str | None
    """A uuid; one is made where it is absent. The same id twice is judged once."""


def check_names(fields: Mapping[str, object]) -> None:
    """Refuse a field that does not exist, where it is written and not where it is sent.

    Raises
    ------
    TypeError
        There is no such field.
    """
    if unknown := fields.keys() - Fields.__annotations__.keys():
        raise TypeError(
            f"unknown field {min(unknown)!r}, expected one of {', '.join(Fields.__annotations__)}"
        )


def event_of(
    service_name: str, model_name: str, latency_ms: float | None, fields: Mapping[str, object]
) -> Event:
    """Return the event of a call, in the nested form.

    >>> event = event_of("chat-api", "gpt-4o", 812.5, {"prompt_tokens": 90, "timestamp": 1.0})
    >>> event.prompt, event.response
    (Prompt(text=None, length=None, tokens=90), None)
    """
    check_names(fields)
    given = cast(Fields, fields)
    text, length = _cut(given.get("prompt_text"))
    prompt = Prompt(text=text, length=length, tokens=given.get("prompt_tokens"))
    text, length = _cut(given.get("response_text"))
    response = Response(
        text=text,
        length=length,
        tokens=given.get("completion_tokens"),
        finish_reason=given.get("finish_reason"),
        model=given.get("response_model"),
    )
    metadata, event_id = given.get("metadata"), given.get("event_id")
    return Event(
        service_name=service_name,
        event_id=str(uuid4()) if event_id is None else event_id,
        timestamp=_instant(given.get("timestamp")),
        model=model_name,
        environment=given.get("environment"),
        provider=given.get("provider"),
        trace_id=given.get("trace_id"),
        span_id=given.get("span_id"),
        prompt=None if prompt == Prompt() else prompt,
        response=None if response == Response() else response,
        total_tokens=given.get("total_tokens"),
        latency_ms=latency_ms,
        ttft_ms=given.get("ttft_ms"),
        cost_usd=given.get("cost_usd"),
        user_id=given.get("user_id"),
        session_id=given.get("session_id"),
        metadata=dict(metadata) if metadata else None,
        errors=given.get("errors"),
    )


def _cut(text: str | None) -> tuple[str | None, int | None]:
    """Return the part of a text that is sent, and the length of the whole where that is more."""
    if text is None or len(text) <= TEXT_MAX:
        return text, None
    return text[:TEXT_MAX], len(text)


def _instant(given: datetime | float | None) -> datetime | float:
    """Return the end of a call; a time without a zone is local time, as everywhere in Python."""
    if given is None:
        return datetime.fromtimestamp(time.time(), UTC)
    return given.astimezone() if isinstance(given, datetime) and given.tzinfo is None else given
