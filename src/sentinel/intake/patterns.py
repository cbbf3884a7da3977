"""What a user says is personal: patterns in the syntax of RE2, which is linear in the text.

The only file that imports re2, and only where a pattern is configured.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from sentinel.errors import SettingsError


class Pattern(Struct, frozen=True, kw_only=True):
    """One pattern, and the name of what it finds."""

    name: str
    """2 to 16 capitals and `_`: the kind in its placeholders."""
    pattern: str


class Patterns:
    """Finds the patterns in texts, one after the other in their order.

    Raises
    ------
    SettingsError
        RE2 does not take a pattern.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns: list[tuple[str, Any]] = []
        for number, pattern in enumerate(patterns):
            compiled = _compiled(pattern.pattern)
            if isinstance(compiled, str):
                raise SettingsError(f"privacy.patterns[{number}].pattern: {compiled}")
            self._patterns.append((pattern.name, compiled))

    def replace(self, text: str, stand_in: Callable[[str, str], str]) -> str:
        """Return the text with `stand_in(name, value)` for each find that is not empty."""
        for name, compiled in self._patterns:
            text = compiled.sub(
                lambda found, name=name: stand_in(name, found[0]) if found[0] else "", text
            )
        return text


def problem_of(pattern: str) -> str:
    """Return what RE2 has against a pattern, an empty text where it takes it."""
    compiled = _compiled(pattern)
    return compiled if isinstance(compiled, str) else ""


def _compiled(pattern: str) -> Any:
    """Return a compiled pattern, or as text why there is none."""
    import re2

    options = re2.Options()
    options.log_errors = False  # the caller says it
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else "not understood"
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"{text} (RE2 has no look-around and no back-references)"
