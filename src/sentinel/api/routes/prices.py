"""Prices: which models have none."""

from litestar import get
from litestar.datastructures import State
from msgspec import Struct

from sentinel.api.desk import Desk


class UnpricedModel(Struct, frozen=True):
    """A model whose calls say no cost and that nobody knows a price for."""

    model: str
    events: int


class Unpriced(Struct, frozen=True):
    """All such models since the process began, the most frequent first."""

    unpriced: list[UnpricedModel]


@get("/api/v1/prices/unpriced", sync_to_thread=False)
def unpriced(state: State) -> Unpriced:
    """Return the models whose cost is absent because they have no price."""
    desk: Desk = state.desk
    return Unpriced([UnpricedModel(*found) for found in desk.unpriced().items()])
