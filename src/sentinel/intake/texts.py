"""One text at a time: personal data and secrets out, then cut to its limit.

A text is gone through until a pass finds nothing more, since a placeholder or a cut may bring
together what was apart; so what comes out goes in again unchanged.
"""

import re
from collections import Counter
from hashlib import blake2b
from typing import Final

from sentinel._core.scan import Scanner
from sentinel.intake.patterns import Patterns
from sentinel.intake.secret_names import PROVIDERS, STRONG, WEAK
from sentinel.intake.settings import IntakeSettings
from sentinel.model.event import Event

PERSONAL: Final = ("EMAIL", "PHONE", "CARD", "IBAN", "SSN", "IP")
SECRETS: Final = ("API_KEY", "JWT", "PRIVATE_KEY", "SECRET")
UNREADABLE: Final = "UNREADABLE"
"""Counts texts that could not be scanned and were dropped."""

PLACEHOLDER: Final = re.compile(r"\[[A-Z_]{2,16}:[0-9a-f]{4}\]")
_PLACEHOLDER_MOST: Final = 23
_PASSES: Final = 8
"""Two or three are enough for anything but a text made to need more."""


class TextCleaner:
    """Cleans texts under one key.  Tallies go into the Counter that it is given, by kind."""

    def __init__(self, settings: IntakeSettings, key: bytes) -> None:
        personal = PERSONAL if settings.enable_pii_detection else ()
        secret = SECRETS if settings.enable_sanitization else ()
        self._scanner = Scanner(
            blake2b(key, digest_size=16, person=b"sentinel text").digest(),
            (*personal, *secret),
            # A word of one letter says something as a key, and nothing in a text.
            strong=(*STRONG, *(w for w in settings.sanitize_patterns if len(plain(w)) > 1)),
            weak=WEAK,
            providers=PROVIDERS,
        )
        self._patterns = Patterns(settings.patterns) if settings.patterns else None
        self._max_length = settings.max_text_length

    def clean(self, text: str, tally: Counter[str], *, before: str = "") -> str | None:
        """Return the text as it may be kept, None where it cannot be scanned.

        `before` is text that stands before it and says what it means, such as a key and a colon; it
        is clean, and no part of the answer.
        """
        whole, most = before + text, self._max_length + len(before)
        for _ in range(_PASSES):
            clean = self._pass(whole, tally)
            if clean is None:
                break
            if len(clean) > most:
                clean = _cut(clean, most)
            elif self._patterns is None or clean == whole:
                if not before:
                    return clean
                return clean[len(before) :] if clean.startswith(before) else None
            whole = clean
        tally[UNREADABLE] += 1
        return None

    def unclean(self, events: list[Event], rows: list[int]) -> list[int]:
        """Return those of the rows that have a text which `clean` may change."""
        if self._patterns is not None:
            return rows
        return self._scanner.unclean(events, rows, self._max_length)

    def is_clean(self, text: str) -> bool:
        """Tell whether a pass would change nothing."""
        return self._pass(text, None) == text

    def stand_in(self, value: str, tally: Counter[str]) -> str:
        """Return the placeholder of a value that is secret because of its name."""
        if PLACEHOLDER.fullmatch(value):
            return value
        tally["SECRET"] += 1
        return self._scanner.placeholder("SECRET", value)

    def names_secret(self, name: str) -> bool:
        """Tell whether a name says that its value is secret."""
        return self._scanner.names_secret(name)

    def _pass(self, text: str, tally: Counter[str] | None) -> str | None:
        try:
            clean = self._scanner.clean(text, tally)
        except UnicodeEncodeError:  # half a surrogate pair
            return None
        if clean is None or self._patterns is None:
            return clean
        return self._by_patterns(clean, Counter() if tally is None else tally)

    def _by_patterns(self, text: str, tally: Counter[str]) -> str:
        """Apply the configured patterns to what stands between placeholders."""
        assert self._patterns is not None, "asked by the caller"

        def stand_in(name: str, value: str) -> str:
            tally[name] += 1
            return self._scanner.placeholder(name, value)

        pieces, at = [], 0
        for found in PLACEHOLDER.finditer(text):
            pieces += [self._patterns.replace(text[at : found.start()], stand_in), found[0]]
            at = found.end()
        return "".join([*pieces, self._patterns.replace(text[at:], stand_in)])


def plain(name: str) -> str:
    """Return a name in lower case, without what separates words; letters that fold are one."""
    return "".join(c for c in name.upper().casefold() if c not in "_-. \t")


def _cut(text: str, length: int) -> str:
    """Return the first characters, without half a placeholder."""
    begin = text.rfind("[", max(0, length - _PLACEHOLDER_MOST), length)
    found = PLACEHOLDER.match(text, begin) if begin >= 0 else None
    return text[: begin if found is not None and found.end() > length else length]
