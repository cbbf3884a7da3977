"""Series by the minute, judged by their novelty: rates and quantiles of the calls of one key.

A minute is one of event time.  It closes when T is `allowed_lateness_secs` beyond its end, at the
first call of its key that finds it so; what is told of it hangs on that call.  A minute without
calls is no sample, so a gap of any length costs nothing.
"""

import zlib
from collections.abc import Iterator
from datetime import datetime

import msgspec
import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from sentinel._core.novelty import BadRecord, Novelty
from sentinel._core.partition import (
    EVENT_OVERFLOWED,
    EVENT_REPEATED,
    EVENT_STALE,
    EVENT_UNJUDGED,
)
from sentinel.engine.rules import NS, Rules
from sentinel.errors import TornState
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch, Key
from sentinel.model.event import Event
from sentinel.model.identity import hashed, position_fields, series_fields
from sentinel.model.metric import METRIC_INDEX, MINUTE_METRICS
from sentinel.model.severity import SCORE_MAX, severity_of

MINUTE_NS = 60 * NS
IDLE_NS = 7 * 86_400 * NS
"""A key without a call for longer, in T, starts again empty; as its other series do."""
LATENCIES_MOST = 10_000
"""Of a minute with more calls the first count for its quantiles: 80 kB, and an error of a hundredth
of a percentile."""
_MAGIC = b"SNTB\x01\x00\x00\x00"
_NOT_JUDGED = EVENT_REPEATED | EVENT_STALE | EVENT_OVERFLOWED | EVENT_UNJUDGED
_LATENCY, _COST, _ERROR = (METRIC_INDEX[name] for name in ("latency_ms", "cost_usd", "error"))


class Minute(Struct):
    """What is counted of the calls of one minute of one key."""

    calls: int = 0
    failed: int = 0
    priced: int = 0
    cost: float = 0.0
    finished: int = 0
    cut_off: int = 0
    latencies: list[float] = field(default_factory=list)

    def add(self, event: Event, values: NDArray[np.float64]) -> None:
        """Count one call."""
        latency, cost = float(values[_LATENCY]), float(values[_COST])
        self.calls += 1
        self.failed += bool(values[_ERROR] == 1)
        if cost == cost:
            self.priced += 1
            self.cost += cost
        if latency == latency and len(self.latencies) < LATENCIES_MOST:
            self.latencies.append(latency)
        if event.response is not None and event.response.finish_reason is not None:
            self.finished += 1
            self.cut_off += event.response.finish_reason == "length"

    def samples(self) -> Iterator[tuple[str, float]]:
        """Yield the metrics that its calls say something about, in the order of MINUTE_METRICS."""
        yield "request_rate", float(self.calls)
        yield "error_rate", self.failed / self.calls
        if self.priced:
            yield "cost_rate", self.cost
        if self.finished:
            yield "finish_length_rate", self.cut_off / self.finished
        if self.latencies:
            quantiles = np.quantile(self.latencies, (0.5, 0.95, 0.99))
            yield from zip(MINUTE_METRICS[4:], quantiles.tolist(), strict=True)


class _Saved(Struct, array_like=True):
    """One key as bytes: `_MAGIC`, CRC-32 of what follows, and this as MessagePack."""

    key: Key
    last: int
    open: dict[int, Minute]
    series: dict[str, bytes]


class _Live(Struct):
    """One key: its minutes that are open, by number since 1970, and its series, by metric."""

    last: int
    """T at its last call."""
    open: dict[int, Minute] = field(default_factory=dict)
    series: dict[str, Novelty] = field(default_factory=dict)


