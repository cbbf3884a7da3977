"""What the tests of the journal share."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentinel.errors import StateError
from sentinel.sources.journal import EVENTS, Appended, Journal, Limits

LOG_ID = "6f1e4c1a-5d0b-4a57-9c3e-0d6d3a1f9b11"
OTHER_ID = "00000000-5d0b-4a57-9c3e-0d6d3a1f9b11"
SMALL = Limits(segment_bytes=200, min_free_bytes=0)
HOUR_NS = 3_600_000_000_000


class Bench:
    """A journal and what became of each token; `append` waits until it is known."""

    def __init__(
        self,
        folder: Path,
        limits: Limits | None = None,
        *,
        crash_point: Callable[[str], None] = lambda _: None,
        log_id: str = LOG_ID,
    ) -> None:
        self.groups: list[list[Appended]] = []
        self.failed: list[tuple[Any, Exception]] = []
        self.broken: list[StateError] = []
        self._known = threading.Condition()
        self.journal = Journal.open(
            folder,
            limits,
            on_durable=self._durable,
            on_failed=self._failed,
            on_broken=self.broken.append,
            new_log_id=lambda: log_id,
            crash_point=crash_point,
        )
        self.journal.start()

    def _durable(self, appended: list[Appended]) -> None:
        with self._known:
            self.groups.append(appended)
            self._known.notify_all()

    def _failed(self, tokens: list[Any], error: Exception) -> None:
        with self._known:
            self.failed += [(token, error) for token in tokens]
            self._known.notify_all()

    @property
    def durable(self) -> list[Appended]:
        return [item for group in self.groups for item in group]

    def append(self, payload: bytes, kind: int = EVENTS, received_at: int = 7) -> None:
        known = len(self.durable) + len(self.failed)
        self.journal.append(kind, payload, received_at=received_at, token=payload)
        with self._known:
            assert self._known.wait_for(lambda: len(self.durable) + len(self.failed) > known, 10)

    def payloads(self) -> list[bytes]:
        return [record.payload for record in self.journal.read(self.journal.first_offset)]


def unexpected(*what: object) -> None:
    raise AssertionError(what)


def filled(folder: Path, *payloads: bytes, limits: Limits | None = None) -> Path:
    """Write records, each a group of its own, and return the newest segment."""
    bench = Bench(folder, limits)
    for number, payload in enumerate(payloads):
        bench.append(payload, received_at=number * HOUR_NS)
    bench.journal.close()
    return max(folder.glob("*.log"))


def assert_(condition: bool) -> None:
    assert condition
