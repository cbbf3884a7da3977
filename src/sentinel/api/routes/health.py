"""Liveness, readiness, startup, and metrics."""

from datetime import UTC, datetime

from litestar import Response, get
from litestar.datastructures import State
from msgspec import Struct

from sentinel.api.desk import Component, Desk


class Live(Struct, frozen=True):
    """The process answers."""

    status: str
    timestamp: datetime


class Ready(Struct, frozen=True):
    """Whether it can do its work, part by part."""

    status: str
    timestamp: datetime
    components: dict[str, Component]


@get("/health/live", sync_to_thread=False)
def live() -> Live:
    """Say that the process answers; it tests nothing else."""
    return Live("healthy", datetime.now(UTC))


def _readiness(state: State) -> Response[Ready]:
    desk: Desk = state.desk
    components = desk.components()
    ready = all(component.ready for component in components.values())
    status = "ready" if ready else "not ready"
    return Response(Ready(status, datetime.now(UTC), components), status_code=200 if ready else 503)


@get("/health/ready", sync_to_thread=False, raises=[])
def ready(state: State) -> Response[Ready]:
    """Say whether traffic should come here: 200, or 503 with the part that is not ready."""
    return _readiness(state)


@get("/health/startup", sync_to_thread=False)
def startup(state: State) -> Response[Ready]:
    """Say whether what was left by the last run has been taken up."""
    return _readiness(state)
