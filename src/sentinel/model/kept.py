"""What is kept of a batch beside its columns, in forms that need no object for each event."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, overload

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sentinel.model.event import Event

KEPT_TEXTS: Final = (
    "event_id",
    "provider",
    "trace_id",
    "span_id",
    "user_id",
    "session_id",
    "finish_reason",
    "response_model",
    "error_classes",
    "metadata",
)
KEPT_SIZES: Final = ("prompt_length", "response_length")

_NEWLINE: Final = 10

_decoder: Final = msgspec.json.Decoder(Event)


class Kept(Struct, frozen=True):
    """Texts of n events as UTF-8, a column each, and the sizes of what was taken out."""

    lengths: NDArray[np.int32]
    """int32[len(KEPT_TEXTS), n], bytes; -1 where a text is absent.  An event id that is a uuid in
    its usual form is absent as well: the batch has its bits."""
    data: list[bytes]
    """For each of KEPT_TEXTS its texts, end to end.  Error classes stand with commas between them,
    metadata as a JSON object."""
    sizes: NDArray[np.int64]
    """int64[len(KEPT_SIZES), n], characters; -1 where absent."""

    def size_bytes(self) -> int:
        """Return about how much memory it holds."""
        return self.lengths.nbytes + self.sizes.nbytes + sum(map(len, self.data))


class Lines(Sequence[Event]):
    """Canonical events as the lines of the records they stand in; one is read when asked for.

    Objects for 1,000 events are 1.3 MB, their lines a quarter of that, and few are ever looked at.
    """

    def __init__(self, bodies: Iterable[tuple[bytes, int]]) -> None:
        """Take bodies, each with the number of its lines."""
        self.bodies = list(bodies)
        self._ends = list(accumulate(count for _, count in self.bodies))
        self._line_ends: dict[int, NDArray[np.int64]] = {}
        self._read: dict[int, Event] = {}

    def __len__(self) -> int:
        """Return the number of events."""
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> list[Event]: ...
    def __getitem__(self, at: int | slice) -> Event | list[Event]:
        """Return an event, always the same object for the same place."""
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        known = self._read.get(at)
        if known is None:
            if not 0 <= at < len(self):
                raise IndexError(f"event {at} of {len(self)}")
            number = bisect_right(self._ends, at)
            known = self._read[at] = _decoder.decode(self._line(number, at - self._ends[number]))
        return known

    def _line(self, number: int, back: int) -> bytes:
        """Return a line of a body, counted back from behind its last."""
        body, count = self.bodies[number]
        ends = self._line_ends.get(number)
        if ends is None:
            ends = np.flatnonzero(np.frombuffer(body, np.uint8) == _NEWLINE)
            self._line_ends[number] = ends
        line = count + back
        return body[ends[line - 1] + 1 if line else 0 : ends[line]]
