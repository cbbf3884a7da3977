"""Votes that fired, as anomalies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sentinel.detectors import DETECTORS
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch, Key
from sentinel.model.identity import hashed, position_fields, series_fields
from sentinel.model.metric import METRICS
from sentinel.model.severity import severity_of

if TYPE_CHECKING:
    from sentinel._core.partition import Partition as Core
    from sentinel._core.reports import Fired

Names = tuple[Key, str, tuple[bytes, ...]]
_CACHE_LIMIT = 200_000


class AnomalyWriter:
    """Turns the core's fired votes into anomalies with their ids.

    What an id says of its series is worked out once a series and kept.
    """

    def __init__(self, core: "Core", log: bytes) -> None:
        self._core = core
        self._log = log
        self._names: dict[tuple[tuple[str, ...], int], Names] = {}

    def names_of(self, slot: int) -> Names:
        """Return key, metric and, by detector, the series' part of an id."""
        found = self._core.roster.key_of(slot)
        assert found is not None, "a fired vote names a live series"
        known = self._names.get(found)
        if known is None:
            if len(self._names) >= _CACHE_LIMIT:
                self._names.clear()
            key, metric = Key(*found[0]), METRICS[found[1]]
            parts = tuple(series_fields(key, metric, detector) for detector in DETECTORS)
            known = self._names[found] = (key, metric, parts)
        return known

    def write(self, batch: Batch, fired: "list[Fired]") -> list[Anomaly]:
        """Return the anomalies of a batch, ordered by position, metric and detector."""
        names: dict[int, Names] = {}
        events: Sequence[Any] = batch.events
        offsets, indexes = batch.offset.tolist(), batch.index.tolist()
        last, position = -1, b""
        out = []
        # One turn a vote, about a quarter of the events: plain names, no calls that can be saved.
        for vote in fired:
            event, slot, detector, value, statistic, threshold, score = vote[:7]
            z, n, mean, stddev, median, lower, upper = vote[7:]
            if event != last:
                last = event
                position = position_fields(self._log, offsets[event], indexes[event])
            known = names.get(slot)
            if known is None:
                known = names[slot] = self.names_of(slot)
            key, metric, parts = known
            source = events[event]
            out.append(
                Anomaly(
                    "anom-" + hashed(position + parts[detector]),
                    source.timestamp,
                    source.event_id,
                    *key,
                    metric,
                    DETECTORS[detector],
                    value,
                    statistic,
                    threshold,
                    score,
                    severity_of(score),
                    z,
                    n,
                    mean,
                    stddev,
                    median,
                    lower,
                    upper,
                )
            )
        return out
