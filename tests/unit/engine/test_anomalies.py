"""The fields of an anomaly, detector by detector, against the formulas in NumPy."""

import msgspec
import numpy as np
import pytest

from oracle.stored import anomaly_of, batch_of, event_of
from scenes.feed import Feed, at, call
from sentinel.detectors import DETECTORS, Cusum, Iqr, Mad, ZScore
from sentinel.engine import Rules
from sentinel.model.anomaly import Anomaly
from sentinel.model.severity import severity_of
from sentinel.model.votes import VOTERS, Votes, columns_of

WINDOW = [100.0, 103.0, 97.0, 110.0, 95.0, 101.0, 99.0, 104.0, 98.0, 102.0, 96.0, 105.0]
X = 180.0


def fired(values: list[float], rules: Rules | None = None) -> dict[str, Anomaly]:
    """Return what fires on the last of some latencies, by detector."""
    feed = Feed(rules)
    feed.send(
        *(
            call(i, latency_ms=value, total_tokens=None, cost_usd=None)
            for i, value in enumerate(values)
        )
    )
    last = f"call-{len(values) - 1}"
    return {a.detector: a for a in feed.anomalies if a.event_id == last}


def test_every_detector_gives_the_event_the_series_and_the_baseline_before_it() -> None:
    found = fired([*WINDOW, X])
    assert list(found) == list(DETECTORS)
    for anomaly in found.values():
        assert (anomaly.timestamp, anomaly.event_id) == (at(12), "call-12")
        assert (anomaly.tenant, anomaly.environment) == ("default", "default")
        assert (anomaly.service, anomaly.model, anomaly.metric) == ("chat", "m", "latency_ms")
        assert anomaly.value == X
        assert anomaly.baseline_samples == 12
        assert anomaly.baseline_mean == pytest.approx(np.mean(WINDOW), rel=1e-12)
        assert anomaly.baseline_stddev == pytest.approx(np.std(WINDOW, ddof=1), rel=1e-12)
        assert anomaly.baseline_median == np.median(WINDOW)
        z = (X - np.mean(WINDOW)) / np.std(WINDOW, ddof=1)
        assert anomaly.z_score == pytest.approx(z, rel=1e-12)
        assert anomaly.id.startswith("anom-")
    assert len({anomaly.id for anomaly in found.values()}) == 4


def test_the_statistic_and_the_expected_range_of_zscore() -> None:
    anomaly = fired([*WINDOW, X])["zscore"]
    mean, sd = np.mean(WINDOW), np.std(WINDOW, ddof=1)
    assert anomaly.statistic == pytest.approx((X - mean) / sd, rel=1e-12)
    assert anomaly.threshold == 3.0
    assert anomaly.expected_lower == pytest.approx(mean - 3 * sd, rel=1e-12)
    assert anomaly.expected_upper == pytest.approx(mean + 3 * sd, rel=1e-12)


def test_the_statistic_and_the_expected_range_of_iqr() -> None:
    anomaly = fired([*WINDOW, X])["iqr"]
    q1, q3 = np.quantile(WINDOW, [0.25, 0.75])
    assert anomaly.statistic == pytest.approx((X - q3) / (q3 - q1), rel=1e-12)
    assert anomaly.threshold == 1.5
    assert anomaly.expected_lower == pytest.approx(q1 - 1.5 * (q3 - q1), rel=1e-12)
    assert anomaly.expected_upper == pytest.approx(q3 + 1.5 * (q3 - q1), rel=1e-12)


def test_the_statistic_and_the_expected_range_of_mad() -> None:
    anomaly = fired([*WINDOW, X])["mad"]
    median = np.median(WINDOW)
    spread = np.median(np.abs(np.array(WINDOW) - median))
    assert anomaly.statistic == pytest.approx(0.6745 * (X - median) / spread, rel=1e-12)
    assert anomaly.threshold == 3.5
    assert anomaly.expected_lower == pytest.approx(median - 3.5 * spread / 0.6745, rel=1e-12)
    assert anomaly.expected_upper == pytest.approx(median + 3.5 * spread / 0.6745, rel=1e-12)


def test_the_statistic_of_cusum_has_no_range_of_one_sample() -> None:
    anomaly = fired([*WINDOW, X])["cusum"]
    up = 0.0
    for i in range(10, 13):
        before = [*WINDOW, X][:i]
        z = ([*WINDOW, X][i] - np.mean(before)) / np.std(before, ddof=1)
        up = max(0.0, float(up + z - 0.5))
    assert anomaly.statistic == pytest.approx(up, rel=1e-9)
    assert anomaly.threshold == 5.0
    assert (anomaly.expected_lower, anomaly.expected_upper) == (None, None)


