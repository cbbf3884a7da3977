"""The application: its routes, its errors, its description."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from sentinel import __version__
from sentinel.api.describe import RawObjects
from sentinel.api.desk import Desk
from sentinel.api.headers import HEADERS
from sentinel.api.page import PAGE
from sentinel.api.problems import answer, of_framework, of_ours
from sentinel.api.request_log import log_requests
from sentinel.api.routes import baselines, health, incidents, ingest, otlp, prices, queries
from sentinel.errors import SentinelError
from sentinel.vitals.logs import log


@get("/docs", sync_to_thread=False, include_in_schema=False, media_type=MediaType.HTML)
def docs() -> str:
    """Return the API's page: it reads /openapi.json and needs nothing from elsewhere."""
    return PAGE


def _too_deep(_request: Request[Any, Any, Any], _error: RecursionError) -> Response[Any]:
    """Answer a body that is nested more deeply than a decoder goes."""
    return answer(400, "too_deep", "the body is nested too deeply to be read")


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer a fault of ours: the log says which, the answer does not."""
    log.error("request.failed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return answer(500, "internal")


def _handlers() -> dict[int | type[Exception], Any]:
    return {
        HTTPException: of_framework,
        SentinelError: of_ours,
        RecursionError: _too_deep,
        Exception: _unexpected,
    }


def build_otlp(desk: Desk) -> Litestar:
    """Return the application of the port of OpenTelemetry: its three paths and nothing else."""
    return Litestar(
        route_handlers=[*otlp.ROUTES],
        state=State({"desk": desk}),
        exception_handlers=_handlers(),
        openapi_config=None,
        response_headers=HEADERS,
        logging_config=None,
    )


def build(
    desk: Desk, *, metrics_path: str, cors_origins: Sequence[str] = (), log_questions: bool = False
) -> Litestar:
    """Return the application over a desk.

    `cors_origins`: pages of these may read answers, never with credentials; none may by default.
    """
    cors = CORSConfig(allow_origins=list(cors_origins), allow_credentials=False)
    return Litestar(
        route_handlers=[
            docs,
            health.live,
            health.ready,
            health.startup,
            ingest.ingest,
            *otlp.ROUTES,
            queries.telemetry,
            queries.anomalies,
            queries.recent,
            queries.baselines,
            prices.unpriced,
            queries.exposition(metrics_path),
            incidents.incidents,
            incidents.incident,
            incidents.acknowledge,
            incidents.resolve,
            incidents.accept,
            baselines.accept,
            incidents.stream,
        ],
        state=State({"desk": desk}),
        exception_handlers=_handlers(),
        openapi_config=OpenAPIConfig(
            title="LLM-Sentinel",
            version=__version__,
            description="Anomaly detection and observability for LLM applications.",
            path="/openapi.json",
            # Without one of ours Litestar serves pages that load scripts from elsewhere.
            render_plugins=[JsonRenderPlugin(path="/", media_type=MediaType.JSON)],
            use_handler_docstrings=True,
        ),
        cors_config=cors if cors_origins else None,
        middleware=[log_requests] if log_questions else [],
        response_headers=HEADERS,
        request_max_body_size=desk.body_bytes_max,
        plugins=[RawObjects()],
        logging_config=None,
    )
