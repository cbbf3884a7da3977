"""What a judge needs to remember of a run: what was told, and when which service spoke."""

from collections import defaultdict
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sentinel.model.batch import Batch
from sentinel.model.severity import Severity
from sentinel.replay.labels import microseconds

Times = NDArray[np.int64]
"""Microseconds since 1970 UTC."""

COUNTED: Final = frozenset({"open", "escalate", "repeat"})
"""Kinds of alerts that somebody is disturbed by; to be told that it is over does not count."""

WEEK_US: Final = 7 * 24 * 3600 * 1_000_000


class Told(Struct, frozen=True, kw_only=True):
    """What a judge reads of an alert: of the object, or of a line of `replay --alerts`."""

    kind: str
    timestamp: datetime
    service: str
    model: str | None
    """None: the whole service."""
    type: str
    metric: str
    detector: str
    severity: Severity
    title: str
    fingerprint: str

    @property
    def at(self) -> int:
        """When it was told, microseconds since 1970 UTC."""
        return microseconds(self.timestamp)


def told_of(alert: Any) -> Told:
    """Return what a judge reads of an alert."""
    return msgspec.convert(alert, Told, from_attributes=True)


class Witness:
    """Takes in what comes of a run, step by step; 8 bytes an event."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        """Alerts that count, in the order in which they were told."""
        self._parts: dict[tuple[str, str], list[Times]] = defaultdict(list)

    def see(self, batch: Batch, alerts: list[Any]) -> None:
        """Take in the events of a step and what was told of them."""
        self.told += [told_of(alert) for alert in alerts if alert.kind in COUNTED]
        if not len(batch):
            return
        order = np.argsort(batch.key, kind="stable")
        times = batch.time[order] // 1_000
        ends = np.cumsum(np.bincount(batch.key, minlength=len(batch.keys)))
        for key, part in zip(batch.keys, np.split(times, ends[:-1]), strict=True):
            if len(part):
                self._parts[key.service, key.model].append(part)

    @cached_property
    def traffic(self) -> "Traffic":
        """When which service spoke; ask once everything was seen."""
        return Traffic(self._parts)


class Traffic:
    """The times of all events, by service and model."""

    def __init__(self, parts: dict[tuple[str, str], list[Times]]) -> None:
        services: dict[str, list[Times]] = defaultdict(list)
        self._times: dict[tuple[str, str | None], Times] = {}
        for (service, model), times in parts.items():
            self._times[service, model] = np.sort(np.concatenate(times))
            services[service] += times
        for service, times in services.items():
            self._times[service, None] = np.sort(np.concatenate(times))
        self.services = sorted(services)
        whole = [self._times[service, None] for service in self.services]
        self.first = min((int(times[0]) for times in whole), default=0)
        self.last = max((int(times[-1]) for times in whole), default=0)

    def times(self, service: str, model: str | None) -> Times:
        """Return the times of a model's events, or of a whole service's; ascending."""
        return self._times.get((service, model), np.empty(0, np.int64))

    def events(self, start: int) -> int:
        """Return how many events there were from a time on."""
        return sum(
            len(times) - int(np.searchsorted(times, start))
            for times in (self.times(service, None) for service in self.services)
        )

    def service_weeks(self, start: int, end: int) -> float:
        """Return how long services were watched, in weeks: each from its first event to the end."""
        watched = 0
        for service in self.services:
            since = max(start, int(self.times(service, None)[0]))
            watched += max(0, end - since)
        return watched / WEEK_US
