"""Error texts -> classes.  Texts hold anything, a class holds nothing personal."""

import re
from typing import Final

ERROR_CLASSES: Final = (
    "rate_limited",
    "timeout",
    "server_error",
    "content_filter",
    "context_length",
    "auth",
    "canceled",
    "other",
)

_LOOKED_AT: Final = 4096
"""Characters of an error text that are looked at."""

# The first that matches counts, so the particular stands before the general: providers send a
# content filter and a long prompt as 400, an exhausted quota as 429, an overload as 503 or 529.
# Numbers are HTTP status codes (499 is nginx's "client closed request").
_WORDINGS: Final = tuple(
    (name, re.compile(wording, re.IGNORECASE))
    for name, wording in (
        (
            "content_filter",
            r"content.?(filter|polic|management)|safety|moderation|responsible.?ai|prohibited"
            r"|blocked.?(by|reason|prompt)|recitation|refusal",
        ),
        (
            "context_length",
            r"context.?(length|window|size)|maximum context|too many (input )?tokens|token.?limit"
            r"|(prompt|input|request|message)s? (is |are )?too (long|large)|string.?too.?long"
            r"|\b413\b",
        ),
        (
            "rate_limited",
            r"\b429\b|rate.?limit|too.?many.?requests|quota|resource.?exhausted|throttl"
            r"|(tokens|requests) per (min|day)|\b[tr]pm\b",
        ),
        ("timeout", r"\b(408|504|524)\b|time.?d?.?out|deadline.?exceeded|took too long"),
        (
            "auth",
            r"\b(401|403)\b|unauthori[sz]ed|unauthenticated|authenticat|forbidden"
            r"|permission.?denied|access.?denied|(invalid|incorrect|missing|expired).{0,20}(key|token)"
            r"|credential",
        ),
        ("canceled", r"\b499\b|cancel|\babort|client.?(closed|disconnect)|interrupted"),
        (
            "server_error",
            r"\b5\d\d\b|server.?error|internal.?error|bad.?gateway|unavailable|overload|upstream"
            r"|connection.{0,12}(reset|refused|error|closed|aborted)|at capacity",
        ),
    )
)


def class_of(text: str) -> str:
    """Return the class of an error text; a class maps to itself.

    >>> class_of("Error code: 429 - Rate limit reached for gpt-4"), class_of("timeout")
    ('rate_limited', 'timeout')
    """
    if text in ERROR_CLASSES:
        return text
    beginning = text[:_LOOKED_AT].replace("_", " ")
    for name, wording in _WORDINGS:
        if wording.search(beginning):
            return name
    return "other"


def classes_of(texts: list[str]) -> list[str]:
    """Return the classes of error texts, each once, in the order in which they appear."""
    return list(dict.fromkeys(map(class_of, texts)))
