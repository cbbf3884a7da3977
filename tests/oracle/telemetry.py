"""Events for a partition: random ones, and what comes of them whatever way they are cut."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel._core import evidence_records, records, reports
from sentinel._core.partition import Partition
from sentinel.detectors.channels import LEVELS, SHARES

SCALE = float(os.environ.get("SENTINEL_PROPERTY_SCALE", "1"))
SECOND_NS = 1_000_000_000
LATENESS_NS = 10 * SECOND_NS
STALE_NS = 4 * 3600 * SECOND_NS
IDLE_NS = 3600 * SECOND_NS
CASES_AT_CAP = 3_000
"""Tenants; more than any bank keeps `__other__` for."""
ALL_FOUR = 15
EVIDENCE = -1
"""In the place of a metric: the record is that of a subject."""

Key = tuple[str, str, str, str]
Named = tuple[tuple[str | None, ...], int]


def scaled(count: int) -> int:
    """Return how many of `count` examples to run; the sanitizers run fewer."""
    return max(round(count * min(1.0, 2 * SCALE)), 1)


def laws(**changes: Any) -> dict[str, Any]:
    """Return what evidence judges by: the shipped levels and shares, a threshold of 8."""
    shipped = {
        "levels": LEVELS, "shares": SHARES, "off": [0] * 11, "fixed": 8.0, "allowed": 1.0,
        "lean": 0.0, "zone": [],
    }  # fmt: skip
    return {**shipped, **changes}


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
    finish: NDArray[np.uint8]
    user: NDArray[np.uint32]
    session: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.key)

    def columns(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return events start to stop as the arguments of `judge`."""
        keys, *columns = vars(self).values()
        return (keys, *(column[start:stop] for column in columns))


@dataclass
class Outcome:
    """All that came of a stream, free of batches and slots."""

    clock: list[int] = field(default_factory=list)
    state: list[int] = field(default_factory=list)
    fired: list[tuple[Any, ...]] = field(default_factory=list)
    verdicts: list[tuple[Any, ...]] = field(default_factory=list)
    findings: list[tuple[Any, ...]] = field(default_factory=list)
    hits: list[tuple[Any, ...]] = field(default_factory=list)
    records: dict[Named, bytes] = field(default_factory=dict)
    summaries: dict[Named, Any] = field(default_factory=dict)
    recent: list[bytes] = field(default_factory=list)


class Observed(Partition):
    """A partition that can be asked for the samples of a series."""

    def samples_of(self, key: Key, metric: int) -> int:
        """Return how many samples a series' window holds."""
        slot = self.roster.slot_of(key, metric)
        return 0 if slot is None else len(reports.samples(self.bank, slot))

    def series_of(self, slot: int) -> tuple[Key, int]:
        """Return key and metric of a slot that holds a series."""
        named = self.roster.key_of(slot)
        assert named is not None
        key, metric = named
        return (key[0], key[1], key[2], key[3]), metric

    def saved(self) -> dict[Named, bytes]:
        """Return the records of everything that is not idle."""
        found: dict[Named, bytes] = {}
        for slot in self.roster.live_slots(self.clock):
            key, metric = self.series_of(slot)
            found[key, metric] = records.save(self.bank, slot, key, 0)
        for subject in self.evidence.subjects_live(self.clock):
            found[subject, EVIDENCE] = evidence_records.save(self.evidence, subject, 0)
        return found


def new_partition(**rules: Any) -> Observed:
    """Return an empty partition whose hours are short enough for a test."""
    given = {
        "laws": laws(), "voters": [ALL_FOUR] * 8, "window_size": 120, "idle_ns": IDLE_NS,
        "stale_ns": STALE_NS, "lateness_ns": LATENESS_NS,
    }  # fmt: skip
    return Observed(**{**given, **rules})


def restored(partition: Observed, rules: dict[str, Any], turned: bool) -> Observed:
    """Return a new partition with everything that an old one remembers; `turned`: read in another
    order."""
    fresh = new_partition(**rules)
    fresh.clock = partition.clock
    fresh.recent.load(partition.recent.save())
    saved = sorted(partition.saved().items(), key=repr, reverse=turned)
    for (key, metric), record in saved:
        if metric == EVIDENCE:
            assert evidence_records.load(fresh.evidence, record) == 0
        else:
            names = (str(key[0]), str(key[1]), str(key[2]), str(key[3]))
            assert records.load(fresh.bank, fresh.roster.adopt(names, metric), record) == 0
    return fresh


