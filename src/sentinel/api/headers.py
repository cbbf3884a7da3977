"""Headers of every answer, refusals included: what a browser may do with it; and who asks."""

from typing import Any, Final

CALLER: Final = "sentinel.caller"
"""Where in the scope of a request the name of its key stands; absent where it needed none."""


def caller_of(scope: Any) -> str:
    """Return the name of the key of a request; empty where it needed none."""
    name: str = scope.get(CALLER, "")
    return name


HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'none'",
}
