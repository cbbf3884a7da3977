"""Readers of summaries while another thread judges."""

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from sentinel._core import reports
from sentinel._core.bank import Bank

SIZE = 4
SERIES = 2_000
BATCHES = 600
READS_LEAST = 50_000
SHAPE = np.array([1.0, 2.0, 4.0, 9.0])


@pytest.fixture
def _quick_turns() -> Iterator[None]:
    """Let threads take turns often: the judging one asks for its lock after each batch."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(usual)


def numbers_of(bank: Bank, slot: int) -> tuple[float, ...]:
    found = reports.summary(bank, slot)
    assert found is not None
    return found


class Reader(threading.Thread):
    """Reads summaries one after the other, and keeps those that are of two moments."""

    def __init__(self, bank: Bank, of_one: tuple[float, ...]) -> None:
        super().__init__()
        self.bank, self.of_one = bank, of_one
        self.done = threading.Event()
        self.reads = 0
        self.torn: list[tuple[float, ...]] = []
        self.levels: set[float] = set()

    def run(self) -> None:
        n, *of_one = self.of_one
        while not self.done.is_set():
            for slot in range(SERIES):
                found = numbers_of(self.bank, slot)
                level = found[1] / of_one[0]
                # Levels are powers of two, so every number is exactly so many times as large.
                if found[0] != n or any(
                    got != level * one for got, one in zip(found[1:], of_one, strict=True)
                ):
                    self.torn.append(found)
                self.levels.add(level)
                self.reads += 1


@pytest.mark.usefixtures("_quick_turns")
def test_a_reader_sees_nine_numbers_of_one_moment() -> None:
    """Each batch fills every window with 1, 2, 4 and 9 times a level, told by any of the nine."""
    bank = Bank(voters=[15] * 8, window_size=SIZE, min_samples=2)
    slot = np.repeat(np.array([bank.open() for _ in range(SERIES)], np.int32), SIZE)
    clock = np.ones(len(slot), np.int64)
    bank.judge(slot, np.tile(SHAPE, SERIES), clock)
    of_one = numbers_of(bank, 0)
    assert all(of_one)
    reader = Reader(bank, of_one)
    reader.start()
    during = 0
    for batch in range(100 * BATCHES):
        before = reader.reads
        bank.judge(slot, np.tile(SHAPE * 2.0 ** (batch % 200), SERIES), clock)
        during += reader.reads - before
        if batch >= BATCHES and during >= READS_LEAST:
            break
    reader.done.set()
    reader.join(30)
    assert not reader.is_alive()
    assert reader.torn == []
    assert during >= READS_LEAST
    assert len(reader.levels) > 20


def test_readers_of_a_slot_that_nobody_fills_see_none() -> None:
    bank = Bank(voters=[15] * 8)
    assert reports.summary(bank, bank.open()) is None
