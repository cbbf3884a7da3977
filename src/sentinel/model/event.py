"""One LLM call, as it comes in and as it is kept.

One Struct reads both native forms (nested and flat), and the canonical form is written by the same
Struct: `intake` moves what the flat form says into the nested fields, takes out what must not be
kept, and what remains is the canonical event.  None means absent; 0 means zero.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

COUNT_MAX: Final = 2**53
"""Above this a double no longer tells neighbours apart, so a larger number is refused."""

Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Quantity = Annotated[float, Meta(ge=0, le=COUNT_MAX)]
Scalar = str | int | float | bool | None
Instant = Annotated[datetime, Meta(tz=True)] | int | float


class Prompt(Struct, omit_defaults=True, gc=False):
    """What was asked."""

    text: str | None = None
    length: Count | None = None
    """Characters of the whole text; given by intake where it is not said."""
    tokens: Count | None = None


class Response(Struct, omit_defaults=True, gc=False):
    """What came back."""

    text: str | None = None
    length: Count | None = None
    tokens: Count | None = None
    finish_reason: str | None = None
    model: str | None = None
    """The model that answered, where it differs in name from the one asked."""


class Event(Struct, omit_defaults=True, gc=False):
    """One LLM call.

    Nested form first, then the fields that only the flat form has.  In a canonical event the flat
    fields are None, `timestamp` is an aware datetime in UTC, `event_id` is set, texts are clean,
    `user_id` and `session_id` are pseudonyms and `errors` holds classes only.
    """

    service_name: str
    event_id: str | None = None
    timestamp: Instant | None = None
    model: str | None = None
    environment: str | None = None
    provider: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    prompt: Prompt | None = None
    response: Response | None = None
    total_tokens: Count | None = None
    """Said by the flat form; elsewhere the sum of both where both are known."""
    latency_ms: Quantity | None = None
    ttft_ms: Quantity | None = None
    cost_usd: Quantity | None = None
    user_id: str | int | None = None
    session_id: str | int | None = None
    metadata: dict[str, Scalar] | None = None
    errors: list[str] | None = None

    model_name: str | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    request_id: str | int | None = None
    prompt_text: str | None = None
    response_text: str | None = None
