"""What became of the events: counted, and told in the log of the application."""

import logging
import threading
import time
from typing import Final, NamedTuple

log = logging.getLogger("llm_sentinel")
TELL_SECONDS: Final = 60.0
"""What goes on is told this often, so that an outage does not fill the application's log."""


class Counts(NamedTuple):
    """Where all events are that were ever given to a producer."""

    waiting: int
    """Not yet answered for."""
    sent: int
    """Taken by the service, or by Kafka."""
    dropped: dict[str, int]
    """By reason: `queue_full`, `closed`, `expired`, `not_encodable`, `http_401`, or the code of a
    refusal."""


class Tally:
    """Counts, and at most one line a minute of each kind."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a handler of signals may come back in
        self._sent = 0
        self._dropped: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._details: dict[str, str] = {}
        self._told_at = {"dropped": -TELL_SECONDS, "trouble": -TELL_SECONDS}

    def counts(self, waiting: int) -> Counts:
        """Return the counts as they are now."""
        with self._lock:
            return Counts(waiting, self._sent, dict(self._dropped))

    def add_sent(self, count: int) -> None:
        """Count events that somebody else answers for from now on."""
        with self._lock:
            self._sent += count

    def add_dropped(self, reason: str, count: int = 1, detail: str = "") -> None:
        """Count events that are lost, and say so."""
        with self._lock:
            self._dropped[reason] = self._dropped.get(reason, 0) + count
            self._untold[reason] = self._untold.get(reason, 0) + count
            if detail:
                self._details.setdefault(reason, detail)
            due = self._is_due("dropped")
        if due:
            self.tell()

    def tell(self) -> None:
        """Log what has been dropped since it was last told."""
        with self._lock:
            untold, self._untold = self._untold, {}
            details, self._details = self._details, {}
        if untold:
            reasons = ", ".join(
                f"{count} {reason}" + (f" ({details[reason]})" if reason in details else "")
                for reason, count in untold.items()
            )
            log.warning("dropped %d events: %s", sum(untold.values()), reasons)

    def trouble(self, what: str) -> None:
        """Log that sending does not work just now."""
        with self._lock:
            due = self._is_due("trouble")
        if due:
            log.warning("events wait: %s", what)

    def _is_due(self, kind: str) -> bool:
        now = time.monotonic()
        if now - self._told_at[kind] < TELL_SECONDS:
            return False
        self._told_at[kind] = now
        return True
