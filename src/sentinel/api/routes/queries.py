"""What can be asked: telemetry, anomalies, baselines."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import Parameter
from msgspec import Struct

from sentinel.api.describe import REFUSALS
from sentinel.api.desk import Desk
from sentinel.errors import QueryError
from sentinel.model.anomaly import Anomaly
from sentinel.model.severity import Severity
from sentinel.stores.queries import AnomalyFilter, TelemetryFilter
from sentinel.stores.tables import StoredEvent

Limit = Annotated[int, Parameter(ge=1, le=1000, description="Rows at most.")]
Hours = Annotated[float, Parameter(gt=0, le=24 * 366, description="How far back from now.")]
Name = Annotated[str | None, Parameter(min_length=1, max_length=256)]
Cursor = Annotated[
    str | None, Parameter(max_length=512, description="`next_cursor` of the answer before.")
]


class TimeRange(Struct, frozen=True):
    """What was asked for."""

    start: datetime
    end: datetime


class Telemetry(Struct, frozen=True):
    """Events, newest first."""

    data: list[StoredEvent]
    count: int
    timeRange: TimeRange  # noqa: N815, the name users of the original know
    next_cursor: str | None


class Anomalies(Struct, frozen=True):
    """Votes that fired, newest first."""

    anomalies: list[Anomaly]
    count: int
    next_cursor: str | None


class Baseline(Struct, frozen=True):
    """The last samples of one series."""

    key: str
    tenant: str
    environment: str
    service: str
    model: str
    metric: str
    samples: int
    mean: float
    stddev: float
    median: float
    q1: float
    q3: float
    mad: float
    p95: float
    p99: float
    evidence: str | None
    as_of: datetime | None
    """T at which another process kept it; null: it is as of now."""


class Baselines(Struct, frozen=True):
    """All series that fit."""

    baselines: list[Baseline]


def _range(hours: float, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Return the range that is asked for; `hours` says what a missing start is.

    Raises
    ------
    QueryError
        It has no zone, ends before it begins, or begins before there were years.
    """
    end = end or datetime.now(UTC)
    for name, time in (("start", start), ("end", end)):
        if time is not None and time.tzinfo is None:
            raise QueryError(f"{name}: expected a time with its zone")
    try:
        start = start or end - timedelta(hours=hours)
    except OverflowError as error:
        raise QueryError("hours: reaches back beyond the year 1") from error
    if start > end:
        raise QueryError("start: lies behind end")
    return start, end


@get("/api/v1/telemetry", responses=REFUSALS)
async def telemetry(
    state: State,
    *,
    service: Name = None,
    model: Name = None,
    hours: Hours = 24.0,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Telemetry:
    """Return events of the last hours, or between start and end."""
    desk: Desk = state.desk
    start, end = _range(hours, start, end)
    chosen = TelemetryFilter(service=service, model=model, start=start, end=end)
    page = await asyncio.to_thread(desk.telemetry, chosen, limit=limit, cursor=cursor)
    return Telemetry(page.rows, len(page.rows), TimeRange(start, end), page.next_cursor)


@get("/api/v1/anomalies", responses=REFUSALS)
async def anomalies(
    state: State,
    *,
    severity: Severity | None = None,
    service: Name = None,
    model: Name = None,
    metric: Name = None,
    detector: Name = None,
    hours: Hours = 24.0,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Anomalies:
    """Return the votes of the last hours."""
    desk: Desk = state.desk
    chosen = AnomalyFilter(
        severity=severity,
        service=service,
        model=model,
        metric=metric,
        detector=detector,
        start=datetime.now(UTC) - timedelta(hours=hours),
    )
    page = await asyncio.to_thread(desk.anomalies, chosen, limit=limit, cursor=cursor)
    return Anomalies(page.rows, len(page.rows), page.next_cursor)


@get("/api/v1/anomalies/recent", responses=REFUSALS)
async def recent(state: State, limit: Limit = 100) -> Anomalies:
    """Return the latest votes."""
    desk: Desk = state.desk
    page = await asyncio.to_thread(desk.anomalies, limit=limit)
    return Anomalies(page.rows, len(page.rows), page.next_cursor)


@get("/api/v1/baselines", sync_to_thread=True, responses=REFUSALS)
def baselines(
    state: State, service: Name = None, model: Name = None, metric: Name = None
) -> Baselines:
    """Return what the last samples of each series look like."""
    desk: Desk = state.desk
    wanted = (service, model, metric)
    return Baselines(
        [
            Baseline(
                b.title(),
                b.tenant,
                b.environment,
                b.service,
                b.model,
                b.metric,
                b.samples,
                b.mean,
                b.stddev,
                b.median,
                b.q1,
                b.q3,
                b.mad,
                b.p95,
                b.p99,
                b.evidence,
                b.as_of,
            )
            for b in desk.baselines()
            if all(
                want in (None, got)
                for want, got in zip(wanted, (b.service, b.model, b.metric), strict=True)
            )
        ]
    )


def exposition(path: str) -> Any:
    """Return the route of Prometheus' text, at the path that is configured."""

    @get(path, sync_to_thread=True, include_in_schema=False)
    def metrics(state: State) -> Response[bytes]:
        """Return all metric families as Prometheus text."""
        desk: Desk = state.desk
        return Response(desk.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return metrics