class MinuteBook:
    """The minutes of one partition."""

    def __init__(self, rules: Rules, log: bytes) -> None:
        self._log = log
        self._threshold = rules.novelty.threshold
        self._lateness_ns = rules.allowed_lateness_secs * NS
        self._keys: dict[Key, _Live] = {}
        self._swept = 0

    def judge_by(self, rules: Rules) -> None:
        """Judge by another threshold."""
        self._threshold = rules.novelty.threshold

    def follow(
        self, batch: Batch, clock: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> list[tuple[int, Anomaly]]:
        """Return what is told of the minutes that close in a batch, each with its event's number.

        Parameters
        ----------
        clock, state : int64[n], uint8[n]
            T at each event, and its bits, as the core gave them.
        """
        told: list[tuple[int, Anomaly]] = []
        times, clocks, keys = batch.time.tolist(), clock.tolist(), batch.key.tolist()
        for event in np.flatnonzero(state & _NOT_JUDGED == 0).tolist():
            now, key = clocks[event], batch.keys[keys[event]]
            live = self._keys.get(key)
            if live is None or now - live.last > IDLE_NS:
                live = self._keys[key] = _Live(now)
            live.last = now
            first_open = (now - self._lateness_ns) // MINUTE_NS
            for number in sorted(number for number in live.open if number < first_open):
                minute = live.open.pop(number)
                told += self._close(live, minute, (batch, event, number * MINUTE_NS))
            number = times[event] // MINUTE_NS
            if number >= first_open:
                live.open.setdefault(number, Minute()).add(batch.events[event], batch.values[event])
        if clocks and clocks[-1] - self._swept > IDLE_NS:
            self._swept = clocks[-1]
            self._keys = dict(self._living(self._swept))
        return told

    def _close(
        self, live: _Live, minute: Minute, at: tuple[Batch, int, int]
    ) -> Iterator[tuple[int, Anomaly]]:
        for metric, value in minute.samples():
            series = live.series.setdefault(metric, Novelty())
            score = float(series.score(np.array([value]), self._threshold)[0])
            if score >= 1:
                yield at[1], self._anomaly(metric, value, score, series, at)

    def _anomaly(
        self, metric: str, value: float, score: float, series: Novelty, at: tuple[Batch, int, int]
    ) -> Anomaly:
        batch, number, start = at
        event, key = batch.events[number], batch.keys[int(batch.key[number])]
        assert event.event_id is not None, "a canonical event has an id"
        assert isinstance(event.timestamp, datetime), "a canonical event has a time"
        before = series.remembered()[:-1]
        mean, stddev = float(before.mean()), float(before.std(ddof=1))
        position = position_fields(self._log, int(batch.offset[number]), int(batch.index[number]))
        return Anomaly(
            "anom-" + hashed(position + series_fields(key, metric, "novelty", start)),
            event.timestamp,
            event.event_id,
            *key,
            metric,
            "novelty",
            value,
            series.statistic,
            series.limit,
            min(score, SCORE_MAX),
            severity_of(score),
            (value - mean) / stddev if stddev > 0 else None,
            len(before),
            mean,
            stddev,
            float(np.median(before)),
            None,
            None,
        )

    # State

    def _living(self, clock: int) -> Iterator[tuple[Key, _Live]]:
        return (item for item in self._keys.items() if clock - item[1].last <= IDLE_NS)

    def names(self, clock: int) -> set[bytes]:
        """Return the names of the records of all keys that are not idle at T."""
        return {_name_of(key) for key, _ in self._living(clock)}

    def named_records(self, clock: int, since: int = 0) -> list[tuple[bytes, bytes]]:
        """Return name and record of every key that had a call at or after T = `since`."""
        found = []
        for key, live in self._living(clock):
            if live.last >= since:
                # Sorted: the order in which they came is no part of the state.
                opened = dict(sorted(live.open.items()))
                series = {metric: one.save() for metric, one in sorted(live.series.items())}
                body = msgspec.msgpack.encode(_Saved(key, live.last, opened, series))
                checksum = zlib.crc32(body).to_bytes(4, "little")
                found.append((_name_of(key), _MAGIC + checksum + body))
        return sorted(found)

    def load(self, record: bytes) -> None:
        """Take up the record of a key.

        Raises
        ------
        TornState
            It is not whole.
        """
        head, body = record[: len(_MAGIC) + 4], record[len(_MAGIC) + 4 :]
        try:
            if head != _MAGIC + zlib.crc32(body).to_bytes(4, "little"):
                raise TornState("minutes record: version or checksum differs")
            saved = msgspec.msgpack.decode(body, type=_Saved)
            series = {metric: Novelty.load(one) for metric, one in saved.series.items()}
        except (msgspec.MsgspecError, BadRecord) as error:
            raise TornState(f"minutes record: {error}") from error
        self._keys[saved.key] = _Live(saved.last, saved.open, series)


def is_minutes(record: bytes) -> bool:
    """Say whether a record is one of minutes, of this version or another."""
    return record[:4] == _MAGIC[:4]


def _name_of(key: Key) -> bytes:
    return "\0".join((*key, "minutes")).encode()
