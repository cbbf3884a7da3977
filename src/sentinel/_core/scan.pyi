"""Personal data and secrets in texts: finds them, and puts placeholders in their place."""

from collections.abc import Collection, Iterable
from typing import Final

from sentinel.model.event import Event

KIND_NAMES: Final[tuple[str, ...]]
"""By number; the first is no kind."""

class Scanner:
    """Scans texts for some kinds, under a key of 16 bytes; threads may share it.

    `strong`, `weak` and `providers` are the words in a name that make its value a secret: any
    value, one that looks random, one that looks random and is long.
    """

    def __init__(
        self,
        key: bytes,
        kinds: Collection[str],
        *,
        strong: Iterable[str] = (),
        weak: Iterable[str] = (),
        providers: Iterable[str] = (),
    ) -> None: ...
    def clean(self, text: str, tally: dict[str, int] | None = None) -> str | None:
        """Return the text with placeholders for what is found, the same object if nothing is.

        Goes on until a pass finds nothing; None after too many.  Counts in `tally`, by kind.
        Raises UnicodeEncodeError for half a surrogate pair.
        """

    def unclean(self, events: list[Event], rows: list[int], most: int) -> list[int]:
        """Return those of the rows whose prompt or response holds something, or is too long.

        `most`: characters.  A text that is no good text, half a surrogate pair, counts as well.
        """

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return (begin, end, kind) of what is found, in characters."""

    def placeholder(self, kind: str, value: str) -> str:
        """Return what stands for a value that something else has found."""

    def names_secret(self, name: str) -> bool:
        """Tell whether a name says that its value is secret."""
