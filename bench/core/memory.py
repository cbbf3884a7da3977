"""Prints how many bytes of resident memory a series takes, in a process of its own.

    python memory.py bank|partition SERIES SAMPLES METRICS

Samples come in random order, as they do in life: windows grow between each other, and the allocator
keeps what they leave behind.  Through a partition, the keys count, too; METRICS series share one.
"""

import os
import sys

import numpy as np

from sentinel._core.bank import Bank
from sentinel._core.partition import Partition
from sentinel.detectors.channels import LEVELS, SHARES

BATCH = 65_536
SECOND_NS = 1_000_000_000
ALL_METRICS = 8
FOREVER_NS = 10**18
LAWS = {
    "levels": LEVELS, "shares": SHARES, "off": [0] * 11, "fixed": 0.0, "allowed": 1.0, "lean": 0.0,
    "zone": [],
}  # fmt: skip


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def turns(rng: np.random.Generator, count: int, samples: int) -> np.ndarray:
    """Return who speaks: each of `count` exactly `samples` times, shuffled; rounds if many."""
    if count * samples <= 2_000_000:
        return rng.permutation(np.repeat(np.arange(count, dtype=np.int32), samples))
    each = [rng.permutation(count).astype(np.int32) for _ in range(samples)]
    return np.concatenate(each)


def bytes_of_bank(series: int, samples: int) -> float:
    """Return bytes a series of a bare bank."""
    rng = np.random.default_rng(1)
    bank = Bank(voters=[15] * ALL_METRICS, min_samples=min(samples, 1000), capacity=series + 1)
    who = turns(rng, series, samples) + 1
    value = rng.lognormal(5, 1, BATCH)
    clock = np.ones(BATCH, np.int64)
    warm = bank.open()
    for _ in range(3):
        bank.judge(np.full(BATCH, warm, np.int32), value, clock)
    before = resident_bytes()
    for _ in range(series):
        bank.open()
    for start in range(0, len(who), BATCH):
        part = np.ascontiguousarray(who[start : start + BATCH])
        bank.judge(part, value[: len(part)], clock[: len(part)])
    return (resident_bytes() - before) / series


def bytes_of_partition(series: int, samples: int, metrics: int) -> float:
    """Return bytes a series of a partition, with its share of the keys."""
    rng = np.random.default_rng(1)
    partition = Partition(
        max_series=series + 8, voters=[15] * ALL_METRICS, min_samples=min(samples, 1000),
        idle_ns=FOREVER_NS, laws=LAWS,
    )  # fmt: skip
    who = turns(rng, series // metrics, samples)
    values = np.full((BATCH, ALL_METRICS), np.nan)
    values[:, :metrics] = rng.lognormal(5, 1, (BATCH, metrics))
    high = np.zeros(BATCH, np.uint64)
    index = np.zeros(BATCH, np.int32)
    unsaid, nobody = np.full(BATCH, 2, np.uint8), np.zeros(BATCH, np.uint32)
    seen = 0
    before = 0

    def judge(names: list[tuple[str, str, str, str]], key: np.ndarray) -> None:
        nonlocal seen
        n = len(key)
        position = np.arange(seen, seen + n)
        seen += n
        # A second apart: the ids of the last ten minutes are few, and no part of a series.
        partition.judge(
            names, np.ascontiguousarray(key, np.int32), position * SECOND_NS, position * SECOND_NS,
            values[:n], high[:n], position.astype(np.uint64), position, index[:n],
            unsaid[:n], nobody[:n], nobody[:n],
        )  # fmt: skip

    for _ in range(3):
        judge([("warm", "default", "up", "m")], np.zeros(BATCH, np.int32))
    before = resident_bytes()
    for start in range(0, len(who), BATCH):
        numbers, key = np.unique(who[start : start + BATCH], return_inverse=True)
        names = [("default", "default", f"service-{i // 3}", f"model-{i % 3}") for i in numbers]
        judge(names, key)
    return (resident_bytes() - before) / series


def main() -> None:
    """Measure what the arguments ask for."""
    what, series, samples, metrics = sys.argv[1], *map(int, sys.argv[2:5])
    if what == "bank":
        print(bytes_of_bank(series, samples))
    else:
        print(bytes_of_partition(series, samples, metrics))


if __name__ == "__main__":
    main()
