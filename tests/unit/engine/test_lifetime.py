"""What happens to an incident from its opening to its end, whatever the core finds."""

from typing import Any

import pytest

from scenes.script import NS, Script, clock_of, each_second, finding
from sentinel.engine.open_incident import QUIET_NS
from sentinel.engine.wording import ending_of
from sentinel.model.instant import instant

QUIET = QUIET_NS / NS
SHIFT, SHRINK, SINGLE = 0, 1, 3
SURGE, DROP, SILENCE = 0, 1, 2


def at(second: float) -> Any:
    return instant(clock_of(second))


def test_it_opens_at_the_call_of_its_finding_with_the_case_so_far() -> None:
    script = Script()
    (opened,) = script.play(each_second(0, 20), [finding("open", "latency", 10)])
    incident = opened.incident
    assert (opened.kind, opened.clock) == ("open", clock_of(10))
    assert (incident.state, incident.type, incident.metric) == (
        "open",
        "latency_spike",
        "latency_ms",
    )
    assert (incident.started_at, incident.timestamp) == (at(6), at(10))
    assert (incident.impact.calls, incident.impact.hits) == (5, 4), "those that opened it"
    assert [example.event_id for example in incident.examples] == ["call-10"]
    assert (incident.evidence[0].first_offset, incident.evidence[0].first_index) == (0, 0)
    assert incident.detector == "evidence.latency"


def test_it_lingers_after_its_last_test_and_ends_at_the_first_event_beyond() -> None:
    script = Script()
    script.play(
        each_second(0, 60), [finding("open", "latency", 10), finding("close", "latency", 20)]
    )
    assert script.outline() == [("open", 10), ("close", 50)]
    assert (script.last.state, script.last.ending) == ("resolved", "over")
    assert script.last.ended_at == at(20), "when its test closed"
    assert script.last.impact.calls == 5 + 9, "without the call that closed it"


def test_t_that_only_reaches_its_end_does_not_end_it() -> None:
    script = Script()
    script.play(
        each_second(0, 50), [finding("open", "latency", 10), finding("close", "latency", 20)]
    )
    assert script.tick(50) == []
    (closed,) = script.tick(50.001)
    assert (closed.kind, closed.clock) == ("close", clock_of(50))


def test_what_opens_while_it_lingers_is_further_evidence_and_keeps_it_open() -> None:
    script = Script()
    script.play(
        each_second(0, 90),
        [
            finding("open", "latency", 10),
            finding("close", "latency", 20),
            finding("open", "ttft", 45),
            finding("close", "ttft", 47),
        ],
    )
    assert script.outline() == [("open", 10), ("evidence", 45), ("close", 77)]
    assert [evidence.metric for evidence in script.last.evidence] == ["latency_ms", "ttft_ms"]
    assert script.last.metric == "latency_ms", "what opened it names it to its end"
    assert script.last.ended_at == at(47)
    assert script.last.impact.calls == 5 + 9 + 2, "none of the pause"


def test_what_opens_after_it_is_another_one() -> None:
    script = Script()
    script.play(
        each_second(0, 90),
        [
            finding("open", "latency", 10),
            finding("close", "latency", 20),
            finding("open", "ttft", 51),
        ],
    )
    assert script.outline() == [("open", 10), ("close", 50), ("open", 51)]
    assert script.events[0].incident.id != script.last.id


def test_it_ends_with_the_last_of_its_tests() -> None:
    script = Script()
    script.play(
        each_second(0, 100),
        [
            finding("open", "latency", 10),
            finding("open", "ttft", 11),
            finding("close", "latency", 20),
            finding("close", "ttft", 40),
        ],
    )
    assert script.outline() == [("open", 10), ("evidence", 11), ("close", 70)]
    assert script.last.ended_at == at(40)


def test_what_it_does_not_explain_opens_another_beside_it() -> None:
    script = Script()
    script.play(each_second(0, 20), [finding("open", "latency", 10), finding("open", "cost", 12)])
    assert script.outline() == [("open", 10), ("open", 12)]
    assert len(script.book.standing()) == 2


def test_of_what_opens_at_one_call_the_cause_names_the_incident() -> None:
    script = Script()
    script.play(
        each_second(0, 20),
        [finding("open", "latency", 10), finding("open", "response", 10),
         finding("open", "prompt", 10)],
    )  # fmt: skip
    assert [(e.kind, e.incident.metric) for e in script.events] == [
        ("open", "prompt_tokens"),
        ("evidence", "prompt_tokens"),
        ("open", "latency_ms"),
    ]


def test_a_single_call_is_told_and_nothing_stays_open() -> None:
    script = Script()
    script.play(each_second(0, 60), [finding("alone", "cost", 10, test=SINGLE, hits=1, hits_of=1)])
    assert script.outline() == [("open", 10), ("close", 40)]
    assert script.last.ended_at == at(10)
    assert (script.last.impact.calls, script.last.impact.hits) == (1, 1)