def test_a_value_below_has_a_negative_zscore_and_a_positive_score() -> None:
    found = fired([*WINDOW, 20.0])
    assert found["zscore"].statistic is not None
    assert found["zscore"].statistic < -3
    for anomaly in found.values():
        assert anomaly.statistic is not None
        assert anomaly.score == pytest.approx(abs(anomaly.statistic) / anomaly.threshold)


def test_score_and_severity_follow_from_statistic_and_threshold() -> None:
    for x in (130.0, 150.0, X, 1e7):
        for anomaly in fired([*WINDOW, x]).values():
            assert anomaly.statistic is not None
            expected = min(1000.0, abs(anomaly.statistic) / anomaly.threshold)
            assert anomaly.score == pytest.approx(expected)
            assert anomaly.score > 1
            assert anomaly.severity == severity_of(anomaly.score)
    assert fired([*WINDOW, 1e7])["mad"].score == 1000.0, "held to a thousand"


def test_without_spread_there_is_no_statistic_and_the_score_is_a_thousand() -> None:
    found = fired([100.0] * 20 + [101.0])
    assert list(found) == list(DETECTORS)
    for name, anomaly in found.items():
        assert (anomaly.statistic, anomaly.z_score) == (None, None)
        assert (anomaly.score, anomaly.severity) == (1000.0, "critical")
        assert (anomaly.baseline_mean, anomaly.baseline_stddev) == (100.0, 0.0)
        bounds = (None, None) if name == "cusum" else (100.0, 100.0)
        assert (anomaly.expected_lower, anomaly.expected_upper) == bounds


def test_without_spread_the_usual_value_is_never_strange() -> None:
    assert fired([100.0] * 40) == {}


def test_spread_may_be_absent_from_one_detector_and_not_from_another() -> None:
    found = fired([100.0] * 20 + [140.0, 60.0, 101.0])
    assert found.keys() == {"iqr", "mad"}
    for anomaly in found.values():
        assert (anomaly.statistic, anomaly.score) == (None, 1000.0)
        assert anomaly.z_score is not None


def test_nothing_is_judged_before_there_are_enough_samples() -> None:
    assert fired([*WINDOW[:9], 1e6]) == {}
    assert fired([*WINDOW[:10], 1e6]).keys() == set(DETECTORS)
    assert fired([*WINDOW[:4], 1e6], Rules(min_samples=4)).keys() >= {"zscore", "iqr", "mad"}


def test_only_the_enabled_detectors_vote_and_only_on_their_metrics() -> None:
    assert fired([*WINDOW, X], Rules(enabled_detectors=("mad",))).keys() == {"mad"}
    assert fired([*WINDOW, X], Rules(zscore=ZScore(metrics=("cost_usd",)))).keys() == {
        "iqr",
        "mad",
        "cusum",
    }


def test_the_thresholds_of_the_rules_decide() -> None:
    strict = Rules(
        zscore=ZScore(threshold=300.0),
        iqr=Iqr(multiplier=300.0),
        mad=Mad(threshold=300.0),
        cusum=Cusum(threshold=300.0),
    )
    assert fired([*WINDOW, X], strict) == {}
    quiet = fired([*WINDOW, X], Rules(zscore=ZScore(threshold=3.0, sensitivity="low")))
    assert quiet["zscore"].threshold == 4.0


def test_anomalies_stand_in_the_order_of_events_metrics_and_detectors() -> None:
    feed = Feed()
    feed.ordinary(0, 20)
    feed.send(*(call(20 + i, latency_ms=900.0, total_tokens=9000, cost_usd=0.9) for i in range(3)))
    order = [(a.event_id, a.metric, a.detector) for a in feed.anomalies]
    metrics = ["latency_ms", "total_tokens", "cost_usd"]
    assert order == sorted(
        order, key=lambda row: (row[0], metrics.index(row[1]), DETECTORS.index(row[2]))
    )
    assert len(order) > 12


def test_votes_are_a_sequence_whose_anomalies_become_the_same_columns_again() -> None:
    batch = batch_of([event_of(at, 0) for at in range(3)], [0, 1, 2], [0, 0, 0])
    batch = msgspec.structs.replace(batch, events=[event_of(at, 0) for at in range(3)])
    found = [(at, anomaly_of(at, 0, detector)) for at in range(3) for detector in DETECTORS]
    votes = Votes(batch, columns_of(found))
    made = list(votes)
    assert len(votes) == len(made) == 12
    assert votes[2:5] == made[2:5]
    assert (votes[0], votes[-1]) == (made[0], made[-1])
    with pytest.raises(IndexError):
        votes[12]
    again = columns_of(list(zip(votes.columns.event.tolist(), made, strict=True)))
    for name in again.__struct_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(votes.columns, name))


def test_voters_stand_in_the_bit_order_of_the_core() -> None:
    assert VOTERS[: len(DETECTORS)] == DETECTORS