def play(
    events: Events,
    cuts: list[int],
    rules: dict[str, Any],
    *,
    ticks: Mapping[int, int] | None = None,
    restarts: Collection[int] = (),
) -> Outcome:
    """Judge a stream that is cut into batches, and gather what came of it.

    Parameters
    ----------
    cuts : list of int
        Where batches end, from 0 to n, ascending.
    ticks : mapping of int to int
        Before which event T is brought to what; each stands in `cuts`.
    restarts : collection of int
        Cuts at which everything is saved and taken up by a new partition.
    """
    ticks = ticks or {}
    partition = new_partition(**rules)
    found = Outcome()
    ticked = set()
    for start, stop in pairwise(cuts):
        if start in restarts:
            partition = restored(partition, rules, turned=start % 2 == 1)
        if start in ticks and start not in ticked:
            ticked.add(start)
            partition.advance(ticks[start])
            note_evidence(found, partition, start)
        clock, state = partition.judge(*events.columns(start, stop))
        found.clock += clock.tolist()
        found.state += state.tolist()
        votes = (column.tolist() for column in reports.votes(partition.bank))
        for event, slot, *rest in zip(*votes, strict=True):
            found.fired.append((start + event, *partition.series_of(slot), repr(rest)))
        columns = reports.verdicts(partition.bank)
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        for sample, event, slot, *rest in rows:
            del sample  # counts within a run
            found.verdicts.append((start + event, *partition.series_of(slot), repr(rest)))
        note_evidence(found, partition, start)
    found.recent.append(partition.recent.save())
    found.records = partition.saved()
    for slot in partition.roster.live_slots(partition.clock):
        found.summaries[partition.series_of(slot)] = reports.summary(partition.bank, slot)
    return found


def note_evidence(found: Outcome, partition: Observed, start: int) -> None:
    """Gather findings and hits of one batch, which begins at event `start`."""
    for row in partition.evidence.findings():
        del row["subject"]  # its number, which says nothing
        what = row["channel"], row["test"], row["kind"]
        found.findings.append((start + row.pop("event"), *what, repr(sorted(row.items()))))
    for event, *rest in partition.evidence.hits():
        found.hits.append((start + event, repr(rest)))


def cuts_of(rng: np.random.Generator, n: int, batches: int) -> list[int]:
    """Return where n events are cut into `batches` batches, some of them empty."""
    return [0, *np.sort(rng.integers(0, n + 1, batches - 1)).tolist(), n]


def assert_same(got: Outcome, want: Outcome, note: str) -> None:
    """Compare all that came of a stream, cut in two ways."""
    for name, mine in vars(got).items():
        theirs = getattr(want, name)
        if mine != theirs:
            if isinstance(mine, dict):
                differing = [key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)]
                raise AssertionError(f"{note}: {name} differs at {differing[:3]}")
            first = next((p for p in zip(mine, theirs, strict=False) if p[0] != p[1]), None)
            raise AssertionError(f"{note}: {name}: {len(mine)} and {len(theirs)}, first {first}")


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
    key = (len(keys) * rng.random(n) ** 2).astype(np.int32)
    events = at_random(rng, keys, key, steps, random_values(rng, n, crowded))
    rules = {"max_series": int(rng.integers(1, 40))} if crowded else {}
    return events, rules


def at_random(rng: np.random.Generator, keys: list[Key], key: NDArray[np.int32],
              steps: NDArray[np.int64], values: NDArray[np.float64]) -> Events:  # fmt: skip
    """Return events `steps` apart, some late, stale, repeated or of the future."""
    n = len(key)
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
    return Events(
        keys=keys,
        key=key,
        time=received - behind,
        received=received,
        values=values,
        id_high=np.zeros(n, np.uint64),
        id_low=ids,
        offset=offset.astype(np.int64),
        index=index,
        finish=rng.choice(3, n, p=[0.88, 0.02, 0.1]).astype(np.uint8),
        user=(60 * rng.random(n) ** 1.5).astype(np.uint32),
        session=rng.integers(0, 200, n).astype(np.uint32),
    )


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