def test_worse_evidence_escalates_and_the_severity_never_falls() -> None:
    script = Script()
    script.play(
        each_second(0, 40),
        [
            finding("open", "latency", 10, observed=150.0),
            finding("open", "ttft", 12, observed=900.0),
            finding("close", "ttft", 13),
            finding("open", "speed", 14, test=SHRINK, observed=90.0),
        ],
    )
    severities = [(e.kind, e.incident.severity) for e in script.events]
    assert severities == [("open", "info"), ("escalate", "critical"), ("evidence", "critical")]


def test_a_share_that_gets_worse_by_the_minute_escalates() -> None:
    script = Script()
    hits = [(float(second), "m", "errors", 1.0) for second in range(11, 120, 2)]
    script.play(
        each_second(0, 130), [finding("open", "errors", 10, observed=0.08, usual=0.0)], hits
    )
    assert script.outline() == [("open", 10), ("escalate", 70)]
    assert script.last.severity == "critical"
    assert script.last.peak == pytest.approx(30 / 59)


def test_a_shift_that_lasts_ends_accepted_with_before_and_after() -> None:
    script = Script()
    script.play(
        each_second(0, 60), [finding("open", "latency", 10), finding("accept", "latency", 20)]
    )
    incident = script.last
    assert script.outline() == [("open", 10), ("close", 50)]
    assert (incident.state, incident.ending, incident.type) == (
        "accepted", "accepted", "latency_drift"
    )  # fmt: skip
    assert incident.title == "chat / m: answers take 300 ms (before 100 ms), the new normal"
    assert incident.evidence[0].type == "latency_spike", "as it was told"
    assert (incident.expected.value, incident.observed.value) == (100.0, 300.0)
    assert ending_of(incident) == "after 14 s · 4 strange calls of 14, peak 300 ms, the new normal"


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        ("response", "model_drift"),
        ("cut_off", "model_drift"),
        ("speed", "latency_drift"),
        ("cost", "cost_anomaly"),
        ("errors", "error_rate_increase"),
    ],
)
def test_what_is_accepted_is_a_drift_of_latency_or_model_or_stays_what_it_was(
    channel: str, kind: str
) -> None:
    script = Script()
    found = [finding("open", channel, 10), finding("accept", channel, 20)]
    script.play(each_second(0, 60), found)
    assert (script.last.state, script.last.type) == ("accepted", kind)


def test_where_only_the_first_of_its_tests_was_accepted_it_ends_as_over() -> None:
    script = Script()
    script.play(
        each_second(0, 100),
        [
            finding("open", "latency", 10),
            finding("open", "ttft", 11),
            finding("accept", "latency", 20),
            finding("close", "ttft", 40),
        ],
    )
    assert (script.last.state, script.last.ending) == ("resolved", "over")


# Calls


def test_it_counts_the_calls_of_its_model_and_who_made_the_hits() -> None:
    script = Script()
    calls = sorted(each_second(0, 40) + each_second(0, 40, model="n"))
    calls = [(second + (model == "n") / 2, service, model) for second, service, model in calls]
    hits = [(float(second), "m", "latency", 300.0 + second) for second in range(10, 20)]
    hits += [(15.5, "n", "latency", 900.0)]
    script.play(calls, [finding("open", "latency", 10)], hits)
    (incident,) = script.book.standing()
    assert (incident.impact.calls, incident.impact.hits) == (5 + 29, 4 + 9)
    assert incident.impact.users == 7, "of a week of names"
    assert incident.peak == 319.0
    assert [example.value for example in incident.examples[1:]] == [316.0, 317.0, 318.0, 319.0]


def test_of_what_falls_the_smallest_is_the_peak_and_the_worst_example() -> None:
    script = Script()
    hits = [(float(second), "m", "response", 60.0 - second) for second in range(11, 20)]
    found = finding("open", "response", 10, test=SHRINK, observed=50.0)
    script.play(each_second(0, 30), [found], hits)
    (incident,) = script.book.standing()
    assert (incident.metric, incident.peak) == ("response_length", 41.0)
    assert [example.value for example in incident.examples[1:]] == [44.0, 43.0, 42.0, 41.0]


def test_a_call_that_two_open_tests_count_is_one_hit() -> None:
    script = Script()
    found = [finding("open", "latency", 10), finding("open", "ttft", 11)]
    hits = [(12.0, "m", "latency", 300.0), (12.0, "m", "ttft", 300.0)]
    script.play(each_second(0, 20), found, hits)
    (incident,) = script.book.standing()
    assert incident.impact.hits == 4 + 1


# Time


