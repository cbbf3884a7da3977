"""Models whose calls say no cost and that nobody knows a price for: counted, and told once each.

No incident: nothing that a service does has changed, and an incident is opened by evidence.  Who
sees that costs are missing asks the API or the metric; who starts a new model sees it in the log.
"""

from collections import Counter
from collections.abc import Mapping

from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

MODELS = 200
"""Told apart; the rest is `other`."""
_HINT = "name what it is in prices.aliases, or its price in prices.file"


class Unpriced:
    """What was seen since the process began; called on the event loop's thread."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._events: Counter[str] = Counter()

    def count(self, models: Mapping[str, int]) -> None:
        """Take the models of a batch, and how many of its events each has."""
        for model, events in models.items():
            known = model in self._events
            name = model if known or len(self._events) < MODELS else "other"
            if name not in self._events:
                log.info("price.unknown", model=name, hint=_HINT)
            self._events[name] += events
            self._vitals.unpriced.labels(name).inc(events)

    def models(self) -> dict[str, int]:
        """Return events by model, the most first."""
        return dict(self._events.most_common())
