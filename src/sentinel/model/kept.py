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
    "prompt_text",
    "response_text",
)
KEPT_SIZES: Final = ("prompt_length", "response_length")

_NEWLINE: Final = 10

_decoder: Final = msgspec.json.Decoder(Event)


class Kept(Struct, frozen=True):
    """Texts of n events as UTF-8, a column each, and the sizes of what was taken out."""

    lengths: bytes
    """int32[n, len(KEPT_TEXTS)], bytes of each text; -1 where it is absent.  An event id that is a
    uuid in its usual form is absent as well: the batch has its bits."""
    data: list[bytes]
    """For each of KEPT_TEXTS its texts, end to end.  Error classes stand with commas between them,
    metadata as a JSON object."""
    sizes: bytes
    """int64[n, len(KEPT_SIZES)], characters; -1 where absent."""


def lengths_of(kept: Iterable[Kept]) -> NDArray[np.int32]:
    """Return int32[n, len(KEPT_TEXTS)] of parts that follow each other."""
    joined = b"".join([part.lengths for part in kept])
    return np.frombuffer(joined, np.int32).reshape(-1, len(KEPT_TEXTS))


def sizes_of(kept: Iterable[Kept]) -> NDArray[np.int64]:
    """Return int64[n, len(KEPT_SIZES)] of parts that follow each other."""
    joined = b"".join([part.sizes for part in kept])
    return np.frombuffer(joined, np.int64).reshape(-1, len(KEPT_SIZES))


class Lines(Sequence[Event]):
    """Canonical events as the lines of the records they stand in; one is read when asked for.

    Objects for 1,000 events are 1.3 MB, their lines a quarter of that, and few are ever looked at.
    """

    def __init__(self, bodies: Iterable[tuple[bytes, int]]) -> None:
        """Take bodies, each with the number of its lines."""
        self.bodies = list(bodies)
        self._body_ends: list[int] = []
        self._line_ends: dict[int, NDArray[np.int64]] = {}
        self._read: dict[int, Event] = {}

    def __len__(self) -> int:
        """Return the number of events."""
        return sum([count for _, count in self.bodies])

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
            if not self._body_ends:
                self._body_ends = list(accumulate(count for _, count in self.bodies))
            number = bisect_right(self._body_ends, at)
            line = self._line(number, at - self._body_ends[number])
            known = self._read[at] = _decoder.decode(line)
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
