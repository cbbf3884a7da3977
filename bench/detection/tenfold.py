"""The same services with ten times the calls: are there ten times the alerts?

    python bench/detection/tenfold.py [SEED ...]

Six services with two models each, two days, nothing wrong: rates that wander and follow the day,
latencies under a load that wanders.  Both runs share these; only how many calls come differs.
Default allowance.
"""

import sys
from collections.abc import Sequence
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


def wandering(rng: np.random.Generator, alike: float, size: float) -> NDArray[np.float64]:
    """Return an AR(1) of standard deviation `size`, one value a step."""
    steps = HOURS * 3600 // STEP
    noise = rng.normal(size=steps) * np.sqrt(1 - alike * alike)
    found = np.zeros(steps)
    for i in range(1, steps):
        found[i] = alike * found[i - 1] + noise[i]
    return size * found


def calls(seed: int, factor: int) -> Batch:
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
        day = 1 + 0.5 * np.sin(2 * np.pi * np.arange(HOURS * 3600 // STEP) * STEP / 86_400)
        rate = CALLS_A_SECOND * factor * day * np.exp(wandering(shared, 0.9, 0.3))
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


def main() -> None:
    """Print the alerts of each seed and factor."""
    seeds = [int(seed) for seed in sys.argv[1:]] or [1, 2, 3]
    total = dict.fromkeys(FACTORS, 0)
    for seed in seeds:
        for factor in FACTORS:
            batch = calls(seed, factor)
            happened = Partition(Rules(), "tenfold").judge(batch).incident_events
            opened = [event.incident.detector for event in happened if event.kind == "open"]
            total[factor] += len(opened)
            print(f"seed {seed}, x{factor}: {len(batch):,} calls, {len(opened)} alerts {opened}")
    print(", ".join(f"x{factor}: {count}" for factor, count in total.items()))


if __name__ == "__main__":
    main()
