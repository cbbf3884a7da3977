"""A batch as it is followed: who called when, and what the core found of it, each at its place.

Everything has a place: the event before or at which it happened, and among what time brought before
one event its T.  Places do not depend on where the stream is cut.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sentinel._core.partition import EVENT_OVERFLOWED, EVENT_REPEATED, EVENT_STALE
from sentinel._core.roster import OTHER_KEY
from sentinel.engine.cases import ACCEPTED, CLOSED, Finding
from sentinel.engine.causes import rank_of
from sentinel.engine.open_incident import Service
from sentinel.model.batch import Batch, Key

NO_EVENTS = np.empty(0, np.int64)

Hit = tuple[str | None, int, float]
"""Model, channel, value."""


class Place(NamedTuple):
    """When something happens: before event `event` as T passes `clock`, or at the event itself."""

    event: int
    own: bool
    clock: int


class View(Struct):
    """The batch that is followed."""

    batch: Batch
    clock: NDArray[np.int64]
    state: NDArray[np.uint8]
    votes: Callable[[int, Key], list[Any]]
    """What the detectors said of an event."""
    order: NDArray[np.int64]
    """Events sorted by key of the batch, judged ones only."""
    bounds: NDArray[np.int64]
    """Where in `order` each key begins; one more at the end."""
    codes: dict[Service, list[int]]

    def first_at(self, clock: int) -> int:
        """Return the first event at which T has come to `clock`; n where none has."""
        return int(np.searchsorted(self.clock, clock, "left"))

    def first_after(self, clock: int) -> int:
        """Return the first event at which T is beyond `clock`; n where none is."""
        return int(np.searchsorted(self.clock, clock, "right"))

    def calls_of(self, service: Service) -> dict[str | None, NDArray[np.int64]]:
        """Return the judged events of a service, ascending, by model; of all under None."""
        found: dict[str | None, NDArray[np.int64]] = {}
        if service[1:] == OTHER_KEY[:2]:
            tenant = np.array([key.tenant == service[0] for key in self.batch.keys], np.bool_)
            mine = np.sort(self.order)
            over = self.state[mine] & EVENT_OVERFLOWED != 0
            found[OTHER_KEY[2]] = mine[over & tenant[self.batch.key[mine]]]
        else:
            for code in self.codes.get(service, ()):
                events = self.order[self.bounds[code] : self.bounds[code + 1]]
                found[self.batch.keys[code].model] = events
        found[None] = np.sort(np.concatenate([NO_EVENTS, *found.values()]))
        return found


def view_of(
    batch: Batch,
    clock: NDArray[np.int64],
    state: NDArray[np.uint8],
    votes: Callable[[int, Key], list[Any]],
) -> View:
    """Return a batch as it is followed."""
    judged = np.flatnonzero(state[: len(batch)] & (EVENT_REPEATED | EVENT_STALE) == 0)
    key = batch.key[judged]
    order = judged[np.argsort(key, kind="stable")]
    bounds = np.searchsorted(np.sort(key), np.arange(len(batch.keys) + 1))
    codes: dict[Service, list[int]] = {}
    for code, name in enumerate(batch.keys):
        codes.setdefault(name[:3], []).append(code)
    return View(batch, clock, state, votes, order, bounds, codes)


class Item(NamedTuple):
    """One thing that the core found, at its place."""

    place: Place
    rank: tuple[int, int, int, str]
    finding: Finding | None
    hits: list[Hit]


def items_of(findings: list[Finding], hits: dict[int, list[Hit]]) -> list[Item]:
    """Return what the core found of a service in order; at one place what closes comes first, then
    what opens, causes first, and then the calls that were counted.
    """
    items = []
    for finding in findings:
        place = Place(finding["event"], not finding["due"], finding["clock"])
        opens = finding["kind"] not in (CLOSED, ACCEPTED)
        # Calls that are absent or too many are the service's matter, a call is its model's.
        whole = (finding["key"][3] is None) != finding["due"]
        rank = (int(opens), rank_of(finding["channel"]), int(whole), finding["key"][3] or "")
        items.append(Item(place, rank, finding, []))
    for event, counted in hits.items():
        items.append(Item(Place(event, True, 1 << 62), (2, 0, 0, ""), None, counted))
    return sorted(items, key=lambda item: item[:2])
