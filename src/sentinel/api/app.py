"""The application: its routes, its errors, its description."""

from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig

from sentinel import __version__
from sentinel.api.desk import Desk
from sentinel.api.page import PAGE
from sentinel.api.problems import answer, of_framework, of_ours
from sentinel.api.routes import health, incidents, ingest, queries
from sentinel.errors import SentinelError
from sentinel.vitals.logs import log

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'none'",
}


@get("/docs", sync_to_thread=False, include_in_schema=False, media_type=MediaType.HTML)
def docs() -> str:
    """Return the API's page: it reads /openapi.json and needs nothing from elsewhere."""
    return PAGE


@get("/openapi.json", sync_to_thread=False, include_in_schema=False)
def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the description of the API."""
    schema = request.app.openapi_schema.to_schema()
    return Response(msgspec.json.encode(schema), media_type="application/json")


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer a fault of ours: the log says which, the answer does not."""
    log.error("request.failed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return answer(500, "internal")


def build(desk: Desk, *, metrics_path: str) -> Litestar:
    """Return the application over a desk."""
    return Litestar(
        route_handlers=[
            docs,
            openapi,
            health.live,
            health.ready,
            health.startup,
            ingest.ingest,
            queries.telemetry,
            queries.anomalies,
            queries.recent,
            queries.baselines,
            queries.exposition(metrics_path),
            incidents.incidents,
            incidents.incident,
            incidents.acknowledge,
            incidents.resolve,
            incidents.stream,
        ],
        state=State({"desk": desk}),
        exception_handlers={
            HTTPException: of_framework,
            SentinelError: of_ours,
            Exception: _unexpected,
        },
        openapi_config=OpenAPIConfig(
            title="LLM-Sentinel",
            version=__version__,
            description="Anomaly detection and observability for LLM applications.",
            path="/schema",
            render_plugins=(),
        ),
        response_headers=HEADERS,
        request_max_body_size=desk.body_bytes_max,
        logging_config=None,
    )
