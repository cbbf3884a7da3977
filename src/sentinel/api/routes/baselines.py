"""Baselines: what people say of them.  What they look like is a question (queries.py)."""

import asyncio
from typing import Annotated

from litestar import Response, post
from litestar.datastructures import State
from litestar.params import Body
from msgspec import Struct

from sentinel.api.describe import REFUSALS, refusal
from sentinel.api.desk import Desk
from sentinel.api.problems import answer
from sentinel.api.routes.incidents import Note
from sentinel.model.control import Control
from sentinel.model.incident import Incident

_ACCEPT = "/accept"


class Accepted(Struct, frozen=True):
    """A baseline that starts from its newest calls, and the incidents that ended with it."""

    key: str
    incidents: list[Incident]


@post(
    "/api/v1/baselines/{act:path}",
    status_code=200,
    responses=REFUSALS
    | {
        404: refusal("No such baseline, or another act than accept."),
        409: refusal("The key names more than one baseline."),
        503: refusal("Over a bound; nothing was done. Try again later."),
    },
)
async def accept(
    state: State, act: str, data: Annotated[Note | None, Body()] = None
) -> Response[Accepted]:
    """Take the newest calls of a baseline for what is usual: `KEY/accept`."""
    # A key may hold slashes (a tenant's, a model's), so the router cannot cut the path.
    key = act.removeprefix("/").removesuffix(_ACCEPT)
    desk: Desk = state.desk
    known = await asyncio.to_thread(desk.baselines)
    found = [baseline for baseline in known if baseline.title() == key]
    if not found or not act.endswith(_ACCEPT):
        return answer(404, "not_found", "no such baseline")
    if len(found) > 1:
        return answer(409, "ambiguous", "the key names more than one baseline")
    note = data or Note()
    tenant, environment, service, model, metric = found[0].names()
    happened = await desk.act(
        Control(
            kind="accept",
            baseline=(tenant, environment, service, model, metric),
            by=note.by,
            note=note.note,
        )
    )
    return Response(Accepted(key, [event.incident for event in happened or ()]))
