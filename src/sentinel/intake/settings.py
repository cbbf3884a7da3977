"""What intake is told: limits of one event, and what counts as a secret."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sentinel.intake.patterns import Pattern
from sentinel.model.event import COUNT_MAX


class IntakeSettings(Struct, frozen=True, kw_only=True):
    """Limits and patterns; the settings room maps the configuration file onto it.

    A value outside the first four limits is what detection is for: the event is admitted and
    flagged, unless `on_limit` is `refuse`.
    """

    min_latency_ms: Annotated[float, Meta(ge=0)] = 0.1
    """A latency below counts as absent."""
    max_latency_ms: Annotated[float, Meta(gt=0)] = 3_600_000.0
    """Also of the time to the first token."""
    max_tokens: Annotated[int, Meta(gt=0, le=COUNT_MAX)] = 10_000_000
    max_cost_usd: Annotated[float, Meta(gt=0)] = 1000.0
    on_limit: Literal["flag", "refuse"] = "flag"
    content: Literal["full", "redacted", "none"] = "redacted"
    """What is kept of prompts and responses; with none no text of the metadata either."""
    max_text_length: Annotated[int, Meta(ge=0)] = 10_000
    """Characters kept of a text, after it was redacted."""
    enable_pii_detection: bool = True
    """Off: e-mail addresses, phone and card numbers and the like stay in texts and metadata."""
    enable_sanitization: bool = True
    """Off: secrets stay in texts and metadata.  Plain ids and error texts are never kept."""
    sanitize_patterns: tuple[Annotated[str, Meta(min_length=1)], ...] = (
        "password",
        "api_key",
        "secret",
    )
    """Words that name a secret, beside those that are always known."""
    patterns: tuple[Pattern, ...] = ()
    """What else is personal."""
    max_event_bytes: Annotated[int, Meta(gt=0)] = 262_144
    max_depth: Annotated[int, Meta(gt=0, le=500)] = 32
    """Nested brackets, the event's own included.  The decoder itself breaks near 1,000."""
