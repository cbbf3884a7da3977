"""Counts what evidence opens on streams in which nothing happens, and prints a table.

    python bench/detection/stationary.py [SAMPLES]

Each stream stands for ten weeks of one service with one model, so the default allowance is that of
its own rate.  A finding that opens or stands alone counts as an alert.  Of the rate only the
service's own counts: its one model has the same calls, and would tell each a second time.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel._core.evidence import Evidence
from sentinel.detectors.channels import CHANNELS, LEVEL_TESTS, LEVELS, RATE_TESTS, SHARES

Reals = NDArray[np.float64]
Generator = np.random.Generator

WEEK_S = 604_800
WEEKS = 10
NS = 1_000_000_000
SAMPLES = 1_000_000
LONG_RUN = 1_000_000
BATCH = 65_536
FIXED = 10.0
ALLOWED = 1.0
"""False alarms a service and week, by default."""
BOUND, WANDERING_BOUND = 5.0, 10.0
"""What is allowed per 100,000 events at that threshold."""
START_S = 1_770_000_000 // 604_800 * 604_800
LATENCY, PROMPT, ANSWER, COST, ERROR = 0, 2, 3, 5, 7
OPENED, ALONE = 1, 4
KEY = ("default", "prod", "chat", "gpt-4o")
RATE_STEP_S = 120
"""A rate holds for so long: a bucket of sixteen calls where a million come in ten weeks."""
RATE_MEMORY, RATE_SPREAD = 0.8, 0.4
NATS = float(np.log(4))


def correlated(rng: Generator, n: int, memory: float) -> Reals:
    """Return an autoregression of order one with variance 1."""
    found = np.empty(n)
    steps = rng.standard_normal(n) * np.sqrt(1 - memory * memory)
    last = float(rng.standard_normal())
    for i, step in enumerate(steps.tolist()):
        last = memory * last + step
        found[i] = last
    return found


def rarely_more(rng: Generator, n: int) -> Reals:
    """Return one value, and in 2 of 1,000 samples three times as much."""
    return np.where(rng.random(n) < 0.002, 3.0, 1.0)


@dataclass(frozen=True)
class Stream:
    """One kind of stationary stream, of positive numbers about 1 unless they are counts."""

    make: Callable[[Generator, int], Reals]
    tokens: float = 200.0
    """What 1 is as a number of prompt tokens."""


def about_one(z: Reals) -> Reals:
    """Return a fifth of z about 1, as a time or a number can have it."""
    return np.maximum(1 + 0.2 * z, 0.02)


STREAMS = {
    "normal": Stream(lambda rng, n: about_one(rng.standard_normal(n))),
    "lognormal": Stream(lambda rng, n: np.exp(0.6 * rng.standard_normal(n))),
    "Pareto 2.5": Stream(lambda rng, n: 1 + np.asarray(rng.pareto(2.5, n))),
    "Poisson 3": Stream(lambda rng, n: rng.poisson(3, n).astype(np.float64), 1.0),
    "Poisson 20": Stream(lambda rng, n: rng.poisson(20, n).astype(np.float64), 1.0),
    "AR(1) .7": Stream(lambda rng, n: about_one(correlated(rng, n, 0.7))),
    "AR(1) .995": Stream(lambda rng, n: about_one(correlated(rng, n, 0.995))),
    "constant, .2 % rare": Stream(rarely_more),
}


def as_latency(_rng: Generator, x: Reals, _stream: Stream) -> Reals:
    """Latency without tokens."""
    values = nothing(len(x))
    values[:, LATENCY] = 10 + 100 * x
    return values


def as_latency_by_tokens(rng: Generator, x: Reals, _stream: Stream) -> Reals:
    """Latency that tokens explain but for the stream."""
    values = nothing(len(x))
    values[:, PROMPT] = np.floor(np.exp(6 + 0.6 * rng.standard_normal(len(x))))
    values[:, ANSWER] = np.floor(np.exp(5 + 0.5 * rng.standard_normal(len(x))))
    explained = 50 + 0.05 * values[:, PROMPT] + 8 * values[:, ANSWER]
    values[:, LATENCY] = 10 + explained * x
    return values


def as_prompt(_rng: Generator, x: Reals, stream: Stream) -> Reals:
    """Tokens of prompts."""
    values = nothing(len(x))
    values[:, PROMPT] = np.floor(stream.tokens * x)
    return values


def as_cost(_rng: Generator, x: Reals, _stream: Stream) -> Reals:
    """Cost without tokens."""
    values = nothing(len(x))
    values[:, COST] = 1e-3 * x
    return values


FORMS = {
    "latency": as_latency,
    "latency, tokens": as_latency_by_tokens,
    "prompt": as_prompt,
    "cost": as_cost,
}


def nothing(n: int) -> Reals:
    """Return the values of n calls that say nothing but that they did not fail."""
    values = np.full((n, 8), np.nan)
    values[:, ERROR] = 0
    return values


def regular(_rng: Generator, n: int, gap_s: float) -> Reals:
    """Calls at equal distances."""
    return gap_s * np.arange(n, dtype=np.float64)


def poisson(rng: Generator, n: int, gap_s: float) -> Reals:
    """Calls that know nothing of each other."""
    return np.asarray(np.cumsum(rng.exponential(gap_s, n)))


def correlated_rates(rng: Generator, n: int, gap_s: float) -> Reals:
    """Calls whose rate wanders: its logarithm is AR(.8) from bucket to bucket, deviation .4."""
    steps = int(1.3 * n * gap_s / RATE_STEP_S) + 20
    log_rate = RATE_SPREAD * correlated(rng, steps, RATE_MEMORY) - RATE_SPREAD**2 / 2
    counts = rng.poisson(RATE_STEP_S / gap_s * np.exp(log_rate))
    start = np.repeat(np.arange(steps) * float(RATE_STEP_S), counts)
    return np.asarray(np.sort(start + RATE_STEP_S * rng.random(len(start)))[:n])


ARRIVALS = {"regular": regular, "Poisson": poisson, "AR(1) .8 rates": correlated_rates}


def laws(fixed: float, lean: float) -> dict[str, Any]:
    """Return the shipped laws with one threshold, or the default allowance where it is 0."""
    return {
        "levels": LEVELS, "shares": SHARES, "off": [0] * len(CHANNELS), "fixed": fixed,
        "allowed": ALLOWED, "lean": lean, "zone": [],
    }  # fmt: skip


def alerts(values: Reals, time_s: Reals, fixed: float, lean: float = 0.0) -> Counter[str]:
    """Return how often each test opened or stood alone on a stream."""
    evidence = Evidence(lateness_ns=10 * NS, idle_ns=WEEK_S * NS, **laws(fixed, lean))
    time = ((START_S + time_s) * NS).astype(np.int64)
    found: Counter[str] = Counter()
    for start in range(0, len(time), BATCH):
        part = slice(start, start + BATCH)
        n = len(time[part])
        evidence.judge(
            [KEY], np.zeros(n, np.int32), values[part], time[part], time[part],
            np.full(n, 2, np.uint8), np.zeros(n, np.uint32), np.zeros(n, np.uint32),
        )  # fmt: skip
        for finding in evidence.findings():
            channel = CHANNELS[finding["channel"]]
            of_model = channel == "rate" and finding["key"][3] is not None
            if finding["kind"] in (OPENED, ALONE) and not of_model:
                tests = RATE_TESTS if channel == "rate" else LEVEL_TESTS
                found[f"{channel} {tests[finding['test']]}"] += 1
    return found


@dataclass
class Row:
    """What one stream raised under each rule."""

    stream: str
    form: str
    arrivals: str
    n: int
    fixed: Counter[str]
    default: Counter[str]
    low: Counter[str]
    high: Counter[str]

    @property
    def per_100_000(self) -> float:
        """Alerts per 100,000 events at the fixed threshold."""
        return 1e5 * self.fixed.total() / self.n

    @property
    def wanders(self) -> bool:
        """Say whether it is one of the streams that wander: of these more is allowed."""
        return ".995" in self.stream or "rates" in self.arrivals

    def line(self) -> str:
        """Return the row of a markdown table."""
        bound = WANDERING_BOUND if self.wanders else BOUND
        weeks = WEEKS * self.n / LONG_RUN
        over = self.per_100_000 > bound or self.default.total() > ALLOWED * weeks
        cells = (
            self.stream, self.form, self.arrivals, f"{self.per_100_000:.1f}", told(self.fixed),
            str(self.low.total()), str(self.high.total()), str(self.default.total()),
            told(self.default), "over" if over else "",
        )  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def told(found: Counter[str]) -> str:
    """Return which test raised how many."""
    return ", ".join(f"{test} {count}" for test, count in found.most_common())


def measured(stream: str, form: str, arrivals: str, n: int) -> Row:
    """Judge one stream under all rules."""
    rng = np.random.default_rng([*map(ord, stream + form + arrivals)])
    time = ARRIVALS[arrivals](rng, n, WEEKS * WEEK_S / LONG_RUN)
    values = FORMS[form](rng, STREAMS[stream].make(rng, len(time)), STREAMS[stream])
    rules = ((FIXED, 0.0), (0.0, 0.0), (FIXED, -NATS), (FIXED, NATS))
    return Row(stream, form, arrivals, len(time), *(alerts(values, time, *rule) for rule in rules))


def cases() -> list[tuple[str, str, str]]:
    """Return every stream in every form, and every kind of arrivals."""
    found = [(stream, form, "Poisson") for stream in STREAMS for form in FORMS]
    return found + [("normal", "latency", arrivals) for arrivals in ARRIVALS]


HEAD = """\
| stream | as | calls come | H = 10 | of which | low | high | default | of which | |
|---|---|---|---:|---|---:|---:|---:|---|---|"""


def main() -> None:
    """Print the table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    print(HEAD)
    for case in cases():
        print(measured(*case, n).line(), flush=True)


if __name__ == "__main__":
    main()
