"""The one choke point: past it an event holds no plain id, no error text, no personal data, no
secret, and of its texts what `privacy.content` lets stay.

It fails closed.  The compiled pass lets through only what it knows to be clean; every other event
is handed back by its row and made anew here from cleaned parts.  What cannot be scanned is dropped
and counted.  An exception on the way stops the whole batch.
"""

from collections import Counter

from sentinel._core.columns import Reader
from sentinel.intake.error_class import classes_of
from sentinel.intake.metadata import MetadataCleaner
from sentinel.intake.pseudonym import Pseudonyms
from sentinel.intake.settings import IntakeSettings
from sentinel.intake.texts import UNREADABLE, TextCleaner
from sentinel.model.event import Event, Prompt, Response


class Redactor:
    """Cleans admitted events in place, under one key."""

    def __init__(self, settings: IntakeSettings, reader: Reader, key: bytes) -> None:
        self._reader = reader
        self._users = Pseudonyms(key, prefix="u")
        self._sessions = Pseudonyms(key, prefix="s")
        self._events = Pseudonyms(key, prefix="e")
        self._content = settings.content
        self._max_length = settings.max_text_length
        self._texts = TextCleaner(settings, key)
        self._metadata = MetadataCleaner(
            self._texts,
            settings.sanitize_patterns,
            max_length=settings.max_text_length,
            secrets=settings.enable_sanitization,
            texts_kept=settings.content != "none",
        )

    def redact(self, events: list[Event], tally: Counter[str]) -> None:
        """Take out of the events what may not be kept, and count it by kind."""
        keeps = self._content != "none"
        texts, rest = self._reader.redact(events, self._users.known, self._sessions.known, keeps)
        if self._content == "redacted":
            texts = self._texts.unclean(events, texts)
        for row in texts:
            for side in (events[row].prompt, events[row].response):
                if side is not None and side.text is not None:
                    self._redact_text(side, tally)
        for row in rest:
            event = events[row]
            event.user_id = _hidden(event.user_id, self._users)
            event.session_id = _hidden(event.session_id, self._sessions)
            event.errors = classes_of(event.errors) if event.errors else None
            if event.metadata:
                event.metadata = self._metadata.clean(event.metadata, tally)
            else:
                event.metadata = None

    def clean_id(self, event_id: str, tally: Counter[str]) -> str:
        """Return an event id, or a pseudonym where it holds personal data.

        A pseudonym, since two ids must stay two, which placeholders promise for few people only.
        """
        if self._texts.is_clean(event_id):
            return event_id
        tally["EVENT_ID"] += 1
        return self._events.of(event_id)

    def _redact_text(self, side: Prompt | Response, tally: Counter[str]) -> None:
        assert side.text is not None, "asked by the caller"
        if self._content == "redacted":
            side.text = self._texts.clean(side.text, tally)
            return
        side.text = side.text[: self._max_length]
        try:
            side.text.encode()
        except UnicodeEncodeError:  # half a surrogate pair cannot be written
            side.text = None
            tally[UNREADABLE] += 1


def _hidden(identity: str | int | None, pseudonyms: Pseudonyms) -> str | None:
    """Return the pseudonym of an id; an empty one names nobody."""
    return None if identity is None or identity == "" else pseudonyms.of(identity)
