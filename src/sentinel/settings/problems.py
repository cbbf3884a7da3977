"""What is wrong with a configuration: gathered first, told all at once."""

from typing import Final, NamedTuple

from sentinel.errors import SettingsError

PROBLEMS_MAX: Final = 50
"""More are not told: nobody reads them, and a hostile file must not keep us busy."""

_SHOWN_CHARACTERS: Final = 60


class Place(NamedTuple):
    """Where something was said: a line of a file, or an environment variable (line 0)."""

    name: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name


class Problem(NamedTuple):
    """One line of the message."""

    place: Place | None
    """None where the fault lies in what was not said."""
    path: str
    """Dotted key; empty where the whole file is meant."""
    text: str

    def __str__(self) -> str:
        where = " ".join(str(part) for part in (self.place, self.path) if part)
        return f"{where}: {self.text}"


class Problems:
    """All that was found so far.  `add` raises on its own when it is full."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, place: Place | None, path: str, text: str) -> None:
        """Keep one more problem."""
        self._found.append(Problem(place, path, text))
        if len(self._found) == PROBLEMS_MAX:
            self.raise_found()

    def concern(self, path: str) -> bool:
        """Return whether a problem is known at this key or in a section around it."""
        return any(f"{path}.".startswith(f"{problem.path}.") for problem in self._found)

    def raise_found(self) -> None:
        """Raise `SettingsError` with one line for each problem, in file order, if there are any."""
        if not self._found:
            return
        lines = [str(problem) for problem in sorted(self._found, key=_by_line)]
        if len(lines) == PROBLEMS_MAX:
            lines.append(f"these are the first {PROBLEMS_MAX}, there may be more")
        raise SettingsError("\n".join(lines))


def show(text: str) -> str:
    """Return `text` fit for a message: short, on one line, safe on a terminal.

    >>> show("medium"), show(""), show("a" * 100)[-5:], show("x" + chr(27))
    ('medium', "''", 'aa...', "'x\\\\x1b'")
    """
    short = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
    return short if short and short.isprintable() and short == short.strip() else repr(short)


def _by_line(problem: Problem) -> int:
    return problem.place.line if problem.place else 0
