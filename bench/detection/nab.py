"""The Numenta Anomaly Benchmark: its corpus as arrays, and its standard profile, threshold given.

Lavin and Ahmad (2015), Evaluating Real-Time Anomaly Detection Algorithms.  A window that is found
earns up to 1, the more the earlier; one that is missed costs 1; a row outside of any costs up to
0.11.  0 is a detector that says nothing, 100 one that finds each window at its first row.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FALSE_COST = 0.11
PROBATION_SHARE, PROBATION_MOST = 0.15, 750
"""The first rows of a file are not scored."""


@dataclass
class File:
    """One series, and the windows in which something is wrong: first and last row of each."""

    name: str
    values: NDArray[np.float64]
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """How many rows are not scored."""
        return min(int(PROBATION_SHARE * len(self.values)), PROBATION_MOST)


def read(archive: Path) -> Iterator[File]:
    """Yield the files of an archive that holds data/**.csv and combined_windows.json."""
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar.getmembers() if member.isfile()}

        def text(name: str) -> str:
            file = tar.extractfile(members[name])
            assert file is not None, name
            return file.read().decode()

        labels = json.loads(text(next(n for n in members if n.endswith("combined_windows.json"))))
        for name in sorted(members):
            if not name.endswith(".csv"):
                continue
            rows = [line.split(",") for line in text(name).splitlines()[1:]]
            row_of = {row[0]: at for at, row in reversed(list(enumerate(rows)))}
            known = labels.get(name.partition("data/")[2], [])
            windows = [(row_of[a.partition(".")[0]], row_of[b.partition(".")[0]]) for a, b in known]
            yield File(name, np.array([float(row[1]) for row in rows]), windows)


def _sigmoid(x: float) -> float:
    return 2 / (1 + float(np.exp(5 * x))) - 1


@dataclass
class Tally:
    """What a detector earned over the files so far."""

    earned: float = 0.0
    windows: int = 0
    scored: int = 0
    found: int = 0
    false_rows: int = 0
    rows: int = 0

    def count(self, file: File, alarms: NDArray[np.int64]) -> None:
        """Count the rows of one file at which a detector alarmed, ascending."""
        left = alarms[alarms >= file.probation]
        self.rows += len(file.values) - file.probation
        self.windows += len(file.windows)
        for first, last in file.windows:
            inside = left[(left >= first) & (left <= last)]
            self.scored += last >= file.probation
            if len(inside):
                place = -(last - int(inside[0]) + 1) / (last - first + 1)
                self.earned += _sigmoid(place) / _sigmoid(-1)
                self.found += 1
            elif last >= file.probation:
                self.earned -= 1
            left = left[(left < first) | (left > last)]
        self.false_rows += len(left)
        for row in left.tolist():
            before = [window for window in file.windows if window[1] < row]
            place = (row - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else 9.0
            self.earned += FALSE_COST * (_sigmoid(place) if place <= 3 else -1)

    @property
    def score(self) -> float:
        """The score, normalised: 0 for silence, 100 for perfection."""
        return 100 * (self.earned + self.scored) / (self.windows + self.scored)

    @property
    def told(self) -> str:
        """Return what stands beside the score in the table."""
        false = 1e4 * self.false_rows / self.rows
        return f"{self.found} of {self.windows} windows, {false:.1f} false rows in 10,000"
