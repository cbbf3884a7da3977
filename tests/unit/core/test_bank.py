"""A bank of series: what it refuses, what it holds, and that nothing makes its state non-finite."""

import math
from typing import Any

import numpy as np
import pytest

from sentinel._core import reports
from sentinel._core.bank import Bank

VOTERS = [15] * 8
IDLE_NS = 7 * 86_400 * 1_000_000_000


def summary(bank: Bank, slot: int) -> tuple[float, ...]:
    found = reports.summary(bank, slot)
    assert found is not None
    return found


def judge(bank: Bank, slot: Any, value: Any, time: Any = None) -> None:
    n = len(value)
    bank.judge(
        np.broadcast_to(np.asarray(slot, np.int32), n).copy(),
        np.asarray(value, np.float64),
        np.arange(1, n + 1, dtype=np.int64) if time is None else np.asarray(time, np.int64),
        True,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_size": 1},
        {"min_samples": 1},
        {"min_samples": 1001},
        {"capacity": 0},
        {"capacity": -1},
        {"capacity": 2**31},
        {"voters": [15] * 7},
        {"idle_ns": 0},
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Bank(**{"voters": VOTERS, **wrong})


@pytest.mark.parametrize("slot", [-1, 3, 1023, 1024, 2**31 - 1, -(2**31)])
def test_a_slot_without_a_series_is_refused_before_anything_is_judged(slot: int) -> None:
    bank = Bank(voters=VOTERS)
    for _ in range(3):
        bank.open()
    with pytest.raises(IndexError, match="no series"):
        judge(bank, [0, slot], [1.0, 2.0])
    assert reports.summary(bank, 0) is None
    for read in (reports.summary, reports.samples, reports.last_of):
        with pytest.raises(IndexError):
            read(bank, slot)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_before_anything_is_judged(value: float) -> None:
    bank = Bank(voters=VOTERS)
    bank.open()
    with pytest.raises(ValueError, match="finite"):
        judge(bank, 0, [1.0, value])
    assert reports.summary(bank, 0) is None


def test_columns_of_different_lengths_are_refused() -> None:
    bank = Bank(voters=VOTERS)
    bank.open()
    slot, value, time = np.zeros(2, np.int32), np.ones(2), np.ones(2, np.int64)
    for wrong in ((slot[:1], value, time), (slot, value[:1], time), (slot, value, time[:1])):
        with pytest.raises(ValueError, match="one length"):
            bank.judge(*wrong)


def test_an_empty_batch_forgets_the_last_one() -> None:
    bank = Bank(voters=VOTERS)
    bank.open()
    judge(bank, 0, [1.0] * 20 + [9.0])
    assert len(reports.votes(bank)[0])
    judge(bank, 0, [])
    assert not len(reports.votes(bank)[0])
    assert len(reports.verdicts(bank)["sample"]) == 0


def test_a_full_bank_says_so() -> None:
    bank = Bank(voters=VOTERS, capacity=2)
    assert [bank.open(), bank.open()] == [0, 1]
    with pytest.raises(OverflowError, match="2 series"):
        bank.open()
    assert bank.live == 2
    for metric in (-1, 8):
        with pytest.raises(ValueError, match="metric"):
            bank.open(0, metric)


def test_bytes_are_those_of_the_windows_and_less_than_300_beside_them() -> None:
    bank = Bank(voters=VOTERS, capacity=10_000)
    assert bank.nbytes == 0
    for _ in range(1024):
        bank.open()
    empty = bank.nbytes
    assert 0 < empty <= 1024 * 300
    judge(bank, 5, np.arange(10.0))
    assert bank.nbytes == empty + 10 * 16
    judge(bank, 5, np.arange(1.0))
    assert bank.nbytes == empty + 20 * 16
    judge(bank, 5, np.arange(5000.0))
    assert bank.nbytes == empty + 1000 * 16


def test_a_series_that_was_idle_starts_again_empty() -> None:
    bank = Bank(voters=VOTERS, window_size=20, idle_ns=IDLE_NS)
    bank.open()
    judge(bank, 0, np.arange(30.0))
    judge(bank, 0, [5.0], [30 + IDLE_NS])
    assert summary(bank, 0)[0] == 20, "not yet longer than idle_ns"
    judge(bank, 0, [7.0, 8.0], [31 + 2 * IDLE_NS, 32 + 2 * IDLE_NS])
    assert summary(bank, 0)[:5] == pytest.approx((2, 7.5, math.sqrt(0.5), 7.25, 7.5))


EXTREMES = [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -5e-324, 0.0, -0.0, 1.0, -1.0,
            1e100, 1e-100, 1e154, 1e-154, 2.0**53, 0.1]  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_no_finite_input_makes_anything_non_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bank = Bank(voters=VOTERS, window_size=int(rng.integers(2, 40)), min_samples=2)
    series = [bank.open(0, metric) for metric in range(8)]
    for _ in range(40):
        n = int(rng.integers(1, 60))
        some = rng.choice(EXTREMES, int(rng.integers(1, 5)))
        judge(bank, rng.choice(series, n), rng.choice(some, n))
        found = reports.verdicts(bank)
        for name in ("value", "mean", "stddev", "q1", "median", "q3", "spread"):
            assert np.isfinite(found[name]).all(), (seed, name)
        for name in ("zscore", "iqr", "mad", "cusum"):
            assert not np.isinf(found[name]).any(), (seed, name)
        *_, fired = reports.votes(bank)
        assert not np.isinf(fired).any(), (seed, fired)
        assert np.isfinite(fired[:, [0, 2, 3, 5, 6, 7]]).all(), (seed, fired)
        for slot in series:
            numbers = reports.summary(bank, slot)
            assert numbers is None or all(map(math.isfinite, numbers)), (seed, numbers)


def test_series_in_one_batch_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(4)
    together = Bank(voters=VOTERS, window_size=50)
    alone = [Bank(voters=VOTERS, window_size=50) for _ in range(2100)]
    slot = rng.integers(0, 2100, 60_000).astype(np.int32)
    value = rng.lognormal(5, 1, len(slot))
    for bank in alone:
        assert bank.open() == 0
        together.open()
    judge(together, slot, value)
    for series in (0, 1, 1023, 1024, 2047, 2048, 2099):
        at = np.flatnonzero(slot == series)
        judge(alone[series], 0, value[at], at + 1)
        assert reports.summary(together, series) == reports.summary(alone[series], 0)
        rows = reports.verdicts(together)["slot"] == series
        for name in ("votes", "zscore", "iqr", "mad", "cusum", "n"):
            got = reports.verdicts(together)[name][rows]
            assert (got == reports.verdicts(alone[series])[name]).all()
    samples = reports.verdicts(together)["sample"]
    assert (np.diff(samples) > 0).all(), "verdicts come back in the order of the samples"
