"""What the tests of evidence cost a call, beside the votes on the same call."""

from collections.abc import Callable

import numpy as np

from sentinel._core.bank import Bank
from sentinel._core.evidence import Evidence
from sentinel.engine.rules import Rules
from sentinel.model.metric import METRICS
from yardstick import Table, gates, taking_turns

GATES = gates("core")
SUBJECTS = 125
"""With eight metrics each: 1,000 series."""
CALLS = 400_000
BATCH = 20_000
RULES = Rules()


class Calls:
    """Calls of services in two models each: what a default event says."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        n = CALLS
        self.keys = [("default", "prod", f"s{i // 2}", f"m{i % 2}") for i in range(SUBJECTS)]
        self.key = rng.integers(0, SUBJECTS, n).astype(np.int32)
        seconds = np.cumsum(rng.exponential(0.01, n))
        self.time = 1_700_000_000_000_000_000 + (seconds * 1e6).astype(np.int64) * 1_000
        prompt, answer = np.round(np.exp(rng.normal((6.5, 5.0), (0.6, 0.7), (n, 2)))).T
        latency = (300 + 0.2 * prompt + 12 * answer) * np.exp(rng.normal(0, 0.25, n))
        self.values = np.full((n, len(METRICS)), np.nan)
        columns = {
            "latency_ms": latency,
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": prompt + answer,
            "cost_usd": (2.5 * prompt + 10 * answer) / 1e6,
            "tokens_per_second": 1_000 * answer / latency,
            "error": (rng.random(n) < 0.005).astype(float),
        }
        for name, column in columns.items():
            self.values[:, METRICS.index(name)] = column
        self.finish = (rng.random(n) < 0.03).astype(np.uint8)
        self.user = rng.integers(1, 400, n).astype(np.uint32)
        self.session = np.zeros(n, np.uint32)


def evidence_of(calls: Calls) -> Callable[[], object]:
    """Return a run over all calls of subjects that have learned."""
    evidence = Evidence(lateness_ns=10**10, idle_ns=2**60, **RULES.laws())
    step = int(calls.time[-1] - calls.time[0]) + 1

    def run() -> None:
        for first in range(0, CALLS, BATCH):
            part = slice(first, first + BATCH)
            evidence.judge(
                calls.keys,
                calls.key[part],
                calls.values[part],
                calls.time[part],
                calls.time[part],
                calls.finish[part],
                calls.user[part],
                calls.session[part],
            )
        calls.time += step

    return run


def votes_on(calls: Calls) -> Callable[[], object]:
    """Return the same calls as samples of windows."""
    bank = Bank(**RULES.for_core())
    slots = np.array([[bank.open(i, m) for m in range(len(METRICS))] for i in range(SUBJECTS)])
    there = ~np.isnan(calls.values)
    slot = slots[calls.key][there].astype(np.int32)
    value = calls.values[there]
    clock = np.ones(len(value), np.int64)

    def run() -> None:
        for first in range(0, len(value), 7 * BATCH):
            part = slice(first, first + 7 * BATCH)
            bank.judge(slot[part], value[part], clock[part])

    return run


def test_evidence_costs_no_more_than_the_votes(table: Table) -> None:
    calls = Calls()
    ratio = taking_turns(evidence_of(calls), votes_on(calls), (CALLS, CALLS), 5)
    table.hold(GATES["evidence_beside_votes"], ratio.median, ratio.note("evidence", "votes"))
