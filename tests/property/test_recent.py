"""Recent event ids against a dict and a deque."""

from collections import deque

import numpy as np
import pytest

from oracle.telemetry import scaled
from sentinel._core.recent import RecentIds

ENTRY_BYTES = 40


class SlowRecentIds:
    """The same, obvious: ids with the position that first brought them, in order of arrival."""

    def __init__(self, limit: int, keep_ns: int) -> None:
        self.limit, self.keep_ns = limit, keep_ns
        self.known: dict[tuple[int, int], tuple[int, int]] = {}
        self.order: deque[tuple[tuple[int, int], int]] = deque()

    def add(self, high: int, low: int, clock: int, offset: int, index: int) -> bool:
        while self.order and clock - self.order[0][1] > self.keep_ns:
            del self.known[self.order.popleft()[0]]
        if (high, low) in self.known:
            return self.known[high, low] < (offset, index)
        if len(self.known) == self.limit:
            del self.known[self.order.popleft()[0]]
        self.known[high, low] = (offset, index)
        self.order.append(((high, low), clock))
        return False


@pytest.mark.parametrize("seed", range(scaled(40)))
def test_ids_are_remembered_up_to_their_limit_and_age(seed: int) -> None:
    rng = np.random.default_rng(seed)
    limit = int(rng.choice([1, 2, 7, 100, 1023, 1024, 1025, 3000, 10_000]))
    keep_ns = int(rng.choice([0, 10, 1000, 10**9]))
    core, slow = RecentIds(limit, keep_ns), SlowRecentIds(limit, keep_ns)
    pool = int(limit * rng.uniform(0.5, 3)) + 1
    clock = 0
    repeats = 0
    for step in range(6_000):
        clock += int(rng.integers(0, 3)) if rng.random() < 0.999 else keep_ns
        # Ids that count up by one, that differ in their high half only, and the largest.
        low = int(rng.integers(0, pool))
        high, low = ((0, low), (low, 0), (2**64 - 1, 2**64 - 1 - low))[step % 3]
        offset = step if rng.random() < 0.9 else int(rng.integers(0, step + 1))
        found = core.add(high, low, clock, offset, step % 4)
        assert found == slow.add(high, low, clock, offset, step % 4), f"seed {seed}, step {step}"
        assert len(core) == len(slow.known)
        repeats += found
        if step % 1_500 == 1_499:
            again = RecentIds(limit, keep_ns)
            again.load(core.save())
            assert again.save() == core.save()
            core = again
    if limit >= 100 and keep_ns >= 1000:
        assert repeats > 20


def test_saved_ids_lie_oldest_first_with_their_positions() -> None:
    recent = RecentIds(2)
    for step in range(3):
        recent.add(step, 10 + step, 100 + step, 1_000 + step, step)
    saved = np.frombuffer(recent.save(), "<i8").reshape(-1, ENTRY_BYTES // 8)
    assert saved.tolist() == [[1, 11, 101, 1_001, 1], [2, 12, 102, 1_002, 2]]


def test_torn_ids_are_refused() -> None:
    recent = RecentIds()
    recent.add(1, 2, 3, 4, 5)
    saved = recent.save()
    for cut in range(1, len(saved)):
        with pytest.raises(ValueError, match="whole entries"):
            RecentIds().load(saved[:cut])
    for limit in (0, -1, 2**30):
        with pytest.raises(ValueError, match="limit"):
            RecentIds(limit)
