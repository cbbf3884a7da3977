"""How the benchmarks measure: thread CPU time, rivals taking turns, gates read from gates.toml.

A machine that is shared is slower at some moments than at others, and never for one rival alone
when they take turns; so a gate is the median of the ratios of neighbours in time.
"""

import gc
import statistics
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

GATES = Path(__file__).with_name("gates.toml")


@dataclass(frozen=True)
class Gate:
    """A number that a measurement is held to."""

    name: str
    unit: str
    reason: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"gate {self.name}: expected either at_most or at_least")

    def passes(self, measured: float) -> bool:
        """Say whether a measurement is good enough."""
        if self.at_most is not None:
            return measured <= self.at_most
        return self.at_least is not None and measured >= self.at_least

    @property
    def bound(self) -> str:
        """The limit, as the table shows it."""
        return f"<= {self.at_most:,g}" if self.at_most is not None else f">= {self.at_least:,g}"


def gates(room: str) -> dict[str, Gate]:
    """Return the gates of one room of the bench, by name."""
    with GATES.open("rb") as file:
        return {name: Gate(name, **found) for name, found in tomllib.load(file)[room].items()}


@dataclass
class Ratio:
    """Rivals that took turns: seconds a sample of each, and the ratio of each pair."""

    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of first / second over neighbours in time."""
        return statistics.median(a / b for a, b in zip(self.first, self.second, strict=True))

    @property
    def least(self) -> float:
        """The least of first / second: for what waits for memory that neighbours use, too."""
        return min(a / b for a, b in zip(self.first, self.second, strict=True))

    def note(self, first: str, second: str) -> str:
        """Return both times, as the table shows them."""
        ours, theirs = (1e9 * min(times) for times in (self.first, self.second))
        return f"{first} {ours:,.0f} ns, {second} {theirs:,.0f} ns a sample (least)"


def seconds(run: Callable[[], object]) -> float:
    """Return the CPU time of this thread that one run takes."""
    start = time.thread_time()
    run()
    return time.thread_time() - start


def taking_turns(
    first: Callable[[], object],
    second: Callable[[], object],
    samples: tuple[int, int],
    repeats: int = 9,
) -> Ratio:
    """Measure two rivals, one after the other, `repeats` times, after one turn that does not count.

    `samples`: how many samples one run of each takes.
    """
    ratio = Ratio()
    collecting = gc.isenabled()
    gc.disable()
    try:
        first(), second()
        for _ in range(repeats):
            ratio.first.append(seconds(first) / samples[0])
            ratio.second.append(seconds(second) / samples[1])
    finally:
        if collecting:
            gc.enable()
    return ratio


@dataclass
class Table:
    """What was measured in this run."""

    rows: list[tuple[str, float, str, bool | None]] = field(default_factory=list)

    def hold(self, gate: Gate, measured: float, note: str = "") -> None:
        """Note a measurement, and fail where its gate is missed."""
        passed = gate.passes(measured)
        self.rows.append((f"{gate.name} ({gate.bound})", measured, note or gate.unit, passed))
        reason = " ".join(gate.reason.split())
        assert passed, f"{gate.name}: {measured:,.4g} {gate.unit}, expected {gate.bound}. {reason}"

    def note(self, name: str, measured: float, note: str) -> None:
        """Note a measurement that no gate holds."""
        self.rows.append((name, measured, note, None))

    def lines(self) -> list[str]:
        """Return the table."""
        marks = {True: "ok", False: "MISSED", None: ""}
        width = max(len(row[0]) for row in self.rows)
        return [
            f"{marks[passed]:6} {name:{width}} {measured:12,.4g}  {note}"
            for name, measured, note, passed in self.rows
        ]
