"""Novelty on the Numenta Anomaly Benchmark, at the threshold that everybody gets.

SENTINEL_EVAL names a folder that holds `nab_data.tar.gz`, the corpus or a part of it; it is not
ours to hand on.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detection.nab import File, Tally, read
from sentinel.engine.plain import PlainSeries
from sentinel.engine.rules import Rules
from yardstick import Table, gates

GATES = gates("detection")
CUT = 0.6


@pytest.fixture(scope="module")
def files() -> list[File]:
    folder = os.environ.get("SENTINEL_EVAL")
    if not folder:
        pytest.skip("SENTINEL_EVAL names no folder with the corpus")
    archive = next(Path(folder).rglob("nab_data.tar.gz"), None)
    if archive is None:
        pytest.skip(f"SENTINEL_EVAL={folder} holds no nab_data.tar.gz")
    return list(read(archive))


def scores_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return PlainSeries(Rules()).score(values)


def test_the_fixed_threshold_earns_what_it_earned(files: list[File], table: Table) -> None:
    tally = Tally()
    for file in files:
        tally.count(file, np.flatnonzero(scores_of(file.values) >= 1))
    table.hold(GATES["nab_standard"], tally.score, tally.told)


def test_an_alarm_clock_earns_little(files: list[File], table: Table) -> None:
    tally = Tally()
    for file in files:
        tally.count(file, np.arange(0, len(file.values), 600))
    table.note("an alarm every 600 rows, unread", tally.score, tally.told)
    assert tally.score < 30


def test_what_comes_later_changes_no_score(files: list[File]) -> None:
    for file in files:
        part = file.values[: int(CUT * len(file.values))]
        assert scores_of(part).tobytes() == scores_of(file.values)[: len(part)].tobytes()
