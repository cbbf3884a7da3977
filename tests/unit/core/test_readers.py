"""Readers of summaries while another thread judges."""

import threading

import numpy as np

from sentinel._core import reports
from sentinel._core.bank import Bank

SIZE = 64
LEVELS = 400
READS_LEAST = 2_000


def test_a_reader_sees_nine_numbers_of_one_moment_or_none() -> None:
    """Each batch fills the window with k, 2k, ..., 64k: all nine numbers are k times a constant."""
    bank = Bank(voters=[15] * 8, window_size=SIZE)
    slots = [bank.open(number) for number in range(4)]
    shape = np.arange(1.0, SIZE + 1)
    once = Bank(voters=[15] * 8, window_size=SIZE)
    once.open()
    once.judge(np.zeros(SIZE, np.int32), shape, np.ones(SIZE, np.int64))
    first = reports.summary(once, 0)
    assert first is not None
    of_one = np.array(first[1:])
    assert of_one[4] > 0
    reading, done = threading.Event(), threading.Event()
    torn: list[tuple[float, ...]] = []
    seen: set[float] = set()
    reads = 0

    def read() -> None:
        nonlocal reads
        while not done.is_set():
            for slot in slots:
                numbers = reports.summary(bank, slot)
                if numbers is None:
                    continue
                level = numbers[4] / of_one[3]
                seen.add(level)
                if numbers[0] != SIZE or not np.allclose(
                    numbers[1:], level * of_one, rtol=1e-9, atol=0
                ):
                    torn.append(numbers)
                reads += 1
                reading.set()

    slot = np.repeat(np.array(slots, np.int32), SIZE * 60)
    bank.judge(
        np.array(slots, np.int32).repeat(SIZE), np.tile(shape, 4), np.ones(4 * SIZE, np.int64)
    )
    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(30)
    during = 0
    level = 1
    while level < LEVELS or during < READS_LEAST:
        level += 1
        # The batch is long and only its last 64 samples of a series remain: a power of two a level.
        value = np.tile(shape * 2.0 ** (level % 200), 4 * 60)
        before = reads
        bank.judge(slot, value, np.ones(len(slot), np.int64))
        during += reads - before
        assert level < 100 * LEVELS, "the reader is starved"
    done.set()
    reader.join(30)
    assert not reader.is_alive()
    assert torn == []
    assert during >= READS_LEAST
    assert len(seen) > 20


def test_readers_of_a_slot_that_nobody_fills_see_none() -> None:
    bank = Bank(voters=[15] * 8)
    assert reports.summary(bank, bank.open()) is None
