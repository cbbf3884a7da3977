"""The compiled core against the oracle: every statistic, every verdict, on two million samples.

`SENTINEL_PROPERTY_SCALE` (0 to 1) runs a part of it: for the sanitizers, which are slow.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from oracle.baseline import Baseline, Reals
from oracle.series import Judged, Rules, judge
from oracle.streams import KINDS
from sentinel._core import reports
from sentinel._core.bank import Bank

SCALE = float(os.environ.get("SENTINEL_PROPERTY_SCALE", "1"))
EXACT = 1e-9
EPSILON = float(np.finfo(np.float64).eps)
ALL_FOUR = 15
SUMMARY = ("n", "mean", "stddev", "q1", "median", "q3", "mad", "p95", "p99")
STEP_NS = 1_000_000_000


@dataclass
class Plan:
    """A bank of series that are interleaved: how many, how long, under which rules."""

    seed: int
    rules: Rules
    lengths: list[int]


@dataclass
class Tally:
    """What has been compared."""

    samples: int = 0
    streams: int = 0
    long_streams: int = 0
    longest_windows: int = 0
    summaries: int = 0
    fired: int = 0
    no_scale: int = 0
    excused: int = 0
    cusum_left_out: int = 0


@dataclass
class Core:
    """What the core said of one bank's samples, by column; and where summaries were read."""

    columns: dict[str, Reals]
    judged: NDArray[np.bool_]
    summaries: dict[int, tuple[float, ...]] = field(default_factory=dict)


def plans() -> list[Plan]:
    """Return 10,000 streams in 222 banks: short ones, ones of three windows, and W = 5,000."""
    rng = np.random.default_rng(20_240_501)
    found = []
    for number in range(max(round(196 * SCALE), 1)):
        size = int(10 ** rng.uniform(1, 3.7))
        lengths = [int(length) for length in rng.integers(1, 360, 50)]
        found.append(Plan(number, random_rules(rng, size), lengths))
    for number in range(max(round(18 * SCALE), 1)):
        size = 10 if number == 0 else int(10 ** rng.uniform(1, 3))
        lengths = [int(size * by) + 1 for by in rng.uniform(3.05, 3.6, 10)]
        found.append(Plan(1000 + number, random_rules(rng, size), lengths))
    for number in range(max(round(20 * SCALE), 1) if SCALE >= 0.2 else 0):
        length = int(5000 * rng.uniform(3.01, 3.1))
        found.append(Plan(2000 + number, random_rules(rng, 5000), [length]))
    return found


def random_rules(rng: np.random.Generator, size: int) -> Rules:
    """Return the default thresholds, or others."""
    if rng.random() < 0.5:
        return Rules(size)
    return Rules(
        size,
        least=int(rng.integers(2, min(size, 50) + 1)),
        zscore=rng.uniform(1, 5),
        iqr=rng.uniform(0.5, 4),
        mad=rng.uniform(1, 6),
        cusum=rng.uniform(1, 12),
        drift=rng.uniform(0, 1),
    )


def streams_of(plan: Plan, rng: np.random.Generator) -> list[Reals]:
    """Return the values of each series of a bank, of all kinds in turn."""
    return [
        KINDS[(plan.seed + number) % len(KINDS)](rng, length)
        for number, length in enumerate(plan.lengths)
    ]


def random_cuts(rng: np.random.Generator, n: int) -> list[int]:
    """Return where a run of n samples is cut into batches of 1 to thousands, some of them empty."""
    cuts = [0]
    while cuts[-1] < n:
        cuts.append(min(n, cuts[-1] + int(10 ** rng.uniform(-0.5, 3.5))))
    return cuts


