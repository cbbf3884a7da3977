"""Minutes: a stream cut anywhere, with its state saved and restored between, says the same."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from oracle.telemetry import scaled
from sentinel.engine import Partition, Rules
from sentinel.engine.minutes import is_minutes
from sentinel.intake import Intake, IntakeSettings
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ENCODE = msgspec.json.Encoder()
REASONS = ("stop", "length", None)


def stream(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    """Return calls of three keys: late ones, repeats, gaps, and stretches that are odd."""
    seconds = np.cumsum(rng.exponential(rng.uniform(5, 60), n))
    seconds[n // 2 :] += rng.choice([0, 3_600, 8 * 86_400])
    seconds = seconds - np.where(rng.random(n) < 0.1, rng.exponential(60, n), 0)
    odd = (np.arange(n) // 40) % 9 == 7
    calls = []
    for number in range(n):
        call: dict[str, Any] = {
            "event_id": f"call-{number if rng.random() > 0.02 else max(number - 3, 0)}",
            "service_name": ("chat", "chat", "search", "other")[rng.integers(4)],
            "model": "m",
            "timestamp": (START + timedelta(seconds=float(seconds[number]))).isoformat(),
            "errors": ["timeout"] if rng.random() < (0.6 if odd[number] else 0.01) else [],
            "response": {"finish_reason": REASONS[rng.integers(3)]},
        }
        if rng.random() < 0.9:
            call["latency_ms"] = float(rng.normal(100, 5)) * (6 if odd[number] else 1)
        if rng.random() < 0.9:
            call["cost_usd"] = float(rng.exponential(0.01))
        calls.append(call)
    return calls


def batch_of(calls: list[dict[str, Any]], offset: int) -> Batch:
    intake = Intake(IntakeSettings(), key=b"k" * 32, log_id="minutes")
    body = ENCODE.encode_lines(calls)
    batch, rejections, _ = intake.take(body, offset=offset, received_at=None, lines=True)
    assert not rejections, rejections
    return batch


def told_of(
    calls: list[dict[str, Any]], cuts: NDArray[np.int64], rules: Rules, restart: bool
) -> tuple[list[Anomaly], list[bytes]]:
    """Return what is told of a stream in parts, and the records of its minutes at the end."""
    partition = Partition(rules, "minutes")
    told: list[Anomaly] = []
    places = [0, *np.sort(cuts).tolist(), len(calls)]
    for start, stop in pairwise(places):
        if start == stop:
            continue
        told += partition.judge(batch_of(calls[start:stop], start)).anomalies
        if restart:
            shared = partition.shared_state()
            series = partition.series_records() + partition.minute_records()
            assert {one for _, one in partition.named_records(0)} == set(series)
            partition = Partition(rules, "minutes")
            partition.restore(shared, series)
    return told, partition.minute_records()


def test_a_stream_cut_and_carried_on_anywhere_tells_the_same() -> None:
    odd = 0
    for seed in range(scaled(30)):
        rng = np.random.default_rng(seed)
        calls = stream(rng, int(rng.integers(500, 2_500)))
        lateness = int(rng.choice([0, 10, 300]))
        rules = Rules(
            enabled_detectors=("mad", "novelty") if seed % 2 else ("novelty",),
            allowed_lateness_secs=lateness,
        )
        whole = told_of(calls, np.empty(0, np.int64), rules, restart=False)
        cuts = rng.integers(0, len(calls), int(rng.integers(1, 9)))
        assert told_of(calls, cuts, rules, restart=False) == whole
        assert told_of(calls, cuts, rules, restart=True) == whole
        assert all(is_minutes(record) for record in whole[1])
        odd += sum(one.detector == "novelty" for one in whole[0])
    assert odd >= scaled(30), "there was something to tell"


def test_votes_and_minutes_stand_in_the_order_of_their_calls() -> None:
    rng = np.random.default_rng(7)
    calls = stream(rng, 2_000)
    rules = Rules(enabled_detectors=("zscore", "mad", "novelty"))
    told, _ = told_of(calls, np.array([900]), rules, restart=False)
    first = {call["event_id"]: at for at, call in reversed(list(enumerate(calls)))}
    places = [first[one.event_id] for one in told]
    assert places == sorted(places)
    assert {one.detector for one in told} == {"zscore", "mad", "novelty"}
