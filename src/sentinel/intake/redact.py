"""The one choke point: past it an event holds no text, no plain id, no error text, no secret.

It fails closed.  The compiled pass lets through only what it knows to be clean; every other event
is handed back by its row and made anew here from cleaned parts.  An exception on the way stops the
whole batch.
"""

from sentinel._core.columns import Reader
from sentinel.intake.error_class import classes_of
from sentinel.intake.metadata import MetadataCleaner
from sentinel.intake.pseudonym import Pseudonyms
from sentinel.intake.settings import IntakeSettings
from sentinel.model.event import Event


class Redactor:
    """Cleans admitted events in place, under one key."""

    def __init__(self, settings: IntakeSettings, reader: Reader, key: bytes) -> None:
        self._reader = reader
        self._users = Pseudonyms(key, prefix="u")
        self._sessions = Pseudonyms(key, prefix="s")
        self._metadata = MetadataCleaner(
            settings.sanitize_patterns if settings.enable_sanitization else (),
            max_length=settings.max_text_length,
        )

    def redact(self, events: list[Event]) -> None:
        """Take out of the events what may not be kept."""
        for row in self._reader.redact(events, self._users.known, self._sessions.known):
            event = events[row]
            event.user_id = _hidden(event.user_id, self._users)
            event.session_id = _hidden(event.session_id, self._sessions)
            event.errors = classes_of(event.errors) if event.errors else None
            event.metadata = self._metadata.clean(event.metadata) if event.metadata else None


def _hidden(identity: str | int | None, pseudonyms: Pseudonyms) -> str | None:
    """Return the pseudonym of an id; an empty one names nobody."""
    return None if identity is None or identity == "" else pseudonyms.of(identity)
