"""What the core takes of memory, and how exact it is: numbers that no busy machine changes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oracle.adversarial import SIZE, USUAL, adversarial, worst_error
from oracle.baseline import Reals, baselines, tamed
from sentinel._core import reports
from sentinel._core.bank import Bank
from yardstick import Table, gates

GATES = gates("core")
MEMORY = Path(__file__).with_name("memory.py")
LEAST = 10


def bytes_a_series(*arguments: object) -> float:
    """Return what memory.py measures, in a process of its own."""
    command = [sys.executable, str(MEMORY), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return float(done.stdout)


@pytest.mark.parametrize(
    ("gate", "series", "samples"),
    [("bytes_full_series", 20_000, 1_000), ("bytes_short_series", 100_000, 10)],
)
def test_a_series_takes_little_more_than_its_samples(
    gate: str, series: int, samples: int, table: Table
) -> None:
    for metrics in (8, 1) if samples < 1_000 else (8,):
        measured = bytes_a_series("partition", series, samples, metrics)
        named = f"{samples:,} samples in a partition"
        table.note(named, measured, f"bytes a series with keys, {metrics} metrics a key")
    table.hold(GATES[gate], bytes_a_series("bank", series, samples, 1))


def of_core(x: Reals) -> Reals:
    """Return the core's standard deviation before each judged sample."""
    bank = Bank(voters=[15] * 8, window_size=SIZE, min_samples=LEAST)
    slot = np.full(len(x), bank.open(), np.int32)
    bank.judge(slot, x, np.ones(len(x), np.int64), True)
    return np.asarray(reports.verdicts(bank)["stddev"])


def test_the_standard_deviation_is_exact_where_the_usual_ways_are_not(table: Table) -> None:
    streams = adversarial(np.random.default_rng(20_240_502))
    worst = 0.0
    for name, x in streams.items():
        exact = baselines(tamed(x), SIZE).stddev[LEAST:-1]
        error = worst_error(of_core(x), exact)
        worst = max(worst, error)
        usual = [
            f"{way} {worst_error(np.array(list(slide(tamed(x), SIZE)))[LEAST:], exact):.0e}"
            for way, slide in USUAL.items()
        ]
        table.note(f"sd error: {name}", error, "; ".join(usual))
    table.hold(GATES["deviation_error"], worst)
