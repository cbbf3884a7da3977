"""What opens an incident is frozen in it, and the cause names it."""

import pytest

from scenes.feed import START, Feed, armed, at, call, slow
from sentinel.detectors import ZScore
from sentinel.engine import Rules
from sentinel.model.incident import IncidentEvent


def test_one_strange_call_opens_nothing() -> None:
    feed = armed()
    feed.send(*slow(200, 201, 2.8))
    feed.ordinary(201, 230)
    assert len(feed.anomalies) >= 3
    assert feed.events == []


def test_three_strange_calls_of_five_open_an_incident_with_its_evidence() -> None:
    feed = armed()
    (opened,) = feed.send(*slow(200, 203))
    incident = opened.incident
    assert (opened.kind, incident.state, incident.ended_at) == ("open", "open", None)
    assert (incident.type, incident.metric) == ("latency_spike", "latency_ms")
    assert (incident.service, incident.model, incident.detector) == ("chat", "m", "test.agreement")
    assert incident.started_at == at(200), "the first sample of the case"
    assert incident.timestamp == at(202)
    assert opened.clock == int(at(202).timestamp() * 1e9)
    (evidence,) = incident.evidence
    assert (evidence.test, evidence.direction) == ("agreement", "up")
    assert (evidence.first_offset, evidence.first_index) == (200, 0)
    assert evidence.statistic == incident.observed.value == 315.0, "the middle of five"
    assert (incident.observed.hits, incident.observed.n) == (3, 5)
    assert (incident.expected.value, incident.expected.n) == (105.0, 202)
    assert evidence.threshold == incident.expected.upper == 210.0, "twice the usual"
    assert incident.score == evidence.score == 1.5
    assert incident.severity == "warning"


def test_the_evidence_stays_what_it_was_while_the_window_learns() -> None:
    feed = armed()
    (opened,) = feed.send(*slow(200, 203))
    feed.send(*slow(203, 290, 4.0))
    assert feed.last.state == "open"
    assert feed.last.evidence == opened.incident.evidence
    assert feed.last.observed == opened.incident.observed
    assert feed.last.expected == opened.incident.expected
    assert feed.last.title == opened.incident.title


def test_the_title_says_what_changed_where_and_what_is_usual() -> None:
    feed = armed()
    (opened,) = feed.send(*slow(200, 203))
    assert opened.incident.title == "chat / m: answers take 315 ms (usually 105 ms)"


def test_one_call_far_beyond_all_others_opens_by_itself_and_its_title_says_one() -> None:
    feed = armed()
    (opened,) = feed.send(*slow(200, 201, 20.0))
    assert opened.incident.detector == "test.record"
    assert opened.incident.title == "chat / m: one answer took 2.1 s (usually 105 ms)"
    assert (opened.incident.observed.hits, opened.incident.observed.n) == (1, 1)


def test_the_votes_stand_with_it_also_those_that_did_not_fire() -> None:
    feed = armed()
    feed.send(*slow(200, 202))
    (opened,) = feed.send(call(202, latency_ms=240.0))
    votes = [vote for vote in opened.incident.evidence[0].votes if vote.metric == "latency_ms"]
    assert [vote.detector for vote in votes] == ["zscore", "iqr", "mad", "cusum"]
    assert [vote.threshold for vote in votes] == [3.0, 1.5, 3.5, 5.0]
    assert all(vote.fired for vote in votes)
    fired = {
        (a.detector, a.statistic)
        for a in feed.anomalies
        if (a.event_id, a.metric) == ("call-202", "latency_ms")
    }
    assert fired == {(vote.detector, vote.statistic) for vote in votes}


def test_the_votes_on_its_own_metric_come_first() -> None:
    feed = armed()
    (opened,) = feed.send(
        *(call(second, latency_ms=125.0, total_tokens=3015) for second in range(200, 203))
    )
    assert opened.incident.metric == "total_tokens"
    metrics = [vote.metric for vote in opened.incident.evidence[0].votes]
    assert metrics == ["total_tokens"] * 2 + ["latency_ms"] * 4


def test_a_vote_that_did_not_fire_is_shown_with_its_statistic() -> None:
    feed = armed(Rules(zscore=ZScore(threshold=900.0)))
    (opened,) = feed.send(*slow(200, 203))
    vote = opened.incident.evidence[0].votes[0]
    assert (vote.detector, vote.fired, vote.threshold) == ("zscore", False, 900.0)
    assert vote.statistic is not None
    assert 0 < vote.statistic < 900


def test_a_vote_without_spread_has_no_statistic() -> None:
    feed = Feed()
    feed.ordinary(0, 200, latency_ms=100.0)
    (opened,) = feed.send(*(call(second, latency_ms=600.0) for second in range(200, 201)))
    votes = opened.incident.evidence[0].votes
    assert [vote.statistic for vote in votes if vote.metric == "latency_ms"] == [None] * 4
    assert all(vote.fired for vote in votes)


