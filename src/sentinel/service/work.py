"""What the engine takes, and what it tells those who watch."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch
from sentinel.model.incident import IncidentEvent


class Work(Struct):
    """Some durable records of one kind that follow each other, on their way to the engine."""

    offset: int
    kind: int
    received_at: int
    batch: Batch | None = None
    """The events of EVENTS records, their offsets set."""
    payload: bytes = b""
    done: Callable[[list[IncidentEvent]], None] | None = None
    """Called on the engine's thread with what a control did."""
    span: int = 1
    """Positions from the first record to the one behind the last."""

    @property
    def end(self) -> int:
        """The position behind it."""
        return self.offset + self.span

    @property
    def size(self) -> int:
        """How many events it is, or 1."""
        return 1 if self.batch is None else len(self.batch)

    @property
    def nbytes(self) -> int:
        """How much memory it holds beside what is counted as events."""
        return len(self.payload)


class Told(Struct, frozen=True):
    """What a round tells those who watch live."""

    anomalies: Sequence[Anomaly]
    incident_events: list[IncidentEvent]
