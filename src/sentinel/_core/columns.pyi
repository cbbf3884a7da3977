"""From a list of events to columns: the loop of intake that runs once an event."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

EVENT_FIELDS: Final[tuple[str, ...]]
PROMPT_FIELDS: Final[tuple[str, ...]]
RESPONSE_FIELDS: Final[tuple[str, ...]]
PATHS: Final[tuple[str, ...]]
FAULTS: Final[tuple[str, ...]]

class Columns(NamedTuple):
    """What `Reader.read` found, one row an event."""

    time: NDArray[np.int64]
    """int64[n], microseconds since 1970 UTC."""
    values: NDArray[np.float64]
    """float64[n, 8] in the order of METRICS, NaN where absent."""
    key: NDArray[np.int32]
    """int32[n] into `keys`; -1 where the row is at fault."""
    keys: list[tuple[str, str, str]]
    """Distinct (environment, service, model), in order of appearance."""
    id_high: NDArray[np.uint64]
    id_low: NDArray[np.uint64]
    id_source: NDArray[np.uint8]
    """0: the id is a uuid and stands in the two columns; 1: some other text; 2: absent."""
    fault: NDArray[np.uint16]
    """0: fine; else 64 x index into FAULTS + index into PATHS."""

class Reader:
    """Reads events of one class; holds nothing of them, so threads may share it.

    Raises TypeError where a field of the classes is no member descriptor.
    """

    def __init__(self, event: type[Any], prompt: type[Any], response: type[Any]) -> None: ...
    def read(self, events: list[Any], now: int, each: NDArray[np.int64] | None = None) -> Columns:
        """Bring events into the nested form, in place, and return their columns.

        An absent timestamp counts as `now`, or what `each` says of its row (microseconds since
        1970), or is a fault where that is negative.  Raises ValueError above 524,288 events,
        TypeError for any other class.
        """

    def redact(
        self,
        events: list[Any],
        users: dict[str | int, str],
        sessions: dict[str | int, str],
        keep_texts: bool,
    ) -> tuple[list[int], list[int]]:
        """Take out texts or leave them, put known pseudonyms; return the rows that need more.

        Two lists: rows with a text; rows with an id that is not in the tables, errors or metadata.
        """

def uuid_bits(text: str) -> tuple[int, int] | None:
    """Return the two halves of a uuid in its 8-4-4-4-12 form, None for any other text."""

def is_name(text: str) -> bool:
    """Tell whether a text is fit for a name: 1 to 256 bytes, no controls, no surrogates."""