def jump(second: int, factor: float, *metrics: str, **fields: object) -> dict[str, object]:
    """Return a call of which some metrics are a multiple of the usual."""
    usual = {"latency_ms": 105.0, "total_tokens": 1005, "cost_usd": 0.01005}
    return call(second, **{name: usual[name] * factor for name in metrics}, **fields)


def whole(value: dict[str, object]) -> dict[str, object]:
    """Return a call whose token count is whole, as it must be."""
    return value | {"total_tokens": int(float(str(value["total_tokens"])))}


def opening(*metrics: str, failing: bool = False) -> IncidentEvent:
    """Return what opens where these metrics jump at one event."""
    feed = armed()
    fields = {"errors": ["timeout"]} if failing else {}
    if failing:
        feed.send(call(200, **fields), call(201, **fields))
    first = 202 if failing else 200
    calls = (whole(jump(first + i, 3, *metrics, **fields)) for i in range(3))
    opened, *more = feed.send(*calls)
    assert (opened.kind, more) == ("open", [])
    return opened


@pytest.mark.parametrize(
    ("metrics", "failing", "order"),
    [
        (("latency_ms", "cost_usd"), False, ["cost_usd", "latency_ms"]),
        (("latency_ms", "total_tokens"), False, ["total_tokens", "latency_ms"]),
        (
            ("latency_ms", "total_tokens", "cost_usd"),
            False,
            ["total_tokens", "cost_usd", "latency_ms"],
        ),
        (
            ("latency_ms", "total_tokens", "cost_usd"),
            True,
            ["error", "total_tokens", "cost_usd", "latency_ms"],
        ),
    ],
)
def test_of_tests_that_open_at_one_event_the_cause_names_the_incident(
    metrics: tuple[str, ...], failing: bool, order: list[str]
) -> None:
    incident = opening(*metrics, failing=failing).incident
    assert [evidence.metric for evidence in incident.evidence] == order
    assert incident.metric == order[0]
    assert incident.type == incident.evidence[0].type
    assert {evidence.timestamp for evidence in incident.evidence} == {incident.timestamp}
    assert incident.score == max(evidence.score for evidence in incident.evidence)
    assert incident.observed == incident.evidence[0].observed


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("latency_ms", "latency_spike"),
        ("total_tokens", "token_usage_spike"),
        ("cost_usd", "cost_anomaly"),
    ],
)
def test_the_type_of_an_incident_follows_its_metric(metric: str, kind: str) -> None:
    assert opening(metric).incident.type == kind


def test_failures_open_at_five_of_the_last_twenty() -> None:
    feed = armed()
    calls = [call(200 + i, errors=["timeout"]) for i in range(5)]
    assert feed.send(*calls[:4]) == []
    (opened,) = feed.send(calls[4])
    incident = opened.incident
    assert (incident.type, incident.detector) == ("error_rate_increase", "test.failures")
    assert (incident.observed.hits, incident.observed.n, incident.observed.value) == (5, 20, 0.25)
    assert incident.title == "chat / m: 25 % of calls fail (usually 0 %)"
    assert (incident.severity, incident.score) == ("critical", 5.0)


def test_a_shift_that_had_begun_before_is_a_drift() -> None:
    feed = armed()
    for second in range(200, 300):
        feed.send(call(second, latency_ms=105.0 + 2.5 * (second - 200)))
        if feed.events:
            break
    assert feed.last.type == "latency_drift"
    assert feed.last.started_at > START


def test_a_hundred_samples_arm_a_test_and_ninety_nine_do_not() -> None:
    feed = Feed()
    feed.ordinary(0, 99)
    assert feed.send(*slow(99, 102)) == []
    feed = Feed()
    feed.ordinary(0, 100)
    assert [event.kind for event in feed.send(*slow(100, 103))] == ["open"]


def test_services_beyond_the_cap_share_one_incident_of_other() -> None:
    feed = Feed(Rules(max_series=4))
    for second in range(200):
        feed.send(call(second), call(second, service_name=f"late-{second % 3}", event_id=None))
    trouble = [
        call(200 + i, service_name=f"late-{i}", latency_ms=315.0, event_id=f"trouble-{i}")
        for i in range(3)
    ]
    (opened,) = feed.send(*trouble)
    assert (opened.incident.service, opened.incident.model) == ("__other__", "__other__")
    assert opened.incident.title.startswith("__other__ / __other__: ")
    feed.ordinary(203, 212, service_name="late-0")
    feed.ordinary(212, 215, service_name="late-1")
    assert feed.kinds() == ["open", "close"]
    # The three that opened it, and nine of the ten calm ones: the tenth closes it.
    assert (feed.last.impact.calls, feed.last.impact.hits) == (10, 1)
