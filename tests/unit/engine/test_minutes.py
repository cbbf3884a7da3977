"""Rates and quantiles by the minute: which calls are in one, when it closes, what is told of it."""

from typing import Any

import numpy as np
import pytest

from scenes.feed import Feed, at, call
from sentinel.detectors import Novelty
from sentinel.engine import Rules
from sentinel.errors import TornState
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Key
from sentinel.model.identity import field, hashed, position_fields, series_fields
from sentinel.model.metric import MINUTE_METRICS

RULES = Rules(enabled_detectors=("novelty",))
ODD_MINUTE = 400


def minute_of(number: int, calls: int = 5, **fields: Any) -> list[dict[str, Any]]:
    """Return the calls of a minute; their number and latency vary a little from one to the next."""
    rng = np.random.default_rng(number)
    seconds = np.sort(rng.uniform(0, 60, calls + int(rng.integers(3)))).round(3)
    made = [call(60 * number + second, latency_ms=rng.normal(100, 5)) for second in seconds]
    finish = {"response": {"finish_reason": "stop"}}
    named = [{"event_id": f"{number}/{at}"} for at in range(len(made))]
    return [one | finish | name | fields for one, name in zip(made, named, strict=True)]


def after(odd: dict[str, Any], rules: Rules = RULES) -> list[Anomaly]:
    """Return what is told after 400 ordinary minutes, an odd one, and the call that closes it."""
    feed = Feed(rules)
    for number in range(ODD_MINUTE):
        feed.send(*minute_of(number))
    before = len(feed.anomalies)
    feed.send(*minute_of(ODD_MINUTE, **odd))
    feed.send(*minute_of(ODD_MINUTE + 2))
    return feed.anomalies[before:]


ODD = [
    ({"calls": 60}, {"request_rate", "cost_rate"}),
    ({"errors": ["timeout"]}, {"error_rate"}),
    ({"cost_usd": 3.0}, {"cost_rate"}),
    ({"response": {"finish_reason": "length"}}, {"finish_length_rate"}),
    ({"latency_ms": 900.0}, {"latency_ms_p50", "latency_ms_p95", "latency_ms_p99"}),
]


@pytest.mark.parametrize(("odd", "metrics"), ODD)
def test_an_odd_minute_is_told_on_the_metric_that_it_is_odd_on(
    odd: dict[str, Any], metrics: set[str]
) -> None:
    told = after(odd)
    assert {one.metric for one in told} == metrics
    assert all(one.detector == "novelty" and one.score >= 1 for one in told)
    assert metrics <= set(MINUTE_METRICS)


def test_what_is_told_has_the_value_the_statistic_and_what_came_before() -> None:
    (told,) = after({"cost_usd": 3.0})
    calls = len(minute_of(ODD_MINUTE))
    assert told.value == pytest.approx(3.0 * calls)
    assert told.statistic is not None
    assert told.score == pytest.approx(told.statistic / told.threshold)
    assert told.threshold >= 0.85
    assert told.baseline_samples == ODD_MINUTE
    costs = [sum(one["cost_usd"] for one in minute_of(number)) for number in range(ODD_MINUTE)]
    assert told.baseline_mean == pytest.approx(np.mean(costs), rel=1e-5)
    assert told.baseline_stddev == pytest.approx(np.std(costs, ddof=1), rel=1e-5)
    assert told.baseline_median == pytest.approx(np.median(costs), rel=1e-5)
    assert told.z_score == pytest.approx((told.value - np.mean(costs)) / np.std(costs, ddof=1))


def test_it_hangs_on_the_call_that_closed_the_minute_and_its_id_has_the_start() -> None:
    (told,) = after({"cost_usd": 3.0})
    first = minute_of(ODD_MINUTE + 2)[0]
    assert told.event_id == first["event_id"]
    offset = sum(len(minute_of(number)) for number in range(ODD_MINUTE + 1))
    position = position_fields(field("scene") + field(0), offset, 0)
    start = int(at(60 * ODD_MINUTE).timestamp()) * 10**9
    key = Key("default", "default", "chat", "m")
    assert told.id == "anom-" + hashed(position + series_fields(key, "cost_rate", "novelty", start))


def test_a_minute_closes_ten_seconds_of_t_after_its_end_and_takes_late_calls_until_then() -> None:
    def told(closing: float, *late: float) -> int:
        feed = Feed(RULES)
        for number in range(ODD_MINUTE):
            feed.send(*minute_of(number))
        end = 60.0 * ODD_MINUTE
        # An ordinary minute so far; the calls that make it odd come when T is beyond its end.
        feed.send(call(closing + end))
        before = len(feed.anomalies)
        feed.send(*(call(end - 60 + second, event_id=f"late-{second}") for second in late))
        assert len(feed.anomalies) == before, "no minute closed"
        feed.send(call(end + 75))
        return sum(one.metric == "request_rate" and one.value > 100 for one in feed.anomalies)

    late = tuple(second / 4 for second in range(200))
    assert told(9.0, *late) == 1
    assert told(10.0, *late) == 0


def test_a_gap_is_no_sample() -> None:
    feed = Feed(RULES)
    for number in range(ODD_MINUTE):
        feed.send(*minute_of(number))
    for number in range(3000, 3000 + ODD_MINUTE):
        feed.send(*minute_of(number))
    assert len(feed.anomalies) <= 4


def test_without_novelty_nothing_is_counted() -> None:
    assert not after({"cost_usd": 3.0}, Rules(enabled_detectors=("mad",)))
    feed = Feed(Rules())
    feed.send(*minute_of(0))
    assert feed.partition.minute_records() == []


def test_by_default_it_is_not_enabled() -> None:
    assert not Rules().judges_minutes


def test_a_threshold_is_taken_over_while_it_runs() -> None:
    feed = Feed(RULES)
    for number in range(ODD_MINUTE):
        feed.send(*minute_of(number))
    before = len(feed.anomalies)
    quiet = Rules(enabled_detectors=("novelty",), novelty=Novelty(threshold=1000.0))
    feed.partition.judge_by(quiet)
    feed.send(*minute_of(ODD_MINUTE, cost_usd=3.0), *minute_of(ODD_MINUTE + 2))
    assert len(feed.anomalies) == before
    feed.partition.judge_by(Rules())
    assert feed.partition.minute_records() == []


def test_a_key_that_was_idle_for_a_week_starts_again() -> None:
    feed = Feed(RULES)
    for number in range(ODD_MINUTE):
        feed.send(*minute_of(number))
    (full,) = feed.partition.minute_records()
    feed.send(*minute_of(ODD_MINUTE + 7 * 1440 + 2))
    (anew,) = feed.partition.minute_records()
    assert len(anew) < 1000 < len(full)


def test_a_torn_record_is_told() -> None:
    feed = Feed(RULES)
    for number in range(3):
        feed.send(*minute_of(number))
    shared = feed.partition.shared_state()
    (record,) = feed.partition.minute_records()
    for wrong in (record[:-1], record[:5], record[:20] + b"?" + record[21:]):
        with pytest.raises(TornState, match="minutes record"):
            Feed(RULES).partition.restore(shared, [wrong])
