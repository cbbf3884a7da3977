"""An incident while it is open: what is counted, and the calls that are worth a look."""

from typing import Any

from msgspec import Struct, field, structs

from sentinel.engine.cases import example_of
from sentinel.model.batch import Batch, Key
from sentinel.model.incident import Example, Impact, Incident
from sentinel.model.metric import METRIC_INDEX

EXAMPLES = 5


class OpenIncident(Struct):
    """An incident that is open, with what is counted while it is."""

    key: Key
    incident: Incident
    tests: list[tuple[int, int]]
    """Metric and test numbers of the tests that are open."""
    progress_at: int
    """T at which it next says how it stands."""
    spoke: dict[int, int] = field(default_factory=dict)
    """By metric, T at the last sample of its open tests."""
    calls: int = 0
    hits: int = 0
    peak: float = 0.0
    examples: list[Example] = field(default_factory=list)

    def standing(self, **changes: Any) -> Incident:
        """Return the incident as it stands now."""
        return structs.replace(
            self.incident,
            impact=Impact(calls=self.calls, hits=self.hits),
            peak=self.peak,
            examples=list(self.examples),
            **changes,
        )

    def metrics(self) -> list[int]:
        """Return the metrics whose tests are open, ascending."""
        return sorted({metric for metric, _ in self.tests})

    def count_hit(self, batch: Batch, at: int, metrics: list[int]) -> None:
        """Count one event against it, and keep it as an example if it is among the strangest."""
        counted = [metric for metric in self.metrics() if metric in metrics]
        if not counted:
            return
        self.hits += 1
        main = METRIC_INDEX[self.incident.metric]
        if main not in counted:
            return
        if batch.events[at].event_id == self.examples[0].event_id:
            return
        value = float(batch.values[at, main])
        self.peak = max(self.peak, value)
        if len(self.examples) < EXAMPLES:
            self.examples.append(example_of(batch.events[at], value))
            return
        # The first stays: it is the call that opened the incident.
        weakest = min(range(1, EXAMPLES), key=lambda i: self.examples[i].value)
        if value > self.examples[weakest].value:
            del self.examples[weakest]
            self.examples.append(example_of(batch.events[at], value))
