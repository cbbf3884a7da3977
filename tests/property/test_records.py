"""Series records: a stream goes on from them as if nothing had happened, and torn ones are told."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oracle.baseline import Reals, tamed
from oracle.streams import KINDS
from oracle.telemetry import scaled
from sentinel._core import records, reports
from sentinel._core.bank import Bank

KEY = ("default", "prod", "chat-äpi", "gpt-4")
SECOND_NS = 1_000_000_000
IDLE_NS = 7_200 * SECOND_NS
LATENCY, ERROR = 0, 7
SPLITS = 3_000
Columns = tuple[NDArray[np.int32], Reals, NDArray[np.int64]]


def new_bank(size: int, series: int) -> Bank:
    """Return a bank with open, empty series, the last of them of failures."""
    bank = Bank(voters=[15] * 7 + [0], window_size=size, idle_ns=IDLE_NS)
    for number in range(series):
        bank.open(number, ERROR if number == series - 1 else LATENCY)
    return bank


def random_run(rng: np.random.Generator, n: int, series: int) -> Columns:
    """Return samples of several series in turn, with shifts, failures, silences and idle gaps."""
    slot = rng.integers(0, series, n).astype(np.int32)
    value = np.empty(n)
    for number in range(series):
        at = np.flatnonzero(slot == number)
        kind = KINDS[int(rng.integers(0, len(KINDS)))]
        value[at] = kind(rng, len(at)) if number else np.exp(rng.normal(5, 0.4, len(at)))
        if number == series - 1:
            value[at] = rng.random(len(at)) < 0.02
    start = int(rng.integers(0, n))
    shifted = np.arange(n) // 60 == start // 60
    value[shifted & (slot == 0)] *= 8
    value[shifted & (slot == series - 1)] = 1
    steps = rng.integers(1, SECOND_NS, n)
    gaps = rng.random(n) < 3 / n
    steps[gaps] = rng.choice([900 * SECOND_NS, IDLE_NS - 1, IDLE_NS + 1], gaps.sum())
    return slot, value, np.cumsum(steps) + 10**18


def judged(bank: Bank, run: Columns, start: int, stop: int) -> list[Any]:
    """Judge a part of a run; return verdicts with their places in the whole."""
    slot, value, time = run
    bank.judge(slot[start:stop], value[start:stop], time[start:stop], True)
    columns = reports.verdicts(bank)
    columns["event"] = columns["event"] + start
    columns["sample"] = columns["sample"] + start
    rows: list[Any] = [row.tobytes() for row in np.column_stack(
        [column.astype(np.float64) for column in columns.values()]
    )]  # fmt: skip
    return rows


def saved(bank: Bank, series: int) -> list[bytes]:
    return [records.save(bank, slot, KEY, 77) for slot in range(series)]


def test_a_stream_goes_on_from_its_records_bit_for_bit() -> None:
    verdicts = 0
    for seed in range(scaled(SPLITS)):
        rng = np.random.default_rng(seed)
        series = int(rng.integers(2, 5))
        size = int(rng.choice([10, 11, 64, 100, 128, 300]))
        n = int(rng.integers(2, 900 if seed % 3 == 0 else 120))
        run = random_run(rng, n, series)
        cut = int(rng.integers(0, n + 1))
        whole = new_bank(size, series)
        first = judged(whole, run, 0, cut)
        kept = saved(whole, series)
        want = judged(whole, run, cut, n)
        fresh = new_bank(size, series)
        for slot, record in enumerate(kept):
            assert records.read(record)[1:3] == (ERROR if slot == series - 1 else LATENCY, 77)
            assert records.load(fresh, slot, record) == 77
        assert saved(fresh, series) == kept, f"seed {seed}"
        assert judged(fresh, run, cut, n) == want, f"seed {seed}, cut {cut}"
        for slot in range(series):
            assert reports.summary(fresh, slot) == reports.summary(whole, slot)
            assert (reports.samples(fresh, slot) == reports.samples(whole, slot)).all()
        assert saved(fresh, series) == saved(whole, series), f"seed {seed}, cut {cut}"
        once = new_bank(size, series)
        joined = judged(once, run, 0, n)
        assert sorted(map(str, joined)) == sorted(map(str, first + want)), f"seed {seed}"
        verdicts += len(joined)
    assert verdicts > 10 * scaled(SPLITS)


def test_another_window_size_keeps_the_newest_samples_that_fit() -> None:
    for seed in range(scaled(400)):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(0, 400))
        run = random_run(rng, max(n, 1), 2)
        value = run[1][run[0] == 0]
        before, after = (int(size) for size in rng.integers(10, 200, 2))
        old = new_bank(before, 2)
        judged(old, run, 0, n)
        held = reports.samples(old, 0)
        new = new_bank(after, 2)
        records.load(new, 0, records.save(old, 0, KEY, 0))
        found = reports.samples(new, 0)
        assert (found == held[-after:]).all(), f"seed {seed}"
        assert len(found) == min(len(held), after)
        # It goes on as a window of the new size does.
        more = np.append(value, [1.0, 2.0] * after)[: after + 5]
        time = run[2][-1] + np.arange(len(more), dtype=np.int64)
        new.judge(np.zeros(len(more), np.int32), more, time)
        want = np.concatenate([held[-after:], tamed(more)])[-after:]
        assert (reports.samples(new, 0) == want).all(), f"seed {seed}"
        summary = reports.summary(new, 0)
        assert summary is not None
        assert abs(summary[1] - want.mean()) <= 1e-9 * np.abs(want).max()


def test_a_record_names_its_series() -> None:
    bank = new_bank(20, 2)
    judged(bank, random_run(np.random.default_rng(1), 30, 2), 0, 30)
    record = records.save(bank, 1, KEY, 5)
    assert records.read(record) == (KEY, ERROR, 5, len(reports.samples(bank, 1)))
    with pytest.raises(records.BadRecord, match="metric"):
        records.load(new_bank(20, 2), 0, record)


def refused(record: bytes) -> None:
    """Assert that a record is refused both ways, and leaves the series as it was."""
    bank = new_bank(20, 2)
    with pytest.raises(records.BadRecord):
        records.read(record)
    with pytest.raises(records.BadRecord):
        records.load(bank, 0, record)
    assert reports.summary(bank, 0) is None


@pytest.mark.parametrize("n", [0, 12, 60])
def test_a_record_cut_anywhere_or_with_any_byte_changed_is_refused(n: int) -> None:
    rng = np.random.default_rng(n)
    bank = new_bank(20, 2)
    if n:
        judged(bank, random_run(rng, n, 2), 0, n)
    record = records.save(bank, 0, KEY, 9)
    for cut in range(len(record)):
        refused(record[:cut])
    for place in range(len(record)):
        for flip in (0x01, 0x80, 0xFF, int(rng.integers(1, 256))):
            changed = bytearray(record)
            changed[place] ^= flip
            refused(bytes(changed))
    for more in (b"\0", b"\0" * 8, record):
        refused(record + more)


def test_noise_is_no_record() -> None:
    rng = np.random.default_rng(3)
    for _ in range(scaled(2_000)):
        refused(rng.bytes(int(rng.integers(0, 400))))
        refused(b"SNTS\2\0\0\0" + rng.bytes(int(rng.integers(0, 400))))


def test_only_an_open_empty_series_takes_a_record() -> None:
    bank = new_bank(20, 2)
    record = records.save(bank, 0, KEY, 9)
    bank.judge(np.zeros(1, np.int32), np.ones(1), np.ones(1, np.int64))
    for slot in (0, 2, -1, 2**31 - 1):
        with pytest.raises(IndexError):
            records.load(bank, slot, record)
    for slot in (2, -1):
        with pytest.raises(IndexError):
            records.save(bank, slot, KEY, 9)