def busy_events(rng: np.random.Generator, seed: int) -> tuple[Events, dict[str, Any]]:
    """Return a stream on which every test of evidence speaks: long, and much happens in it.

    A few models of two services call often, one of a third from the middle on; others come and go,
    and some stay away for longer than the idle time.  The cap is too small for all in every third
    stream.
    """
    n = int(rng.integers(3000, 6000))
    models = int(rng.integers(2, 4))
    keys = [("acme", "prod", f"service-{i % 2}", f"model-{i // 2}") for i in range(models)]
    keys += [("acme", "prod", f"guest-{i}", "m") for i in range(12)]
    key = rng.integers(0, models, n).astype(np.int32)
    guests = rng.random(n) < 0.03
    # One guest at a time: each is forgotten, and its numbers go to the next.
    key[guests] = models + np.arange(n)[guests] * 12 // n
    # A service that is born late, of a model that is known elsewhere: it borrows.
    keys.append(("acme", "prod", "late", "model-0"))
    key[(np.arange(n) > n // 2) & (rng.random(n) < 0.3)] = len(keys) - 1
    steps = rng.exponential(2 * SECOND_NS, n).astype(np.int64)
    if seed % 3 == 1:
        # Wholly regular: a silence is told from little.
        steps = np.full(n, 2 * SECOND_NS, np.int64)
    for _ in range(2):
        start = int(rng.integers(n // 4, n))
        steps[start : start + 300] //= int(rng.choice([1, 4, 8]))
    gaps = rng.integers(n // 4, n, 3)
    steps[gaps] = rng.choice(
        [SECOND_NS * 400, SECOND_NS * 1500, IDLE_NS - 1, IDLE_NS + SECOND_NS], len(gaps)
    )
    values = busy_values(rng, n)
    away = int(rng.integers(n // 2, n))
    # One model stops for good while the others go on; from half of the streams it comes back.
    silent = (np.arange(n) > away) & (key == 0) & (np.arange(n) < (n if seed % 2 else away + 1000))
    key[silent] = 1
    events = at_random(rng, keys, key, steps, values)
    start = int(rng.integers(n // 4, n))
    events.user[start : start + 150][rng.random(len(events.user[start : start + 150])) < 0.6] = 7
    start = int(rng.integers(n // 4, n))
    few = len(events.session[start : start + 150])
    events.session[start : start + 150][rng.random(few) < 0.6] = 7
    start = int(rng.integers(n // 4, n))
    few = len(events.finish[start : start + 150])
    events.finish[start : start + 150][rng.random(few) < 0.5] = 1
    chosen = laws(
        fixed=float(rng.choice([0.0, 5.0, 8.0])),
        allowed=float(rng.choice([1.0, 1000.0])),
        zone=[(0, 3600), (1_700_003_000, 7200)] if seed % 2 else [(0, -18000)],
    )
    return events, {"laws": chosen, **({"max_series": 30} if seed % 3 == 0 else {})}


def busy_values(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return eight metrics of n events as calls have them, with shifts, spikes and failures."""
    values = np.full((n, 8), np.nan)
    prompt = np.floor(np.exp(6 + 0.6 * rng.standard_normal(n)))
    answer = np.floor(np.exp(5 + 0.5 * rng.standard_normal(n)))
    noise = np.exp(0.25 * rng.standard_normal((n, 3)))
    values[:, 1] = (80 + 0.05 * prompt) * noise[:, 1]
    values[:, 0] = values[:, 1] + (100 + 8 * answer) * noise[:, 0]
    values[:, 2], values[:, 3] = prompt, answer
    values[:, 4] = prompt + answer
    values[:, 5] = (3 * prompt + 15 * answer) * 1e-6 * (1 + 0.01 * rng.standard_normal(n))
    values[:, 6] = 1000 * answer / values[:, 0]
    values[:, 7] = rng.random(n) < 0.01
    for metric in (0, 1, 2, 3, 5):
        start = int(rng.integers(n // 3, n))
        length = int(rng.choice([30, 200, 1500]))
        values[start : start + length, metric] *= rng.choice([0.3, 1.5, 5.0])
    values[rng.random(n) < 0.002, 0] *= 60
    start = int(rng.integers(n // 3, n))
    few = rng.random(len(values[start : start + 300, 0])) < 0.15
    values[start : start + 300, 0][few] *= 6
    start = int(rng.integers(n // 3, n))
    values[start : start + 100, 7] = rng.random(len(values[start : start + 100])) < 0.4
    for metric, share in ((1, 0.3), (2, 0.05), (3, 0.05), (5, 0.1), (0, 0.02)):
        values[rng.random(n) < share, metric] = np.nan
    return values
