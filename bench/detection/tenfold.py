"""The same services with ten times the calls: are there ten times the alerts?

    python bench/detection/tenfold.py [SEED ...]

Six services with two models each, two days, nothing wrong: rates that wander in one of several
ways and follow the day, latencies under a load that wanders.  Both runs share these; only how many
calls come differs.  Default allowance.  Prints a table of the alerts of all seeds, those of the
second day apart: what a service does by itself is learned on the first.
"""

import sys
from collections.abc import Callable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sentinel.engine import Partition, Rules
from sentinel.model.batch import Batch, Key
from sentinel.model.event import Event
from sentinel.model.instant import instant
from sentinel.model.metric import METRICS

HOURS = 48
SERVICES = 6
MODELS = 2
STEP = 60
"""Seconds in which rate and load stay."""
CALLS_A_SECOND = 0.05
START = 1_767_225_600
FACTORS = (1, 10)
SECONDS = HOURS * 3600
STEPS = SECONDS // STEP
DAYS = 2

Reals = NDArray[np.float64]


class Events(Sequence[Event]):
    """Events of which only id, service and time are known, made when asked for."""

    def __init__(self, time: NDArray[np.int64]) -> None:
        self._time = time

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self._time)

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> list[Event]: ...
    def __getitem__(self, at: int | slice) -> Event | list[Event]:
        """Return one call."""
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        when = instant(int(self._time[at]))
        return Event(service_name="s", event_id=f"call-{at}", timestamp=when)


def wandering(rng: np.random.Generator, alike: float, size: float) -> Reals:
    """Return an AR(1) of standard deviation `size`, one value a step."""
    noise = rng.normal(size=STEPS) * np.sqrt(1 - alike * alike)
    found = np.zeros(STEPS)
    for i in range(1, STEPS):
        found[i] = alike * found[i - 1] + noise[i]
    return size * found


def day(depth: float) -> Reals:
    """Return the logarithm of a rate that follows the day."""
    return np.asarray(np.log(1 + depth * np.sin(2 * np.pi * np.arange(STEPS) * STEP / 86_400)))


def bursts(rng: np.random.Generator) -> Reals:
    """Return that of one that for some minutes of most hours is two or three times as high."""
    found = np.zeros(STEPS)
    for start in np.flatnonzero(rng.random(STEPS) < STEP / 3600):
        length = max(1, int(rng.exponential(5)))
        found[start : start + length] += np.log(1 + rng.exponential(1.5))
    return found


WANDERS: dict[str, Callable[[np.random.Generator], Reals]] = {
    "none, over a day": lambda _: day(0.5),
    "AR(1) .9 a minute, sd .3": lambda rng: day(0.5) + wandering(rng, 0.9, 0.3),
    "AR(1) .5, sd .5": lambda rng: day(0.5) + wandering(rng, 0.5, 0.5),
    "AR(1) .99, sd .4": lambda rng: day(0.5) + wandering(rng, 0.99, 0.4),
    "AR(1) .5 and .99, sd .25": (
        lambda rng: day(0.5) + wandering(rng, 0.5, 0.25) + wandering(rng, 0.99, 0.25)
    ),
    "AR(1) .98, sd .15, over a deep day": lambda rng: day(0.9) + wandering(rng, 0.98, 0.15),
    "bursts of minutes": lambda rng: day(0.5) + bursts(rng),
}


def calls(wander: str, seed: int, factor: int) -> Batch:
    """Return two days of calls, in order of time."""
    rng = np.random.default_rng(seed)
    keys = [
        Key("default", "default", f"service-{s}", f"model-{m}")
        for s in range(SERVICES)
        for m in range(MODELS)
    ]
    second, key, load = [], [], []
    for number in range(len(keys)):
        shared = np.random.default_rng([seed, number])
        rate = CALLS_A_SECOND * factor * np.exp(WANDERS[wander](shared))
        slow = wandering(shared, 0.98, 0.08)
        step = np.repeat(np.arange(len(rate)), rng.poisson(rate * STEP))
        second.append((step + rng.random(len(step))) * STEP)
        load.append(slow[step])
        key.append(np.full(len(step), number, np.int32))
    when = np.concatenate(second)
    order = np.argsort(when, kind="stable")
    time = START * 10**9 + (when[order] * 1e6).astype(np.int64) * 1_000
    n = len(time)
    prompt, answer = np.round(np.exp(rng.normal((6.5, 5.0), (0.6, 0.7), (n, 2)))).T
    noise = rng.normal(0, 0.25, n) + np.concatenate(load)[order]
    values = np.full((n, len(METRICS)), np.nan)
    values[:, METRICS.index("latency_ms")] = (300 + 0.2 * prompt + 12 * answer) * np.exp(noise)
    values[:, METRICS.index("prompt_tokens")] = prompt
    values[:, METRICS.index("completion_tokens")] = answer
    values[:, METRICS.index("cost_usd")] = (2.5 * prompt + 10 * answer) / 1e6
    values[:, METRICS.index("error")] = rng.random(n) < 0.005
    return Batch(
        events=Events(time),
        keys=keys,
        key=np.concatenate(key)[order],
        time=time,
        received=time,
        values=values,
        id_high=np.zeros(n, np.uint64),
        id_low=np.arange(1, n + 1, dtype=np.uint64),
        offset=np.arange(n),
        index=np.zeros(n, np.int32),
        over_limit=np.zeros(n, np.uint8),
        finish=(rng.random(n) < 0.03).astype(np.uint8),
        user=rng.integers(1, 400, n).astype(np.uint32),
        session=np.zeros(n, np.uint32),
    )


def alerts(wander: str, seed: int, factor: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return by day how many incidents of rates opened, and of anything."""
    rates, all_of_them = np.zeros(DAYS, np.int64), np.zeros(DAYS, np.int64)
    batch = calls(wander, seed, factor)
    for event in Partition(Rules(), "tenfold").judge(batch).incident_events:
        if event.kind == "open":
            of = int(event.incident.timestamp.timestamp() - START) // 86_400
            all_of_them[min(of, DAYS - 1)] += 1
            rates[min(of, DAYS - 1)] += event.incident.detector == "evidence.rate"
    return rates, all_of_them


def main() -> None:
    """Print the alerts of each wander and factor."""
    seeds = [int(seed) for seed in sys.argv[1:]] or [1, 2, 3]
    print("| rate wanders | of rates, x1 | x10 | second day, x1 | x10 | all, x1 | x10 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    total = np.zeros(6, np.int64)
    for wander in WANDERS:
        row = np.zeros(6, np.int64)
        for place, factor in enumerate(FACTORS):
            for seed in seeds:
                rates, all_of_them = alerts(wander, seed, factor)
                row[place::2] += [rates.sum(), rates[-1], all_of_them.sum()]
        total += row
        print(f"| {wander} | " + " | ".join(map(str, row)) + " |", flush=True)
    print("| together | " + " | ".join(map(str, total)) + " |")


if __name__ == "__main__":
    main()
