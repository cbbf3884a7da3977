"""Incidents: what is open, what was, and what people do about them."""

import asyncio
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import Body, QueryParameter
from litestar.response import ServerSentEvent
from msgspec import Meta, Struct

from sentinel.api.describe import REFUSALS, refusal
from sentinel.api.desk import Desk
from sentinel.api.problems import answer
from sentinel.api.routes.queries import Cursor, Limit, Name
from sentinel.model.control import Control
from sentinel.model.incident import Incident, IncidentState
from sentinel.model.severity import Severity
from sentinel.stores.queries import IncidentFilter

_NOT_FOUND = REFUSALS | {404: refusal("No such incident.")}
_ACTED = _NOT_FOUND | {
    409: refusal("It is not open any more."),
    503: refusal("Over a bound; nothing was done. Try again later."),
}


class Incidents(Struct, frozen=True):
    """Incidents, newest first."""

    incidents: list[Incident]
    count: int
    next_cursor: str | None


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """Who does it, and why."""

    by: Annotated[str, Meta(max_length=256)] = ""
    note: Annotated[str, Meta(max_length=2000)] = ""


@get("/api/v1/incidents", responses=REFUSALS)
async def incidents(
    state: State,
    *,
    status: Annotated[IncidentState | None, QueryParameter(name="state")] = None,
    severity: Severity | None = None,
    service: Name = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Incidents:
    """Return incidents, open ones as they stand now."""
    desk: Desk = state.desk
    chosen = IncidentFilter(state=status, severity=severity, service=service)
    page = await asyncio.to_thread(desk.incidents, chosen, limit=limit, cursor=cursor)
    return Incidents(page.rows, len(page.rows), page.next_cursor)


@get("/api/v1/incidents/{incident_id:str}", responses=_NOT_FOUND)
async def incident(state: State, incident_id: str) -> Response[Incident]:
    """Return one incident with its evidence."""
    desk: Desk = state.desk
    found = await asyncio.to_thread(desk.incident, incident_id)
    if found is None:
        return answer(404, "not_found", "no such incident")
    return Response(found)


async def _act(state: State, kind: Any, incident_id: str, note: Note | None) -> Response[Any]:
    desk: Desk = state.desk
    note = note or Note()
    known = await asyncio.to_thread(desk.incident, incident_id)
    if known is None and not desk.has_others:
        return answer(404, "not_found", "no such incident")
    happened = await desk.act(Control(kind=kind, incident=incident_id, by=note.by, note=note.note))
    if happened is None:
        return Response({"id": incident_id} if known is None else known, status_code=202)
    if not happened and known is None:
        return answer(404, "not_found", "no such incident")
    if not happened:
        return answer(409, "not_open", "the incident is not open any more")
    return Response(happened[-1].incident)


@post(
    "/api/v1/incidents/{incident_id:str}/acknowledge",
    status_code=200,
    responses=_ACTED,
)
async def acknowledge(
    state: State, incident_id: str, data: Annotated[Note | None, Body()] = None
) -> Response[Incident]:
    """Say that somebody has seen it."""
    return await _act(state, "acknowledge", incident_id, data)


@post(
    "/api/v1/incidents/{incident_id:str}/resolve",
    status_code=200,
    responses=_ACTED,
)
async def resolve(
    state: State, incident_id: str, data: Annotated[Note | None, Body()] = None
) -> Response[Incident]:
    """Close it by hand."""
    return await _act(state, "resolve", incident_id, data)


@post(
    "/api/v1/incidents/{incident_id:str}/accept",
    status_code=200,
    responses=_ACTED,
)
async def accept(
    state: State, incident_id: str, data: Annotated[Note | None, Body()] = None
) -> Response[Incident]:
    """Say that this is the new normal: its baselines start from the newest calls."""
    return await _act(state, "accept", incident_id, data)


@get("/api/v1/stream", include_in_schema=False)
async def stream(state: State, service: Name = None) -> ServerSentEvent:
    """Follow incidents and anomalies as server-sent events."""
    desk: Desk = state.desk

    async def messages() -> Any:
        async for name, data in desk.follow(service):
            yield {"event": name, "data": data.decode()}

    return ServerSentEvent(messages())
