"""The core's evidence against the oracle: every finding, every hit, and all that is remembered."""

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from oracle.baseline import Reals
from oracle.evidence import Laws
from oracle.evidence_subject import COST, LATENCY, METRICS, TTFT, Book, Call, Subject
from oracle.evidence_tails import probit
from oracle.streams import KINDS
from oracle.subject_record import taken_apart
from oracle.telemetry import (
    IDLE_NS,
    LATENESS_NS,
    SECOND_NS,
    Events,
    Observed,
    at_random,
    busy_events,
    cuts_of,
    laws,
    new_partition,
    scaled,
)  # fmt: skip
from sentinel._core import evidence_records
from sentinel._core.partition import EVENT_REPEATED, EVENT_STALE

EXACT = 1e-9


def assert_near(got: Any, want: Any, allowed: float, note: str) -> None:
    """Compare numbers, or lists of them; NaN is NaN."""
    mine, theirs = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert mine.shape == theirs.shape, f"{note}: {mine.shape} and {theirs.shape}"
    off = ~((np.abs(mine - theirs) <= allowed * (1 + np.abs(theirs))) | (mine == theirs))
    off &= ~(np.isnan(mine) & np.isnan(theirs))
    assert not off.any(), f"{note}: got {got}, want {want}"


def assert_state(found: Any, want: dict[str, Any], note: str, ring: Any = ()) -> None:
    """Compare one part of a record with what the oracle remembers."""
    for name, theirs in want.items():
        if name == "sums":
            for number, one in enumerate(theirs):
                mine = found["sums"][number]
                assert_near(mine["value"], one["value"], EXACT, f"{note} sum {number}")
                if one["value"] > 0:
                    where = (int(mine["time"]), int(mine["offset"]), int(mine["index"]))
                    assert where == one["since"], f"{note} sum {number}"
                    assert (mine["n"], mine["hits"]) == (one["n"], one["hits"]), f"{note} {number}"
        elif name == "heights":
            for number, one in enumerate(theirs):
                for part, value in one.items():
                    mine = found["heights"][number][part]
                    assert_near(mine, value, EXACT, f"{note} height {number} {part}")
        elif name == "ring":
            assert ring.tolist() == theirs, f"{note} ring"
        elif name == "waiting":
            n, at = int(found["waiting_n"]), int(found["waiting_at"])
            mine = np.roll(found["waiting"], -at)[len(found["waiting"]) - n :]
            assert mine.tolist() == theirs, f"{note} waiting"
        else:
            assert_near(found[name], theirs, EXACT, f"{note} {name}")


def assert_remembered(record: bytes, subject: Subject, note: str) -> None:
    """Compare a subject's record with the oracle's subject."""
    found = taken_apart(record)
    assert found["counts"]["last"] == subject.last, note
    assert found["counts"]["calls"] == subject.calls, note
    assert found["counts"]["parent"] == subject.parent, note
    assert_near(found["learned"], subject.learned, 0, f"{note} learned")
    assert_near(found["counts"]["high"], subject.high, EXACT, f"{note} threshold")
    for number, which in enumerate((LATENCY, TTFT, COST)):
        fit = subject.fits[which]
        assert found["fits"][number]["n"] == fit.n, note
        assert_near(found["fits"][number]["theta"], fit.theta, EXACT, f"{note} fit {which}")
        spread = np.array(fit.spread).ravel()
        assert_near(found["fits"][number]["spread"], spread, EXACT, f"{note} fit {which}")
        assert_near(found["fits"][number]["typical"], fit.typical, EXACT, f"{note} fit {which}")
    for number, share in enumerate(subject.shares):
        assert_state(found["shares"][number], share.state(), f"{note} share {number}")
    assert_state(found["rate"], subject.rate.state(), f"{note} rate")
    for number, speakers in enumerate(subject.speakers):
        fields, ring = found["speakers"][number]
        assert_state(fields, speakers.state(), f"{note} speakers {number}", ring)
    assert found["channels"].keys() == subject.channels.keys(), note
    for which, channel in subject.channels.items():
        fields, ring = found["channels"][which]
        assert_state(fields, channel.state(), f"{note} channel {which}", ring)


def call_of(events: Events, i: int, clock: int) -> Call:
    """Return event i as the oracle takes it."""
    said = zip(METRICS, events.values[i].tolist(), strict=True)
    return Call(
        values={name: value for name, value in said if not math.isnan(value)},
        at=(int(events.time[i]), int(events.offset[i]), int(events.index[i])),
        clock=clock,
        counted_at=int(min(events.time[i], events.received[i])),
        finish=int(events.finish[i]),
        user=int(events.user[i]),
        session=int(events.session[i]),
        event=i,
    )


def order(finding: dict[str, Any]) -> tuple[Any, ...]:
    """Return what findings are sorted by."""
    return (finding["event"], finding["clock"], repr(finding["key"]), finding["channel"])