def test_it_says_how_it_stands_once_a_minute_of_t_while_a_test_is_open() -> None:
    script = Script()
    script.play(
        each_second(0, 300), [finding("open", "latency", 10), finding("close", "latency", 200)]
    )
    assert script.outline() == [
        ("open", 10), ("progress", 70), ("progress", 130), ("progress", 190), ("close", 230)
    ]  # fmt: skip
    assert [e.incident.impact.calls for e in script.events] == [5, 64, 124, 184, 194]


def test_it_says_how_it_stands_once_for_a_gap_and_keeps_its_minutes() -> None:
    script = Script()
    calls = each_second(0, 20) + each_second(500, 560)
    script.play(calls, [finding("open", "latency", 10)])
    assert script.outline() == [("open", 10), ("progress", 70), ("progress", 550)]


def test_what_time_brings_opens_for_the_service_as_a_whole() -> None:
    script = Script()
    surge = finding("open", "rate", 30, model=None, observed=540.0, usual=180.0)
    closed = finding("close", "rate", 60, model=None)
    script.play(each_second(0, 120), [surge, closed])
    incident = script.last
    assert script.outline() == [("open", 30), ("close", 90)]
    assert (incident.model, incident.type, incident.metric) == (
        None, "throughput_change", "request_rate"
    )  # fmt: skip
    assert incident.title == "chat: 3x the usual calls, 540 a minute (usually 180 a minute)"
    assert (incident.examples, incident.evidence[0].votes) == ([], [])
    assert (incident.evidence[0].first_offset, incident.provider) == (None, None)
    assert incident.impact.calls == 4 + 30, "of all its models"


def test_a_surge_of_the_service_explains_that_of_its_models_and_their_latency() -> None:
    script = Script()
    script.play(
        each_second(0, 60),
        [
            finding("open", "rate", 30),
            finding("open", "rate", 30, model=None),
            finding("open", "latency", 35),
        ],
    )
    assert [(e.kind, e.incident.model) for e in script.events] == [
        ("open", None), ("evidence", None), ("evidence", None)
    ]  # fmt: skip


# Silence


def test_a_test_whose_calls_stop_closes_when_they_have_been_absent_for_long() -> None:
    script = Script()
    calls = each_second(0, 20) + each_second(20, 2000, "other")
    script.play(calls, [finding("open", "latency", 10)])
    assert script.outline()[-1] == ("close", 19 + QUIET)
    assert (script.last.state, script.last.ending) == ("resolved", "silence")
    assert script.last.ended_at == at(19 + QUIET)
    assert ending_of(script.last).endswith("peak 300 ms, its calls stopped")


@pytest.mark.parametrize("later", [QUIET + 1, 3600, 86_400, 8 * 86_400])
def test_it_ends_at_the_same_time_whenever_the_next_call_comes(later: float) -> None:
    script = Script()
    script.play(each_second(0, 20), [finding("open", "latency", 10)])
    script.play([(19 + later, "chat", "m")])
    assert script.outline() == [("open", 10), ("progress", 70), ("close", 19 + QUIET)]


def test_a_call_within_that_time_keeps_it_open() -> None:
    script = Script()
    calls = [*each_second(0, 20), (19 + QUIET, "chat", "m"), (20 + QUIET, "chat", "m")]
    script.play(calls, [finding("open", "latency", 10)])
    assert script.outline() == [("open", 10), ("progress", 70)]


def test_long_buckets_make_long_patience() -> None:
    script = Script()
    hour = finding("open", "latency", 10, linger_ns=3 * 3600 * NS)
    script.play(each_second(0, 20), [hour])
    assert script.tick(19 + 8 * 3600)[-1].kind == "progress"
    assert script.tick(19 + 8 * 3600 + 1)[-1].kind == "close"
    assert script.last.ended_at == at(19 + 8 * 3600)


def test_silence_itself_ends_in_silence_only_when_a_week_makes_its_subject_idle() -> None:
    script = Script()
    found = finding("open", "rate", 15, test=SILENCE, last=clock_of(9))
    script.play([*each_second(0, 10), *each_second(10, 20, "other")], [found])
    script.tick(9 + 7 * 86_400)
    assert script.outline() == [("open", 15), ("progress", 75)]
    assert script.tick(10 + 7 * 86_400)[-1].incident.ended_at == at(9 + 7 * 86_400)
    assert script.last.ending == "silence"


def test_what_the_core_closes_after_that_is_nobodys() -> None:
    script = Script()
    script.play(each_second(0, 20), [finding("open", "latency", 10)])
    script.play(each_second(5000, 5020), [finding("close", "latency", 5010)])
    assert [kind for kind, _ in script.outline()] == ["open", "progress", "close"]


def test_state_does_not_grow_with_what_flaps() -> None:
    script = Script()
    for start in range(0, 4000, 20):
        script.play(
            each_second(start, start + 20),
            [finding("open", "latency", start + 5), finding("close", "latency", start + 10)],
        )
    (incident,) = script.book.standing()
    assert len(incident.evidence) == 50
    assert len([e for e in script.events if e.kind == "open"]) == 1
