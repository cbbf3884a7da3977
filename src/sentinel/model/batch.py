"""A batch: events that were admitted together, as columns beside the events themselves."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from sentinel.model.event import Event
from sentinel.model.kept import Kept, Lines


class Key(NamedTuple):
    """What a baseline belongs to; with a metric it names a series."""

    tenant: str
    environment: str
    service: str
    model: str


class Batch(Struct, frozen=True):
    """Admitted events in position order; immutable once made.

    The position of event i is (log, partition, offset[i], index[i]).
    """

    events: Sequence[Event]
    """Canonical events, n of them, or none where nobody will ask for them any more."""
    keys: list[Key]
    """The distinct keys of this batch; `key` points into it."""
    key: NDArray[np.int32]
    time: NDArray[np.int64]
    """End of the call, nanoseconds since 1970 UTC, whole microseconds."""
    received: NDArray[np.int64]
    """When the edge took the event, same unit; replay: equal to `time`."""
    values: NDArray[np.float64]
    """float64[n, len(METRICS)]; NaN where the event does not say."""
    id_high: NDArray[np.uint64]
    id_low: NDArray[np.uint64]
    """The event id as 128 bits: the uuid itself, or BLAKE2b-128 of any other text."""
    offset: NDArray[np.int64]
    index: NDArray[np.int32]
    over_limit: NDArray[np.uint8]
    """1 where a value lay outside a configured limit (admitted, flagged)."""
    finish: NDArray[np.uint8]
    """1 where the answer was cut off at a limit of its length, 0 where not, 2 where not said."""
    user: NDArray[np.uint32]
    """Hash of the user's pseudonym; 0 where not said."""
    session: NDArray[np.uint32]
    partition: int = 0
    redacted: dict[str, int] = {}
    """How much was taken out of texts on the way in, by kind."""
    unpriced: dict[str, int] = {}
    """How many events have tokens and a model that nobody knows a price for, by model."""
    kept: tuple[Kept, ...] = ()
    """What a store keeps beside these columns, in parts that follow each other; none in a replay,
    which has no store."""

    def moved_to(self, offset: int) -> "Batch":
        """Return the batch as one record of a log, at its offset."""
        return structs.replace(self, offset=np.full(len(self), offset, np.int64))

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.key)


def concatenated(batches: list[Batch]) -> Batch:
    """Return batches of one partition, in position order, as one."""
    if len(batches) == 1:
        return batches[0]
    codes: dict[Key, int] = {}
    for batch in batches:
        for name in batch.keys:
            codes.setdefault(name, len(codes))
    renumbered = [
        np.array([codes[name] for name in batch.keys], np.int32)[batch.key] for batch in batches
    ]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(batch, name) for batch in batches]) for name in _COLUMNS
    }
    return Batch(
        events=_all_events(batches),
        keys=list(codes),
        key=np.concatenate(renumbered),
        partition=batches[0].partition,
        kept=tuple(part for batch in batches for part in batch.kept),
        **columns,
    )


def _all_events(batches: list[Batch]) -> Sequence[Event]:
    lines = [batch.events for batch in batches if isinstance(batch.events, Lines)]
    if len(lines) == len(batches):
        return Lines(body for part in lines for body in part.bodies)
    return [event for batch in batches for event in batch.events]


_COLUMNS = (
    "time",
    "received",
    "values",
    "id_high",
    "id_low",
    "offset",
    "index",
    "over_limit",
    "finish",
    "user",
    "session",
)


NOTHING = Batch(
    events=[],
    keys=[],
    key=np.empty(0, np.int32),
    time=np.empty(0, np.int64),
    received=np.empty(0, np.int64),
    values=np.empty((0, 8)),
    id_high=np.empty(0, np.uint64),
    id_low=np.empty(0, np.uint64),
    offset=np.empty(0, np.int64),
    index=np.empty(0, np.int32),
    over_limit=np.empty(0, np.uint8),
    finish=np.empty(0, np.uint8),
    user=np.empty(0, np.uint32),
    session=np.empty(0, np.uint32),
)
"""A batch without events."""


class Rejection(Struct, frozen=True):
    """Why one input was refused.  It never carries the value."""

    code: str
    """Stable word for counters and answers, such as `negative` or `bad_time`."""
    position: int
    """Ordinal of the input in its body or stream."""
    path: str
    """Where in the event, such as `$.prompt.tokens`."""
    reason: str
    """For people: what was got and what was expected, without the value."""