def run_core(plan: Plan, slot: NDArray[np.int32], value: Reals, time: NDArray[np.int64],
             cuts: list[int]) -> Core:  # fmt: skip
    """Run all samples of a bank through the core, batch by batch."""
    rules = plan.rules
    bank = Bank(
        voters=[ALL_FOUR] * 8, window_size=rules.size, min_samples=rules.least,
        idle_ns=rules.idle_ns, zscore=rules.zscore, iqr=rules.iqr, mad=rules.mad,
        cusum=rules.cusum, drift=rules.drift,
    )  # fmt: skip
    for number in range(len(plan.lengths)):
        assert bank.open(number, number % 8) == number
    names = ("n", "votes", "value", *rules.thresholds(), "mean", "stddev", "q1", "median", "q3",
             "spread")  # fmt: skip
    core = Core({name: np.full(len(slot), np.nan) for name in names}, np.zeros(len(slot), bool))
    for start, stop in pairwise(cuts):
        bank.judge(slot[start:stop], value[start:stop], time[start:stop], True)
        verdicts = reports.verdicts(bank)
        at = start + verdicts["sample"]
        assert (np.diff(at) > 0).all()
        assert (verdicts["slot"] == slot[at]).all()
        core.judged[at] = True
        for name, column in core.columns.items():
            column[at] = verdicts[name]
        last_of = {int(series): start + i for i, series in enumerate(slot[start:stop])}
        for series, sample in last_of.items():
            summary = reports.summary(bank, series)
            assert summary is not None
            core.summaries[sample] = summary
    return core


def assert_close(name: str, got: Reals, want: Reals, allowed: Reals) -> None:
    """Compare one statistic of many samples."""
    wrong = ~((np.abs(got - want) <= allowed) | (np.isnan(got) & np.isnan(want)))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise AssertionError(
            f"{name}: got {got[i]!r}, want {want[i]!r} at {i}; {int(wrong.sum())} of {len(got)}"
        )


def allowances(want: Baseline) -> dict[str, Reals]:
    """Return how far each statistic of a baseline may be off.

    A quantile lies between two samples and is rounded as they are: where they have opposite signs
    and all but cancel, a few units in the last place of the larger are allowed beside 1e-9.
    """
    grain = 4 * EPSILON * np.maximum(np.abs(want.q1), np.abs(want.q3))
    found = {"n": np.zeros(len(want.n)), "mean": EXACT * want.largest}
    for name in ("stddev", "q1", "median", "q3", "mad", "p95", "p99"):
        found[name] = EXACT * np.abs(getattr(want, name))
        if name != "stddev":
            found[name] = found[name] + grain
    return found


def compare(plan: Plan, core: Core, at: NDArray[np.int64], want: Judged, tally: Tally) -> None:
    """Compare one stretch of one series; `at` says which samples of the bank it is."""
    armed = want.armed
    assert (core.judged[at] == armed).all(), "detectors spoke too early or too late"
    judged, before = at[armed], Baseline(*(part[armed] for part in vars(want.before).values()))
    assert (core.columns["value"][judged] == want.value[armed]).all()
    allowed = allowances(before)
    for name in SUMMARY[:7]:
        column = core.columns["spread" if name == "mad" else name][judged]
        assert_close(name, column, getattr(before, name), allowed[name])
    with np.errstate(divide="ignore", invalid="ignore"):
        # Quartiles and medians are doubles: what their last place is worth in spreads.
        grain = 4 * EPSILON * np.maximum(np.abs(before.q1), np.abs(before.q3))
        rounding = {
            "zscore": EXACT,
            "iqr": np.where(before.q3 > before.q1, grain / (before.q3 - before.q1), 0.0),
            "mad": np.where(before.mad > 0, grain / before.mad, 0.0),
            "cusum": EXACT,
        }
    for bit, (detector, threshold) in enumerate(plan.rules.thresholds().items()):
        statistic = want.statistics[detector][armed]
        got = core.columns[detector][judged]
        with np.errstate(over="ignore"):
            allowed_here = EXACT * np.abs(statistic) + rounding[detector] * (1 + np.abs(statistic))
        fires = want.fires(detector, threshold)[armed]
        says = core.columns["votes"][judged].astype(np.int64) >> bit & 1 == 1
        near = np.abs(np.abs(statistic) - threshold) <= EXACT * threshold + allowed_here * (
            detector in ("iqr", "mad")
        )
        if detector == "cusum" and (near & (fires != says)).any():
            # One sum started again and the other did not: they have nothing more in common.
            first = int(np.argmax(near & (fires != says)))
            tally.cusum_left_out += len(got) - first
            got, statistic, allowed_here = got[:first], statistic[:first], allowed_here[:first]
            fires, says, near = fires[:first], says[:first], near[:first]
        assert_close(detector, got, statistic, allowed_here)
        wrong = (fires != says) & ~near
        assert not wrong.any(), f"{detector}: verdict differs at {int(np.argmax(wrong))}"
        tally.fired += int(says.sum())
        tally.no_scale += int(np.isnan(got).sum())
        tally.excused += int((fires != says).sum())
    compare_summaries(core, at, want.after, tally)


