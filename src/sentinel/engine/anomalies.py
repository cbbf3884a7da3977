"""Votes that fired, as anomalies."""

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from sentinel._core import reports
from sentinel.detectors import DETECTORS
from sentinel.model.batch import Batch, Key
from sentinel.model.identity import DIGEST_BYTES, position_fields, series_fields
from sentinel.model.metric import METRICS
from sentinel.model.severity import severity_codes
from sentinel.model.votes import NUMBERS, VoteColumns

if TYPE_CHECKING:
    from sentinel._core.partition import Partition as Core

_SCORE = NUMBERS.index("score")
_CACHE_LIMIT = 200_000


class AnomalyWriter:
    """Gives the core's fired votes their ids.

    What an id says of its series is worked out once a series and kept.
    """

    def __init__(self, core: "Core", log: bytes) -> None:
        self._core = core
        self._log = log
        self._known: dict[tuple[tuple[str, ...], int], tuple[bytes, ...]] = {}

    def parts_of(self, slot: int) -> tuple[bytes, ...]:
        """Return the series' part of an id, by detector."""
        found = self._core.roster.key_of(slot)
        assert found is not None, "a fired vote names a live series"
        known = self._known.get(found)
        if known is None:
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            key, metric = Key(*found[0]), METRICS[found[1]]
            known = tuple(series_fields(key, metric, detector) for detector in DETECTORS)
            self._known[found] = known
        return known

    def write(self, batch: Batch) -> VoteColumns:
        """Return the votes on the batch that was just judged, by position, metric and detector."""
        event, slot, metric, detector, samples, numbers = reports.votes(self._core.bank)
        parts = {number: self.parts_of(number) for number in np.unique(slot).tolist()}
        offsets, indexes = batch.offset.tolist(), batch.index.tolist()
        last, position, digest = -1, b"", blake2b
        ids = []
        # One turn a vote, one for every eighth event: plain names, no calls that can be saved.
        for about, series, voter in zip(
            event.tolist(), slot.tolist(), detector.tolist(), strict=True
        ):
            if about != last:
                last = about
                position = position_fields(self._log, offsets[about], indexes[about])
            ids.append(digest(position + parts[series][voter], digest_size=DIGEST_BYTES).digest())
        return VoteColumns(
            event,
            np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16),
            metric,
            detector,
            severity_codes(numbers[:, _SCORE]),
            samples,
            numbers,
        )
