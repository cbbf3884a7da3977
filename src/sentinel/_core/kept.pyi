"""From a list of events to what a store keeps of them: texts as UTF-8, side by side, and sizes."""

from typing import Any, Final

TEXTS: Final[tuple[str, ...]]
SIZES: Final[tuple[str, ...]]

class Keeper:
    """Reads events of one class; holds nothing of them, so threads may share it.

    Raises TypeError where a field of the classes is no member descriptor.
    """

    def __init__(self, event: type[Any], prompt: type[Any], response: type[Any]) -> None: ...
    def read(self, events: list[Any]) -> tuple[bytes, list[bytes], bytes, list[dict[str, Any]]]:
        """Return (lengths, data, sizes, metadata) of canonical events.

        `lengths`: int32[n, len(TEXTS)] as bytes, those of each text, -1 where it is absent; an
        event id that is a uuid in its usual form is absent, too, as the batch has its bits.
        `data`: the texts of each of TEXTS, end to end.  `sizes`: int64[n, 2] as bytes, -1 where
        absent.  `metadata`: the objects that are to be written as texts; their lengths are 0 until
        then.  Bytes, because a batch of one event costs little so, and many of them join quickly.
        """
