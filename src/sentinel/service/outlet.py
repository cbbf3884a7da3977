"""Where incident events go with the commit that made them: to channels, or to a later stage."""

from typing import Protocol

import msgspec

from sentinel.alerting import Grouper, GroupingRules
from sentinel.checkpoints.rows import OutboxRow
from sentinel.model.identity import field, hashed
from sentinel.model.incident import IncidentEvent
from sentinel.vitals.inventory import Vitals

GROUPING = "grouping"
"""The destination of incident events that a later stage groups."""


class Outlet(Protocol):
    """Turns incident events into rows of the outbox; what it remembers is part of the snapshot."""

    @property
    def rules(self) -> GroupingRules:
        """By which it groups."""

    def tell(self, happened: list[IncidentEvent]) -> list[OutboxRow]:
        """Return what is to be told of these events, in order."""

    def configure(self, rules: bytes) -> None:
        """Group by other rules from the next event on; given as JSON."""

    def save(self) -> bytes:
        """Return what is remembered."""

    def restore(self, saved: bytes) -> None:
        """Take up what `save` returned."""


class ToChannels:
    """Groups at once: one partition is all there is."""

    def __init__(self, grouper: Grouper, destinations: list[str], vitals: Vitals) -> None:
        self._grouper, self._destinations, self._vitals = grouper, destinations, vitals

    @property
    def rules(self) -> GroupingRules:
        """By which it groups."""
        return self._grouper.rules

    def tell(self, happened: list[IncidentEvent]) -> list[OutboxRow]:
        """Return an alert for each destination, of what is to be told."""
        held_before = self._grouper.held_back
        alerts = self._grouper.tell(happened)
        self._vitals.alerts_deduplicated.inc(self._grouper.held_back - held_before)
        return [
            OutboxRow(alert.id, destination, msgspec.json.encode(alert))
            for alert in alerts
            for destination in self._destinations
        ]

    def configure(self, rules: bytes) -> None:
        """Group by other rules from the next event on; given as JSON."""
        self._grouper.configure(rules)

    def save(self) -> bytes:
        """Return what has been told."""
        return self._grouper.save()

    def restore(self, saved: bytes) -> None:
        """Take up what `save` returned."""
        self._grouper.restore(saved)


class ToGrouping:
    """Passes everything on: the stage that groups sees all partitions."""

    def __init__(self, rules: GroupingRules) -> None:
        self._rules = rules

    @property
    def rules(self) -> GroupingRules:
        """By which the stage is asked to group."""
        return self._rules

    def tell(self, happened: list[IncidentEvent]) -> list[OutboxRow]:
        """Return a row for each event; its id hashes what it says, so a re-run gives the same."""
        rows = []
        for event in happened:
            body = msgspec.json.encode(event)
            rows.append(OutboxRow(hashed(field(event.incident.id) + body), GROUPING, body))
        return rows

    def configure(self, rules: bytes) -> None:
        """Take note of the rules of the log."""
        self._rules = msgspec.json.decode(rules, type=GroupingRules)

    def save(self) -> bytes:
        """Return nothing: what has been told is known to the stage."""
        return b""

    def restore(self, saved: bytes) -> None:
        """Take up nothing."""
