"""The anomalies of a batch as columns: an object is made only where somebody asks for one."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, overload

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from sentinel.model.anomaly import ANOMALY_PREFIX, Anomaly
from sentinel.model.batch import Batch
from sentinel.model.instant import instant
from sentinel.model.metric import METRICS, MINUTE_METRICS
from sentinel.model.severity import SEVERITIES

VOTERS: Final = ("zscore", "iqr", "mad", "cusum", "novelty")
"""Who votes; the first four in the bit order of the core's votes."""
VOTED_METRICS: Final = METRICS + MINUTE_METRICS

NUMBERS: Final = (
    "value",
    "statistic",
    "threshold",
    "score",
    "z_score",
    "baseline_mean",
    "baseline_stddev",
    "baseline_median",
    "expected_lower",
    "expected_upper",
)
"""Columns of `VoteColumns.numbers`; NaN where one is absent."""


class VoteColumns(Struct, frozen=True):
    """n votes in the order of their events."""

    event: NDArray[np.int64]
    """Which event of the batch each is about, ascending."""
    ids: NDArray[np.uint8]
    """uint8[n, 16], the bytes of their ids."""
    metric: NDArray[np.int8]
    """Index into VOTED_METRICS."""
    voter: NDArray[np.int8]
    """Index into VOTERS."""
    severity: NDArray[np.int8]
    """Index into SEVERITIES."""
    samples: NDArray[np.int64]
    """Of the baseline."""
    numbers: NDArray[np.float64]
    """float64[n, len(NUMBERS)]."""

    def __len__(self) -> int:
        """Return the number of votes."""
        return len(self.event)

    def of(self, rows: NDArray[Any]) -> "VoteColumns":
        """Return some of the votes, as a mask or indexes name them."""
        return VoteColumns(*[column[rows] for column in structs.astuple(self)])


NO_VOTES: Final = VoteColumns(
    np.empty(0, np.int64),
    np.empty((0, 16), np.uint8),
    np.empty(0, np.int8),
    np.empty(0, np.int8),
    np.empty(0, np.int8),
    np.empty(0, np.int64),
    np.empty((0, len(NUMBERS))),
)


def joined(parts: Sequence[VoteColumns]) -> VoteColumns:
    """Return votes, one part after the other; there is at least one."""
    if len(parts) == 1:
        return parts[0]
    return VoteColumns(
        *[np.concatenate(columns) for columns in zip(*map(structs.astuple, parts), strict=True)]
    )


def columns_of(found: Sequence[tuple[int, Anomaly]]) -> VoteColumns:
    """Return anomalies, each with its event's number, as columns."""
    anomalies = [anomaly for _, anomaly in found]
    digits = "".join([anomaly.id[len(ANOMALY_PREFIX) :] for anomaly in anomalies])
    numbers = [[getattr(anomaly, name) for name in NUMBERS] for anomaly in anomalies]
    return VoteColumns(
        np.array([event for event, _ in found], np.int64),
        np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, 16),
        np.array([VOTED_METRICS.index(anomaly.metric) for anomaly in anomalies], np.int8),
        np.array([VOTERS.index(anomaly.detector) for anomaly in anomalies], np.int8),
        np.array([SEVERITIES.index(anomaly.severity) for anomaly in anomalies], np.int8),
        np.array([anomaly.baseline_samples for anomaly in anomalies], np.int64),
        np.array(numbers, np.float64).reshape(-1, len(NUMBERS)),
    )


class Votes(Sequence[Anomaly]):
    """The anomalies of one batch, made from its columns as they are asked for."""

    def __init__(self, batch: Batch, columns: VoteColumns) -> None:
        self.batch, self.columns = batch, columns

    def __len__(self) -> int:
        """Return the number of anomalies."""
        return len(self.columns)

    @overload
    def __getitem__(self, at: int) -> Anomaly: ...
    @overload
    def __getitem__(self, at: slice) -> list[Anomaly]: ...
    def __getitem__(self, at: int | slice) -> Anomaly | list[Anomaly]:
        """Return one anomaly, or some."""
        if isinstance(at, slice):
            return list(self._made(np.arange(len(self))[at]))
        return next(self._made(np.arange(len(self))[[at]]))

    def __iter__(self) -> Iterator[Anomaly]:
        """Yield all anomalies in order."""
        return self._made(np.arange(len(self)))

    def _made(self, rows: NDArray[np.int64]) -> Iterator[Anomaly]:
        batch, columns = self.batch, self.columns.of(rows)
        ids, metrics, voters = columns.ids.tobytes().hex(), columns.metric, columns.voter
        key_of, time_of = batch.key.tolist(), batch.time.tolist()
        for row, event in enumerate(columns.event.tolist()):
            numbers: list[Any] = [
                None if number != number else number for number in columns.numbers[row].tolist()
            ]
            value, statistic, threshold, score, z, mean, stddev, median, lower, upper = numbers
            yield Anomaly(
                ANOMALY_PREFIX + ids[32 * row : 32 * row + 32],
                instant(time_of[event]),
                batch.events[event].event_id or "",
                *batch.keys[key_of[event]],  # type: ignore[call-arg]  # a tuple of four
                VOTED_METRICS[metrics[row]],
                VOTERS[voters[row]],
                value,
                statistic,
                threshold,
                score,
                SEVERITIES[columns.severity[row]],
                z,
                int(columns.samples[row]),
                mean,
                stddev,
                median,
                lower,
                upper,
            )
