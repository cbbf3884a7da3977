"""A test's case, put into words and numbers that people and stores read."""

from datetime import datetime
from typing import Any

from sentinel.detectors import DETECTORS
from sentinel.model.batch import Batch, Key
from sentinel.model.event import Event
from sentinel.model.identity import hashed, position_fields, series_fields
from sentinel.model.incident import Evidence, Example, Expected, IncidentType, Observed, Vote
from sentinel.model.instant import instant
from sentinel.model.metric import METRICS, UNITS
from sentinel.model.severity import SCORE_MAX, severity_of

TESTS = ("agreement", "record", "failures")
"""Names of the core's tests, by number."""

Case = dict[str, Any]
"""What `reports.cases` gives."""

_TYPES: dict[str, IncidentType] = {
    "latency_ms": "latency_spike",
    "ttft_ms": "latency_spike",
    "prompt_tokens": "token_usage_spike",
    "completion_tokens": "token_usage_spike",
    "total_tokens": "token_usage_spike",
    "cost_usd": "cost_anomaly",
    "tokens_per_second": "throughput_change",
    "error": "error_rate_increase",
}

_CAUSE_FIRST = (
    "error",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost_usd",
    "ttft_ms",
    "latency_ms",
    "tokens_per_second",
)
"""Of tests that open at one event the earlier here names the incident: more tokens explain a higher
cost and a longer answer, and not the other way round."""


def rank_of(case: Case) -> tuple[int, int]:
    """Return where a case stands among those of one event: the cause before what it explains."""
    return _CAUSE_FIRST.index(METRICS[case["metric"]]), case["test"]


def type_of(case: Case) -> IncidentType:
    """Return what kind of incident a case makes."""
    metric = METRICS[case["metric"]]
    if metric == "latency_ms" and case["drifting"]:
        return "latency_drift"
    return _TYPES[metric]


def example_of(event: Event, value: float) -> Example:
    """Return a call to look at."""
    assert event.event_id is not None, "a canonical event has an id"
    assert isinstance(event.timestamp, datetime), "a canonical event has a time"
    return Example(
        event_id=event.event_id, trace_id=event.trace_id, timestamp=event.timestamp, value=value
    )


def evidence_of(case: Case, batch: Batch, key: Key, votes: list[Vote], log: bytes) -> Evidence:
    """Return the evidence of a case, frozen."""
    at, metric = case["event"], METRICS[case["metric"]]
    event = batch.events[at]
    test = TESTS[case["test"]]
    example = example_of(event, float(batch.values[at, case["metric"]]))
    score = case["statistic"] / case["threshold"] if case["threshold"] > 0 else SCORE_MAX
    score = min(score, SCORE_MAX)
    position = position_fields(log, int(batch.offset[at]), int(batch.index[at]))
    return Evidence(
        id=hashed(position + series_fields(key, metric, f"test.{test}")),
        test=test,
        type=type_of(case),
        metric=metric,
        direction="up",
        statistic=case["statistic"],
        threshold=case["threshold"],
        score=score,
        severity=severity_of(score),
        observed=Observed(
            value=case["observed"], unit=UNITS[metric], hits=case["hits"], n=case["hits_of"]
        ),
        expected=Expected(value=case["usual"], lower=0.0, upper=case["upper"], n=case["n"]),
        first_offset=case["first_offset"],
        first_index=case["first_index"],
        started_at=instant(case["first_time"]),
        timestamp=example.timestamp,
        example=example,
        votes=votes,
    )


def votes_of(verdicts: dict[str, Any], row: int, thresholds: list[float]) -> list[Vote]:
    """Return what each detector that votes on a metric said of one sample."""
    metric = METRICS[int(verdicts["metric"][row])]
    votes = []
    for bit, detector in enumerate(DETECTORS):
        if not int(verdicts["voters"][row]) >> bit & 1:
            continue
        statistic = float(verdicts[detector][row])
        votes.append(
            Vote(
                detector=detector,
                metric=metric,
                statistic=None if statistic != statistic else statistic,
                threshold=thresholds[bit],
                fired=bool(int(verdicts["votes"][row]) >> bit & 1),
            )
        )
    return votes