def compare_summaries(core: Core, at: NDArray[np.int64], want: Baseline, tally: Tally) -> None:
    """Compare what readers saw after each batch."""
    rows = [row for row, sample in enumerate(at) if int(sample) in core.summaries]
    if not rows:
        return
    seen = np.array([core.summaries[int(at[row])] for row in rows])
    there = Baseline(*(part[rows] for part in vars(want).values()))
    allowed = allowances(there)
    for column, name in enumerate(SUMMARY):
        assert_close(f"summary {name}", seen[:, column], getattr(there, name), allowed[name])
    tally.summaries += len(rows)


def run_plan(plan: Plan, tally: Tally) -> None:
    """Make the streams of a bank, run them through core and oracle, and compare."""
    rng = np.random.default_rng(plan.seed)
    streams = streams_of(plan, rng)
    slot = rng.permutation(np.repeat(np.arange(len(streams), dtype=np.int32), plan.lengths))
    steps = rng.exponential(STEP_NS, len(slot)).astype(np.int64)
    if plan.seed % 4 == 0:
        steps[rng.integers(0, len(slot), 2)] = plan.rules.idle_ns + STEP_NS
    time = 1_700_000_000 * STEP_NS + np.cumsum(steps)
    value = np.empty(len(slot))
    places = [np.flatnonzero(slot == series) for series in range(len(streams))]
    for at, stream in zip(places, streams, strict=True):
        value[at] = stream
    core = run_core(plan, slot, value, time, random_cuts(rng, len(slot)))
    for number, at in enumerate(places):
        kind = KINDS[(plan.seed + number) % len(KINDS)].__name__
        done = 0
        for part in judge(value[at], time[at], plan.rules):
            try:
                compare(plan, core, at[done : done + len(part.value)], part, tally)
            except AssertionError as error:
                place = f"seed {plan.seed}, series {number} ({kind}), from {done}, {plan.rules}"
                raise AssertionError(f"{place}: {error}") from error
            done += len(part.value)
        tally.samples += done
        tally.streams += 1
        tally.long_streams += done > 3 * plan.rules.size
        tally.longest_windows += done > 3 * plan.rules.size and plan.rules.size == 5000


def test_every_statistic_and_every_verdict_of_the_core_is_the_oracles(
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    tally = Tally()
    for plan in plans():
        run_plan(plan, tally)
    record_testsuite_property("core against oracle", str(tally))
    assert tally.fired > tally.samples // 20, "streams without anomalies prove little"
    assert tally.no_scale > 0
    assert tally.excused <= tally.samples // 10_000
    assert tally.cusum_left_out <= tally.samples // 1000
    if SCALE >= 1:
        assert tally.samples >= 2_000_000
        assert tally.streams >= 10_000
        assert tally.long_streams >= 200
        assert tally.longest_windows >= 20
