"""Events for a partition: random ones, and what comes of them whatever way they are cut."""

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel._core import records, reports
from sentinel._core.partition import Partition

SCALE = float(os.environ.get("SENTINEL_PROPERTY_SCALE", "1"))
SECOND_NS = 1_000_000_000
LATENESS_NS = 10 * SECOND_NS
STALE_NS = 4 * 3600 * SECOND_NS
IDLE_NS = 3600 * SECOND_NS
CASES_AT_CAP = 3_000
"""Tenants; more than any bank keeps `__other__` for."""
ALL_FOUR = 15

Key = tuple[str, str, str, str]


def scaled(count: int) -> int:
    """Return how many of `count` examples to run; the sanitizers run fewer."""
    return max(round(count * min(1.0, 2 * SCALE)), 1)


@dataclass
class Events:
    """The columns that a partition takes."""

    keys: list[Key]
    key: NDArray[np.int32]
    time: NDArray[np.int64]
    received: NDArray[np.int64]
    values: NDArray[np.float64]
    id_high: NDArray[np.uint64]
    id_low: NDArray[np.uint64]
    offset: NDArray[np.int64]
    index: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.key)

    def columns(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return events start to stop as the arguments of `judge`."""
        keys, *columns = vars(self).values()
        return (keys, *(column[start:stop] for column in columns))


@dataclass
class Outcome:
    """All that came of a stream, free of batches and slots."""

    clock: list[int]
    state: list[int]
    fired: list[tuple[Any, ...]]
    verdicts: list[tuple[Any, ...]]
    cases: list[tuple[Any, ...]]
    records: dict[tuple[Key, int], bytes]
    summaries: dict[tuple[Key, int], Any]
    recent: list[bytes]


class Observed(Partition):
    """A partition that can be asked for the samples of a series."""

    def samples_of(self, key: Key, metric: int) -> int:
        """Return how many samples a series' window holds."""
        slot = self.slot_of(key, metric)
        return 0 if slot is None else len(reports.samples(self.bank, slot))

    def series_of(self, slot: int) -> tuple[Key, int]:
        """Return key and metric of a slot that holds a series."""
        named = self.key_of(slot)
        assert named is not None
        key, metric = named
        return (key[0], key[1], key[2], key[3]), metric


def new_partition(**rules: Any) -> Observed:
    """Return an empty partition whose hours are short enough for a test."""
    given = {
        "voters": [ALL_FOUR] * 8, "window_size": 120, "idle_ns": IDLE_NS, "stale_ns": STALE_NS,
        "lateness_ns": LATENESS_NS,
    }  # fmt: skip
    return Observed(**{**given, **rules})


def play(events: Events, cuts: list[int], rules: dict[str, Any]) -> Outcome:
    """Judge a stream that is cut into batches, and gather what came of it.

    What a test that ends in silence says is left out: the layer above tells silence by T, at the
    first event that T passes it, and the core only when the series speaks again, if ever.
    """
    partition = new_partition(**rules)
    found = Outcome([], [], [], [], [], {}, {}, [])
    for start, stop in pairwise(cuts):
        clock, state = partition.judge(*events.columns(start, stop))
        found.clock += clock.tolist()
        found.state += state.tolist()
        for event, slot, *rest in reports.fired(partition.bank):
            found.fired.append((start + event, *partition.series_of(slot), *rest))
        for case in reports.cases(partition.bank):
            if case["ended_at"] == 0:
                named = partition.series_of(case.pop("slot"))
                found.cases.append((start + case.pop("event"), named, sorted(case.items())))
        columns = reports.verdicts(partition.bank)
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        for sample, event, slot, *rest in rows:
            del sample  # counts within a run
            found.verdicts.append((start + event, *partition.series_of(slot), repr(rest)))
    found.recent.append(partition.recent.save())
    for slot in partition.live_slots():
        key, metric = partition.series_of(slot)
        found.records[key, metric] = records.save(partition.bank, slot, key, 0)
        found.summaries[key, metric] = reports.summary(partition.bank, slot)
    return found


def random_events(rng: np.random.Generator, seed: int) -> tuple[Events, dict[str, Any]]:
    """Return a stream with repeats, late and stale events, gaps, shifts, and too many series."""
    crowded = seed % 2 == 0
    n = int(rng.integers(50, 400)) if crowded else int(rng.integers(500, 1200))
    keys = [
        (f"tenant-{i % 2}", "default", f"service-{i}", "m")
        for i in range(int(rng.integers(2, 14)) if crowded else 2)
    ]
    steps = rng.exponential(2 * SECOND_NS, n).astype(np.int64)
    gaps = rng.random(n) < 6 / n
    steps[gaps] = rng.choice([SECOND_NS * 1000, IDLE_NS - 1, IDLE_NS + 1, 3 * IDLE_NS], gaps.sum())
    received = 1_700_000_000 * SECOND_NS + np.cumsum(steps)
    behind = rng.choice([0, 1, 8, 11, 600], n, p=[0.7, 0.1, 0.1, 0.08, 0.02]) * SECOND_NS
    behind[rng.random(n) < 0.01] = 5 * 3600 * SECOND_NS
    behind[rng.random(n) < 0.02] = -60 * SECOND_NS
    offset = np.cumsum(rng.integers(0, 3, n))
    repeated = offset == np.concatenate([[-1], offset[:-1]])
    index = np.zeros(n, np.int32)
    for i in range(1, n):
        index[i] = index[i - 1] + 1 if repeated[i] else 0
    fresh = rng.random(n) < 0.95
    ids = np.where(fresh, np.arange(n), rng.integers(0, n, n)).astype(np.uint64)
    events = Events(
        keys=keys,
        key=(len(keys) * rng.random(n) ** 2).astype(np.int32),
        time=received - behind,
        received=received,
        values=random_values(rng, n, crowded),
        id_high=np.zeros(n, np.uint64),
        id_low=ids,
        offset=offset.astype(np.int64),
        index=index,
    )
    rules = {"max_series": int(rng.integers(1, 40))} if crowded else {}
    return events, rules


def random_values(rng: np.random.Generator, n: int, crowded: bool) -> NDArray[np.float64]:
    """Return eight metrics of n events, many absent, with shifts, spikes and bursts of failures."""
    values = np.exp(4 + 0.4 * rng.standard_normal((n, 8)))
    values[:, 3] = np.floor(values[:, 3])
    start = int(rng.integers(0, n))
    values[start : start + 40, :3] *= rng.uniform(1, 12)
    values[rng.random(n) < 0.01, 0] *= 50
    values[:, 7] = rng.random(n) < 0.02
    values[start : start + 40, 7] = rng.random(len(values[start : start + 40])) < 0.5
    absent = rng.random((n, 8)) < (0.7 if crowded else 0.05)
    absent[:, 0] = rng.random(n) < 0.1
    values[absent] = np.nan
    return values
