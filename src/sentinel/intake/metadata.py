"""Metadata: keys and values cleaned as texts, values under keys that name a secret gone."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from sentinel.intake.texts import TextCleaner, plain
from sentinel.model.event import Scalar

KEYS_MAX: Final = 65_536
"""Keys remembered; a full table is emptied."""
DIGITS_MIN: Final = 1_000_000
"""A whole number below has too few digits to be anybody's."""


class MetadataCleaner:
    """Cleans the metadata of one event after another.

    `words` are names of secrets beside those that are always known; without `secrets` no key names
    one.  Without `texts_kept` values that are text go, whatever they say.
    """

    def __init__(
        self,
        texts: TextCleaner,
        words: Iterable[str],
        *,
        max_length: int,
        secrets: bool,
        texts_kept: bool,
    ) -> None:
        self._texts = texts
        self._words = [plain(word) for word in words]
        self._max_length = max_length
        self._secrets = secrets
        self._texts_kept = texts_kept
        self._known: dict[str, bool] = {}

    def clean(self, metadata: dict[str, Scalar], tally: Counter[str]) -> dict[str, Scalar] | None:
        """Return what of the metadata may be kept; the same object where that is all."""
        if not self._texts_kept:
            metadata = {k: v for k, v in metadata.items() if not isinstance(v, str)}
        if self._is_clean(metadata):
            return metadata or None
        cleaned: dict[str, Scalar] = {}
        for key, value in metadata.items():
            name = self._texts.clean(key, tally)
            if name is not None:
                cleaned[name] = self._value(key, name, value, tally)
        return cleaned or None

    def _value(self, key: str, name: str, value: Scalar, tally: Counter[str]) -> Scalar:
        if value is None or (isinstance(value, bool) and not self._is_secret(key)):
            return value
        if self._is_secret(key):
            return self._texts.stand_in(str(value), tally)
        text = value if isinstance(value, str) else _digits(value)
        clean = self._texts.clean(text, tally, before=f"{name}: ")
        if clean is None:
            return "[UNREADABLE]"
        return value if clean == text else clean

    def _is_clean(self, metadata: dict[str, Scalar]) -> bool:
        """Look at everything at once: most metadata holds nothing, and this is several times as
        fast.
        """
        known, lines = self._known, []
        for key, value in metadata.items():
            secret = known.get(key)
            if self._is_secret(key) if secret is None else secret:
                return False
            if isinstance(value, str):
                lines.append(f"{key}: {value}")
            elif value is not None and abs(value) >= DIGITS_MIN:
                lines.append(f"{key}: {_digits(value)}")
            else:
                lines.append(key)
        text = "\n".join(lines)
        return len(text) <= self._max_length and self._texts.is_clean(text)

    def _is_secret(self, key: str) -> bool:
        """Tell whether a key names a secret."""
        known = self._known.get(key)
        if known is None:
            name = plain(key)
            known = self._secrets and (
                self._texts.names_secret(key) or any(word in name for word in self._words)
            )
            if len(self._known) >= KEYS_MAX:
                self._known.clear()
            self._known[key] = known
        return known


def _digits(value: float) -> str:
    """Return a number as text; a whole one without a decimal point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
