"""Incidents through the real core: wherever a stream is cut, restarted or interrupted by ticks."""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from oracle.telemetry import scaled
from scenes.feed import START, at
from sentinel.detectors import Incidents
from sentinel.engine import Partition, Rules
from sentinel.intake import Intake, IntakeSettings
from sentinel.model.batch import Batch
from sentinel.model.incident import IncidentEvent

CALLS = 3_000
NAMES = [("chat", "m"), ("chat", "n"), ("search", "m")]
TROUBLES = (
    *("slow", "creeping", "failing", "long", "short", "cut off", "dear", "loud", "odd", "away"),
    "gap",
)


def stream(seed: int) -> Batch:
    """Return calls of three subjects with trouble of random kinds, sizes and lengths in them."""
    rng = np.random.default_rng([seed, 5])
    pause = rng.exponential(rng.choice([0.5, 5.0, 40.0]), CALLS)
    which = rng.integers(0, len(NAMES), CALLS)
    prompt = np.round(900 * np.exp(0.25 * rng.standard_normal(CALLS)))
    answer = np.round(200 * np.exp(0.3 * rng.standard_normal(CALLS)))
    slower, dearer = np.ones(CALLS), np.ones(CALLS)
    failed = rng.random(CALLS) < 0.01
    cut_off = rng.random(CALLS) < 0.02
    user = rng.integers(0, 40, CALLS)
    kept = np.ones(CALLS, np.bool_)
    for _ in range(14):
        begin = int(rng.integers(1_200, CALLS))
        here = np.zeros(CALLS, np.bool_)
        here[begin : begin + int(rng.choice([1, 30, 150, 1_200]))] = True
        here &= (which == rng.integers(0, len(NAMES))) | (rng.random() < 0.3)
        trouble = TROUBLES[rng.integers(0, len(TROUBLES))]
        if trouble == "slow":
            slower[here] *= rng.uniform(1.5, 6)
        elif trouble == "creeping":
            slower[here] *= np.linspace(1, 2, int(here.sum()))
        elif trouble == "failing":
            failed |= here & (rng.random(CALLS) < 0.6)
        elif trouble == "long":
            prompt[here] *= 8
        elif trouble == "short":
            answer[here] = 3
        elif trouble == "cut off":
            cut_off |= here & (rng.random(CALLS) < 0.8)
        elif trouble == "dear":
            dearer[here] *= 2
        elif trouble == "loud":
            user[here] = 99
        elif trouble == "odd":
            slower[begin] *= 30
        elif trouble == "away":
            kept &= ~here
        else:
            pause[begin] += float(rng.choice([100, 2_000, 20_000, 700_000]))
    second = np.cumsum(pause)
    # Some calls come late, and T does not go back.
    second -= np.where(rng.random(CALLS) < 0.05, rng.exponential(8, CALLS), 0)
    lines = []
    for i in np.flatnonzero(kept).tolist():
        service, model = NAMES[which[i]]
        response = {"tokens": int(answer[i]), "finish_reason": "length" if cut_off[i] else "stop"}
        lines.append(
            {
                "service_name": service,
                "model": model,
                "event_id": f"{seed}-{i}",
                "timestamp": at(float(second[i])).isoformat(),
                "latency_ms": float(slower[i] * (50 + 2 * answer[i]) * rng.uniform(0.9, 1.1)),
                "prompt": {"tokens": int(prompt[i])},
                "response": response,
                "cost_usd": float(dearer[i] * (prompt[i] * 1e-6 + answer[i] * 4e-6)),
                "user_id": f"u{user[i]}",
                "errors": ["timeout"] if failed[i] else [],
            }
        )
    intake = Intake(IntakeSettings(), key=b"k" * 32, log_id="cut")
    body = msgspec.json.Encoder().encode_lines(lines)
    batch, rejections, _ = intake.take(body, offset=0, received_at=None, lines=True)
    assert not rejections
    return batch


def part(batch: Batch, first: int, last: int) -> Batch:
    """Return some events of a batch."""
    columns = {
        name: value[first:last]
        for name in batch.__struct_fields__
        if isinstance(value := getattr(batch, name), np.ndarray)
    }
    return msgspec.structs.replace(batch, events=batch.events[first:last], **columns)


def play(batch: Batch, cuts: list[int], rules: Rules, **between: Any) -> list[IncidentEvent]:
    """Judge a stream cut at some events; `restarts`, `ticks`: how often one comes in between."""
    rng = np.random.default_rng(len(cuts))
    partition = Partition(rules, "cut")
    events: list[IncidentEvent] = []
    for first, last in pairwise(cuts):
        if first == last:
            continue
        if partition.clock and rng.random() < between.get("ticks", 0):
            next_time = int(batch.time[first])
            if next_time > partition.clock:
                clock = int(rng.integers(partition.clock, next_time, endpoint=True))
                events += partition.advance(clock, partition.next_offset)
        events += partition.judge(part(batch, first, last)).incident_events
        if rng.random() < between.get("restarts", 0):
            shared, series = partition.shared_state(), partition.series_records()
            partition = Partition(rules, "cut")
            partition.restore(shared, series)
    return events


def cuts_of(rng: np.random.Generator, n: int, batches: int) -> list[int]:
    return [0, *np.sort(rng.integers(0, n + 1, batches - 1)).tolist(), n]


def news(events: list[IncidentEvent]) -> list[IncidentEvent]:
    """Return what happened but for how it stood in between: a tick lets it say so in a gap too."""
    return [event for event in events if event.kind != "progress"]


RULES = (Rules(incidents=Incidents(evidence_threshold=8.0)), Rules())


@pytest.mark.parametrize("seed", range(scaled(12)))
def test_a_stream_cut_anywhere_tells_the_same_incidents_in_the_same_order(seed: int) -> None:
    batch, rules = stream(seed), RULES[seed % 2]
    n = len(batch)
    whole = play(batch, [0, n], rules)
    rng = np.random.default_rng([seed, 6])
    for batches in (2, 10, 400):
        cuts = cuts_of(rng, n, batches)
        assert play(batch, cuts, rules) == whole
        assert play(batch, cuts, rules, restarts=min(1.0, 8 / batches)) == whole
        assert news(play(batch, cuts, rules, ticks=0.5)) == news(whole)


def test_the_streams_hold_everything_that_may_depend_on_a_cut() -> None:
    events = [event for seed in range(0, 24, 2) for event in play_whole(seed)]
    assert {event.kind for event in events} == {"open", "evidence", "escalate", "progress", "close"}
    closed = [event.incident for event in events if event.kind == "close"]
    assert {incident.ending for incident in closed} == {"over", "silence", "accepted"}
    types = {event.incident.type for event in events}
    assert types >= {
        *("latency_spike", "model_drift", "token_usage_spike", "cost_anomaly"),
        *("error_rate_increase", "silence", "quality_degradation", "usage_pattern"),
    }, types
    assert {incident.model for incident in closed} == {None, "m", "n"}
    for event in events:
        incident = event.incident
        assert incident.started_at <= incident.timestamp
        assert incident.ended_at is None or incident.timestamp <= incident.ended_at
        assert incident.impact.hits <= incident.impact.calls
        assert incident.timestamp >= START


def play_whole(seed: int) -> list[IncidentEvent]:
    batch = stream(seed)
    return play(batch, [0, len(batch)], RULES[0])