def assert_found(partition: Observed, book: Book, start: int, note: str) -> None:
    """Compare findings and hits of the last batch, which began at event `start`."""
    found = partition.evidence.findings()
    for row in found:
        row["event"] += start
        row["first"] = tuple(row["first"][name] for name in ("time", "offset", "index"))
    found, want = sorted(found, key=order), sorted(book.findings, key=order)
    told = ("event", "key", "channel", "test", "kind", "clock", "due", "first", "hits", "hits_of")
    assert [[row[name] for name in told] for row in found] == [
        [row[name] for name in told] for row in want
    ], note
    for mine, theirs in zip(found, want, strict=True):
        for name in theirs.keys() - set(told):
            assert_near(mine[name], theirs[name], EXACT, f"{note} {order(theirs)} {name}")
    hits = [(start + event, *rest) for event, *rest in partition.evidence.hits()]
    assert [hit[:3] for hit in hits] == [hit[:3] for hit in book.hits], note
    assert_near([hit[3] for hit in hits], [hit[3] for hit in book.hits], EXACT, f"{note} hits")


def run_beside(events: Events, rules: dict[str, Any], cuts: list[int], note: str) -> int:
    """Judge a stream with the core and with the oracle; return how much was found."""
    partition = new_partition(**rules)
    idle_ns = rules.get("idle_ns", IDLE_NS)
    book = Book(Laws(**rules["laws"], lateness_s=LATENESS_NS // SECOND_NS, idle_ns=idle_ns))
    total = 0
    for start, stop in pairwise(cuts):
        clock, state = partition.judge(*events.columns(start, stop))
        book.findings, book.hits = [], []
        for i in range(start, stop):
            call = call_of(events, i, int(clock[i - start]))
            judged = not state[i - start] & (EVENT_REPEATED | EVENT_STALE)
            book.take(events.keys[events.key[i]] if judged else None, call)
        assert_found(partition, book, start, f"{note}, to {stop}")
        total += len(book.findings)
        live = partition.evidence.subjects_live(partition.clock)
        for key in live:
            record = evidence_records.save(partition.evidence, key, 0)
            assert_remembered(record, book.subjects[key], f"{note}, to {stop}, {key}")
        assert len(live) == len(book.live(partition.clock)), note
    return total


@pytest.mark.parametrize("seed", range(scaled(10)))
def test_everything_that_is_found_and_remembered_is_the_oracles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events, rules = busy_events(rng, seed)
    rules = {"laws": rules["laws"]}
    cuts = cuts_of(rng, len(events), 40)
    assert run_beside(events, rules, cuts, f"seed {seed}") > 0


def values_of_kind(rng: np.random.Generator, n: int, seed: int) -> Reals:
    """Return eight metrics of n events, each another kind of adversarial stream, none below 0."""
    values = np.full((n, 8), np.nan)
    for metric in range(7):
        kind = KINDS[(seed + 3 * metric) % len(KINDS)]
        values[:, metric] = np.minimum(np.abs(kind(rng, n)), 1e5)
    values[:, 7] = rng.random(n) < 0.03
    for metric, share in enumerate((0.05, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1)):
        values[rng.random(n) < share, metric] = np.nan
    return values


def slow_events(rng: np.random.Generator, seed: int) -> Events:
    """Return calls of days and weeks that know the hour, of one model, with a silence of days."""
    n = 2500
    gap = float(rng.choice([30, 120, 400, 900]))
    steps = rng.exponential(gap, n)
    hour = np.cumsum(steps) / 3600 % 24
    steps *= np.where((hour > 8) & (hour < 18), 0.5, 3.0)
    steps[rng.integers(n // 2, n, 2)] = rng.choice([3600.0, 2 * 86_400.0, 8 * 86_400.0], 2)
    keys = [("acme", "prod", "chat", "m")]
    key = np.zeros(n, np.int32)
    return at_random(
        rng, keys, key, (steps * SECOND_NS).astype(np.int64), values_of_kind(rng, n, seed)
    )


@pytest.mark.parametrize("seed", range(scaled(15)))
def test_days_of_every_kind_of_stream_are_the_oracles_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = slow_events(rng, seed)
    # Clocks go forward on the second day, and back on the ninth.
    first = 1_700_000_000
    zone = [(0, 3600), (first + 90_000, 7200), (first + 777_600, 3600)]
    rules = {
        "laws": laws(fixed=float(rng.choice([0.0, 4.0, 10.0])), zone=zone[: seed % 4]),
        "idle_ns": 7 * 86_400 * SECOND_NS,
    }
    run_beside(events, rules, cuts_of(rng, len(events), 20), f"seed {seed}")


def test_normal_scores_have_six_digits() -> None:
    normal = NormalDist()
    for p in [*np.linspace(1e-3, 1 - 1e-3, 1999), 1e-12, 1e-6, 1 - 1e-6]:
        assert abs(probit(float(p)) - normal.inv_cdf(float(p))) < 1e-6
