"""What a store keeps of events, taken out of them in one pass."""

import json
from typing import Any, Final

import msgspec
import numpy as np

from sentinel._core.kept import Keeper
from sentinel.model.event import Event, Prompt, Response
from sentinel.model.kept import KEPT_TEXTS, Kept

_METADATA: Final = KEPT_TEXTS.index("metadata")
_NEWLINE: Final = 10

_encoder: Final = msgspec.json.Encoder()


class EventKeeper:
    """Makes the texts and sizes of events; holds nothing of them, so threads may share it."""

    def __init__(self) -> None:
        self._keeper = Keeper(Event, Prompt, Response)

    def keep(self, events: list[Event]) -> Kept:
        """Return what is kept of canonical events."""
        lengths, data, sizes, metadata = self._keeper.read(events)
        if metadata:
            lines = _lines_of(metadata)
            ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _NEWLINE)
            table = np.frombuffer(lengths, np.int32).reshape(len(events), -1).copy()
            column = table[:, _METADATA]
            column[column == 0] = np.diff(ends, prepend=-1) - 1
            lengths = table.tobytes()
            data[_METADATA] = lines.replace(b"\n", b"")
        return Kept(lengths, data, sizes)


def _lines_of(metadata: list[dict[str, Any]]) -> bytes:
    """Return objects as JSON, a line each; texts hold a newline only escaped."""
    try:
        return _encoder.encode_lines(metadata)
    except UnicodeEncodeError:
        # Half a surrogate pair: escaped, it is still JSON.
        return "".join(f"{json.dumps(one)}\n" for one in metadata).encode()
