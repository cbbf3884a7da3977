"""What the real core finds, as people are told of it: one scene for each thing that goes wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from scenes.feed import RULES, START, Feed, armed, at, call, slow, stray
from sentinel.detectors import ZScore
from sentinel.engine import Rules

Call = dict[str, Any]


def answer(second: float, prompt: int = 1000, tokens: int = 200, **fields: Any) -> Call:
    """Return a call whose tokens differ from call to call and give its latency and its cost."""
    prompt, tokens = prompt + int(second * 37) % 301, tokens + int(second * 53) % 101
    more = stray(second)
    usual = {
        "total_tokens": None,
        "prompt": {"tokens": prompt},
        "response": {"tokens": tokens, "finish_reason": "stop"},
        "user_id": f"u{int(second * 7) % 50}",
        "latency_ms": (100.0 + 0.05 * prompt + tokens) * more,
        "cost_usd": (prompt * 1e-6 + tokens * 4e-6) * more,
    }
    return call(second, **(usual | fields))


def cut_off(second: float) -> Call:
    usual = answer(second)
    return usual | {"response": usual["response"] | {"finish_reason": "length"}}


def learned(calls: int = 1000) -> Feed:
    feed = Feed()
    feed.send(*(answer(second) for second in range(calls)))
    assert feed.events == []
    return feed


def test_one_call_twice_as_slow_opens_nothing() -> None:
    feed = armed()
    feed.send(call(1000, latency_ms=190.0))
    feed.ordinary(1001, 1030)
    assert len(feed.anomalies) >= 3
    assert feed.events == []


def test_one_call_far_beyond_all_others_is_told_by_itself_and_its_title_says_one() -> None:
    feed = armed()
    (opened,) = feed.send(call(1000, latency_ms=2100.0))
    incident = opened.incident
    assert incident.title.startswith("chat / m: one answer took 2.1 s (usually 10")
    assert (incident.evidence[0].test, incident.severity) == ("single", "warning")
    assert (incident.observed.hits, incident.observed.n) == (1, 1)
    assert feed.ordinary(1001, 1060) == []
    assert [event.kind for event in feed.ordinary(1060, 1064)] == ["close"]


def test_when_all_calls_are_slow_the_title_says_all() -> None:
    feed = armed()
    opened, *more = feed.send(*slow(1000, 1040, 2.3))
    assert opened.incident.title.startswith("chat / m: one answer took ")
    assert {event.kind for event in more} == {"escalate"}
    assert more[-1].incident.title.startswith("chat / m: answers take ") or (
        more[-1].incident.title.startswith("chat / m: some answers take ")
    )
    assert more[-1].incident.id == opened.incident.id


SCENES: dict[str, tuple[Callable[[int], Call], str, str, str]] = {
    "failures": (
        lambda s: answer(s, errors=["timeout"]),
        "error_rate_increase", "error_rate", "100 % of calls fail (usually 0.",
    ),
    "slow": (
        lambda s: answer(s, latency_ms=1500.0),
        "latency_spike", "latency_ms", "one answer took 1.5 s",
    ),
    "dear": (
        lambda s: answer(s, cost_usd=0.01),
        "cost_anomaly", "cost_usd", "one call cost $0.01",
    ),
    "long prompts": (
        lambda s: answer(s, prompt=9000),
        "token_usage_spike", "prompt_tokens", "some prompts have 9,",
    ),
    "short prompts": (
        lambda s: answer(s, prompt=0),
        "usage_pattern", "prompt_tokens", "prompts have ",
    ),
    "long answers": (
        lambda s: answer(s, tokens=3000),
        "token_usage_spike", "completion_tokens", "some answers have 3,0",
    ),
    "short answers": (
        lambda s: answer(s, response={"tokens": 4}, latency_ms=154.0, cost_usd=0.001016),
        "quality_degradation", "response_length", "answers shrank to ",
    ),
    "cut off": (
        lambda s: cut_off(s),
        "quality_degradation", "finish_length_rate", "100 % of answers are cut off",
    ),
    "one user": (
        lambda s: answer(s, user_id="loud"),
        "usage_pattern", "user_request_share", "one user makes ",
    ),
    "one session": (
        lambda s: answer(s, session_id="loop" if s >= 1000 else f"s{s}"),
        "usage_pattern", "session_share", "one session makes ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_what_goes_wrong_is_told_by_its_name(scene: str) -> None:
    make, kind, metric, title = SCENES[scene]
    if scene == "one session":
        feed = Feed()
        feed.send(*(answer(second, session_id=f"s{second}") for second in range(1000)))
    else:
        feed = learned()
    feed.send(*(make(second) for second in range(1000, 1040)))
    told = [event for event in feed.events if event.kind == "open"]
    found = [event.incident for event in told if event.incident.metric == metric]
    assert len(found) == 1, [event.incident.title for event in told]
    assert found[0].type == kind
    assert found[0].title.startswith(f"chat / m: {title}"), found[0].title
    assert found[0].detector.startswith("evidence.")
    assert len(told) == 1, [event.incident.title for event in told]


def test_three_times_the_calls_are_one_surge_of_the_service() -> None:
    feed = learned(1500)
    feed.send(*(answer(1500 + step / 4) for step in range(1200)))
    opened = [event.incident for event in feed.events if event.kind == "open"]
    assert [(i.type, i.metric, i.model) for i in opened] == [
        ("throughput_change", "request_rate", None)
    ]
    assert opened[0].title.startswith("chat: ")
    assert "x the usual calls, " in opened[0].title
    assert (opened[0].examples, opened[0].evidence[0].votes) == ([], [])


def test_a_service_that_falls_silent_is_told_though_nothing_of_it_comes() -> None:
    feed = learned(1500)
    feed.send(*(answer(second, service_name="other") for second in range(1500, 1700)))
    opened = [event.incident for event in feed.events if event.kind == "open"]
    assert [(i.type, i.metric, i.model, i.severity) for i in opened] == [
        ("silence", "silence", None, "critical")
    ]
    assert opened[0].started_at == at(1500)
    assert opened[0].title == "chat: no calls for 30 s (usually 60 a minute)"


def test_the_evidence_stays_what_it_was() -> None:
    feed = armed()
    (opened,) = feed.send(call(1000, latency_ms=2100.0))
    feed.ordinary(1001, 1100)
    assert feed.last.evidence == opened.incident.evidence
    assert feed.last.tests == opened.incident.tests
    assert feed.last.title == opened.incident.title


def test_every_test_is_shown_and_those_that_learn_say_how_far_they_are() -> None:
    feed = armed()
    feed.send(*(call(1000 + i, prompt={"tokens": 990 + i % 9}) for i in range(37)))
    opened, _ = feed.send(*(call(1037 + i, errors=["timeout"]) for i in range(6)))
    tests = {(t.metric, t.test): t for t in opened.incident.tests}
    assert tests["error_rate", "share"].statistic == opened.incident.evidence[0].statistic
    assert tests["latency_ms", "shift_up"].learning is None
    assert all(t.threshold == 10.0 for t in tests.values())
    assert tests["prompt_tokens", "shift_up"].learning == "learning 37/100"
    assert "ttft_ms" not in {metric for metric, _ in tests}, "nothing was seen of it"
    assert ("latency_ms", "shift_down") not in tests, "faster is no trouble"


def test_what_is_as_usual_is_said_to_be_not_it() -> None:
    feed = learned()
    (opened,) = feed.send(answer(1000, latency_ms=2500.0))
    assert {line.rsplit(" ", 1)[0].rstrip("+-0123456789 ") for line in opened.incident.not_it} >= {
        "prompt tokens",
        "answer tokens",
    }
    assert not any(line.startswith("latency") for line in opened.incident.not_it)


# Votes


def test_the_votes_stand_with_it_also_those_that_did_not_fire() -> None:
    feed = armed(Rules(incidents=RULES.incidents, zscore=ZScore(threshold=900.0)))
    (opened,) = feed.send(call(1000, latency_ms=2100.0))
    votes = [vote for vote in opened.incident.evidence[0].votes if vote.metric == "latency_ms"]
    assert [vote.detector for vote in votes] == ["zscore", "iqr", "mad", "cusum"]
    assert [vote.threshold for vote in votes] == [900.0, 1.5, 3.5, 5.0]
    assert [vote.fired for vote in votes] == [False, True, True, True]
    fired = {
        (a.detector, a.statistic)
        for a in feed.anomalies
        if (a.event_id, a.metric) == ("call-1000", "latency_ms")
    }
    assert fired == {(vote.detector, vote.statistic) for vote in votes if vote.fired}


def test_a_vote_without_spread_has_no_statistic() -> None:
    feed = Feed()
    # Equal calls say nothing of how far one may stray, until there are many.
    feed.ordinary(0, 2400, latency_ms=100.0)
    (opened,) = feed.send(call(2400, latency_ms=6000.0))
    votes = opened.incident.evidence[0].votes
    assert [vote.statistic for vote in votes if vote.metric == "latency_ms"] == [None] * 4
    assert all(vote.fired for vote in votes if vote.metric == "latency_ms")


# Beyond the cap


def test_services_beyond_the_cap_share_one_incident_of_other() -> None:
    feed = Feed(Rules(incidents=RULES.incidents, max_series=4))
    for second in range(1000):
        feed.send(call(second), call(second, service_name=f"late-{second % 3}", event_id=None))
    trouble = [
        call(1000 + i, service_name=f"late-{i % 3}", latency_ms=900.0, event_id=f"trouble-{i}")
        for i in range(9)
    ]
    opened = [e.incident for e in feed.send(*trouble) if e.kind == "open"]
    assert [(i.service, i.model) for i in opened] == [("__other__", "__other__")]
    assert opened[0].title.startswith("__other__ / __other__: ")
    feed.ordinary(1009, 1060, service_name="late-0")
    feed.ordinary(1060, 1200)
    (closed,) = (
        e.incident for e in feed.events if e.kind == "close" and e.incident.id == opened[0].id
    )
    assert closed.impact.hits == 9
    assert closed.started_at > START
