"""One log line for each question; not for events, probes and scrapes: those come by thousands."""

import time
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from sentinel.vitals.logs import log

UNLOGGED: Final = ("/api/v1/events", "/v1/", "/health/", "/metrics")


def log_requests(app: ASGIApp) -> ASGIApp:
    """Wrap the application so that answered questions are logged, without their parameters."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != ScopeType.HTTP or path.startswith(UNLOGGED):
            await app(scope, receive, send)
            return
        began = time.monotonic()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.info(
                    "request.answered",
                    method=scope.get("method"),
                    path=path[:200],
                    status=message["status"],
                    took_ms=round(1000 * (time.monotonic() - began), 1),
                )
            await send(message)

        await app(scope, receive, noting)

    return logged
