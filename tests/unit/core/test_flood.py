"""New names by the thousand: each costs the same, however many came before."""

import time

import numpy as np

from sentinel._core.partition import Partition
from sentinel.engine import Rules

HOUR = 3600 * 1_000_000_000
NAMES = 1000
RATIO = 4.0
"""Measured at 1.1; looking through all names for each new one was 10 after 10,000 of them."""


def partition() -> Partition:
    rules = Rules()
    return Partition(
        max_series=200_000,
        window_size=rules.window_size,
        min_samples=rules.min_samples,
        laws=rules.laws(),
        **rules.for_core(),
    )


def seconds_for(core: Partition, round_: int) -> float:
    """Return the CPU time of one call each of names that nobody has seen."""
    first = round_ * NAMES
    keys = [("default", "default", f"name-{first + n}", "m") for n in range(NAMES)]
    values = np.full((NAMES, 8), np.nan)
    values[:, 0] = 900.0
    at = np.full(NAMES, HOUR + round_ * 1_000_000, np.int64)
    ids = np.arange(first, first + NAMES, dtype=np.uint64)
    nobody = np.zeros(NAMES, np.uint32)
    columns = (keys, np.arange(NAMES, dtype=np.int32), at, at, values, ids, ids)
    place = (np.arange(first, first + NAMES), np.zeros(NAMES, np.int32))
    began = time.thread_time()
    core.judge(*columns, *place, np.zeros(NAMES, np.uint8), nobody, nobody)
    return time.thread_time() - began


def test_the_ten_thousandth_name_costs_what_the_first_did() -> None:
    core = partition()
    took = [seconds_for(core, round_) for round_ in range(13)]
    assert min(took[10:]) <= RATIO * min(took[:3])
