"""A word that must not be seen: it hides itself wherever settings are shown."""

from typing import Final

HIDDEN: Final = "***"


class Secret:
    """A password, token or signing key.

    No `str`, so that neither formatting nor an encoder can spell it out by accident.

    >>> Secret("hunter2")
    ***
    >>> f"{Secret('hunter2')}"
    '***'
    """

    __slots__ = ("_word",)

    def __init__(self, word: str) -> None:
        self._word = word

    def reveal(self) -> str:
        """Return the word itself, for the one line that hands it to a client."""
        return self._word

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._word == self._word

    def __hash__(self) -> int:
        return hash(self._word)
