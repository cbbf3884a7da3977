"""What is told of incidents: once, at once where it gets worse, again where it lasts."""

from typing import Any

import msgspec
import pytest

from scenes.told import NS, T0, event, incident, outline, told
from sentinel.alerting import Grouper, GroupingRules
from sentinel.errors import TornState
from sentinel.model.incident import Impact, IncidentEvent
from sentinel.model.instant import instant

WINDOW, REPEAT = 300, 14_400


def test_an_incident_is_told_when_it_opens_and_when_it_ends() -> None:
    alerts = told(event("open", 0), event("progress", 60), event("close", 90))
    assert outline(alerts) == [("a", "open", 0, 0), ("a", "resolve", 90, 0)]
    first, second = alerts
    assert (first.status, second.status) == ("firing", "resolved")
    assert (first.sequence, second.sequence) == (1, 2)
    assert first.ended_at is None
    assert second.ended_at == instant((T0 + 90) * NS)


def test_an_alert_says_what_the_incident_says() -> None:
    (alert,) = told(event("open", 0))
    source = incident("a")
    for name in (
        *("tenant", "environment", "service", "model", "provider", "metric", "detector", "type"),
        *("severity", "score", "title", "observed", "expected", "impact", "started_at"),
        *("examples", "fingerprint", "not_it", "peak"),
    ):
        assert getattr(alert, name) == getattr(source, name)
    assert alert.votes == source.evidence[0].votes
    assert (alert.evidence.statistic, alert.evidence.threshold) == (315.0, 210.0)
    assert alert.version == 1


def test_an_equal_incident_within_the_window_is_held_back_and_counted() -> None:
    alerts = told(
        event("open", 0),
        event("close", 30),
        event("open", 60, "b"),
        event("close", 90, "b"),
        event("open", 120, "c"),
        event("close", 150, "c"),
        event("open", 400, "d"),
        event("close", 430, "d"),
    )
    assert outline(alerts) == [
        ("a", "open", 0, 0),
        ("a", "resolve", 30, 0),
        ("d", "open", 400, 2),
        ("d", "resolve", 430, 0),
    ]


@pytest.mark.parametrize(("after", "held"), [(299.9, True), (300, False)])
def test_the_window_ends_five_minutes_after_the_opening_that_was_told(
    after: float, held: bool
) -> None:
    alerts = told(event("open", 0), event("close", 1), event("open", after, "b"))
    assert [a.incident for a in alerts] == (["a", "a"] if held else ["a", "a", "b"])


def test_what_is_held_back_is_told_after_the_window_if_it_is_still_open() -> None:
    alerts = told(
        event("open", 0),
        event("close", 30),
        event("open", 60, "b"),
        *(event("progress", second, "b") for second in (120, 180, 240, 300, 360)),
        event("close", 420, "b"),
    )
    assert outline(alerts)[2:] == [("b", "open", 300, 0), ("b", "resolve", 420, 0)]
    assert alerts[2].sequence == 1


def test_what_ended_while_it_was_held_back_is_never_told() -> None:
    alerts = told(
        event("open", 0), event("close", 30), event("open", 60, "b"), event("close", 90, "b")
    )
    assert {alert.incident for alert in alerts} == {"a"}


def test_an_incident_that_was_held_back_starts_the_next_window_when_it_is_told() -> None:
    alerts = told(
        event("open", 0),
        event("close", 30),
        event("open", 60, "b"),
        event("progress", 310, "b"),
        event("close", 320, "b"),
        event("open", 600, "c"),
        event("progress", 611, "c"),
    )
    assert outline(alerts)[2:] == [
        ("b", "open", 310, 0),
        ("b", "resolve", 320, 0),
        ("c", "open", 611, 0),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"service": "search"},
        {"model": "n"},
        {"type": "cost_anomaly"},
        {"tenant": "t"},
        {"environment": "prod"},
    ],
)
def test_incidents_that_differ_are_not_equal(other: dict[str, str]) -> None:
    alerts = told(event("open", 0), event("open", 10, "b", **other))
    assert [alert.incident for alert in alerts] == ["a", "b"]


def test_names_that_join_to_the_same_text_are_not_equal() -> None:
    one = event("open", 0, service="x", model="y/z")
    two = event("open", 10, "b", service="x/y", model="z")
    assert len(told(one, two)) == 2


def test_what_gets_worse_is_told_at_once() -> None:
    alerts = told(
        event("open", 0, severity="info"),
        event("evidence", 5, severity="info"),
        event("escalate", 10, severity="warning"),
        event("progress", 60, severity="warning"),
        event("escalate", 70, severity="critical"),
        event("close", 80, severity="critical"),
    )
    assert [(a.kind, a.severity) for a in alerts] == [
        ("open", "info"),
        ("escalate", "warning"),
        ("escalate", "critical"),
        ("resolve", "critical"),
    ]
    assert [alert.sequence for alert in alerts] == [1, 2, 3, 4]


def test_what_gets_worse_while_it_is_held_back_is_told_at_once_and_opens() -> None:
    alerts = told(
        event("open", 0),
        event("close", 30),
        event("open", 60, "b"),
        event("evidence", 65, "b"),
        event("escalate", 70, "b", severity="critical"),
        event("close", 100, "b", severity="critical"),
    )
    assert outline(alerts)[2:] == [("b", "open", 70, 0), ("b", "resolve", 100, 0)]
    assert alerts[2].severity == "critical"


def test_an_escalation_passes_though_as_bad_a_one_was_told_before() -> None:
    alerts = told(
        event("open", 0, severity="critical"),
        event("close", 30, severity="critical"),
        event("open", 60, "b", severity="warning"),
        event("escalate", 70, "b", severity="critical"),
    )
    assert outline(alerts)[2:] == [("b", "open", 70, 0)]


def test_an_equal_incident_that_is_worse_than_what_was_told_is_not_held_back() -> None:
    alerts = told(event("open", 0), event("close", 30), event("open", 60, "b", severity="critical"))
    assert outline(alerts)[2:] == [("b", "open", 60, 0)]
    again = told(
        event("open", 0, severity="critical"),
        event("close", 30, severity="critical"),
        event("open", 60, "b", severity="critical"),
        event("open", 70, "c", severity="warning"),
    )
    assert len(again) == 2


def test_an_incident_that_lasts_is_told_again_after_four_hours_of_t_and_then_ever_later() -> None:
    bad = {"severity": "critical"}
    minutes = [event("progress", 60 * minute, **bad) for minute in range(1, 30 * 60)]
    alerts = told(event("open", 0, **bad), *minutes)
    assert outline(alerts) == [
        ("a", "open", 0, 0),
        ("a", "repeat", REPEAT, 0),
        ("a", "repeat", 3 * REPEAT, 0),
        ("a", "repeat", 7 * REPEAT, 0),
    ]
    assert [alert.sequence for alert in alerts] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "quiet",
    [
        {"severity": "info"},
        {"severity": "warning"},
        {"severity": "critical", "state": "acknowledged"},
    ],
)
def test_what_is_less_than_critical_or_known_to_somebody_is_not_repeated(
    quiet: dict[str, str],
) -> None:
    alerts = told(event("open", 0, **quiet), event("progress", 2 * REPEAT, **quiet))
    assert [alert.kind for alert in alerts] == ["open"]


def test_what_is_accepted_resolves_under_its_new_name() -> None:
    accepted = {"state": "accepted", "ending": "accepted", "type": "latency_drift"}
    end = event("close", 30, **accepted)
    first = incident("a").evidence[0]
    end = msgspec.structs.replace(
        end, incident=msgspec.structs.replace(end.incident, evidence=[first])
    )
    alerts = told(event("open", 0), end, event("open", 60, "b"))
    assert [(a.kind, a.type, a.ending) for a in alerts] == [
        ("open", "latency_spike", None),
        ("resolve", "latency_drift", "accepted"),
    ], "the third is equal to the first, and held back"


def test_the_last_word_has_the_final_numbers() -> None:
    final: dict[str, Any] = {"impact": Impact(calls=900, hits=400, users=38), "peak": 999.0}
    alerts = told(event("open", 0), event("close", 30, **final))
    assert alerts[0].impact.calls == 3
    assert (alerts[1].impact, alerts[1].peak) == (final["impact"], 999.0)


def test_an_escalation_counts_as_told_for_the_next_repeat() -> None:
    alerts = told(
        event("open", 0),
        event("escalate", 10_000, severity="critical"),
        event("progress", REPEAT + 60, severity="critical"),
        event("progress", 10_000 + REPEAT, severity="critical"),
    )
    assert [a.kind for a in alerts] == ["open", "escalate", "repeat"]
    assert round(alerts[-1].timestamp.timestamp()) - T0 == 10_000 + REPEAT


def test_without_deduplication_nothing_is_held_back_but_repeats_stay_rare() -> None:
    rules = GroupingRules(enabled=False)
    alerts = told(
        event("open", 0),
        event("close", 1),
        event("open", 2, "b"),
        event("progress", 62, "b"),
        event("close", 63, "b"),
        rules=rules,
    )
    assert [(a.incident, a.kind) for a in alerts] == [
        ("a", "open"),
        ("a", "resolve"),
        ("b", "open"),
        ("b", "resolve"),
    ]
    assert {alert.held_back for alert in alerts} == {0}


def test_the_rules_decide_the_window_and_the_interval() -> None:
    rules = GroupingRules(window_secs=10, repeat_interval_secs=60)
    alerts = told(
        event("open", 0, severity="critical"),
        event("progress", 60, severity="critical"),
        event("close", 61, severity="critical"),
        event("open", 62, "b"),
        rules=rules,
    )
    assert [alert.kind for alert in alerts] == ["open", "repeat", "resolve", "open"]


def scenes() -> list[IncidentEvent]:
    """Return a few hundred events of incidents that come and go, some of them equal."""
    severities = ("info", "warning", "critical")
    found: list[IncidentEvent] = []
    second = 0
    for number in range(60):
        name, service = f"i{number}", f"s{number % 3}"
        level = number // 20 % 2
        found.append(event("open", second, name, service=service, severity=severities[level]))
        for step in range(number % 4):
            second += 60
            found.append(
                event("progress", second, name, service=service, severity=severities[level])
            )
            if step == 2:
                level += 1
                found.append(
                    event("escalate", second + 1, name, service=service, severity=severities[level])
                )
        second += 17
        if number % 5:
            found.append(event("close", second, name, service=service, severity=severities[level]))
    return found


def test_what_is_told_does_not_depend_on_where_the_state_was_saved() -> None:
    events = scenes()
    whole = told(*events)
    assert {alert.kind for alert in whole} == {"open", "escalate", "resolve"}
    assert any(alert.held_back for alert in whole)
    for cut in range(len(events) + 1):
        first, second = Grouper(GroupingRules()), Grouper(GroupingRules())
        alerts = first.tell(events[:cut])
        second.restore(first.save())
        assert alerts + second.tell(events[cut:]) == whole, f"cut at {cut}"


def test_a_resolve_never_comes_without_an_open_and_ids_are_never_used_twice() -> None:
    for enabled in (True, False):
        open_now: set[str] = set()
        alerts = told(*scenes(), rules=GroupingRules(enabled=enabled))
        for alert in alerts:
            assert (alert.kind == "open") == (alert.incident not in open_now)
            if alert.kind == "resolve":
                open_now.remove(alert.incident)
            else:
                open_now.add(alert.incident)
        assert len({alert.id for alert in alerts}) == len(alerts)


def test_what_was_opened_before_it_looked_is_not_told() -> None:
    assert told(event("progress", 0), event("escalate", 1), event("close", 2)) == []


def test_state_does_not_grow_with_what_is_over() -> None:
    grouper = Grouper(GroupingRules())
    sizes = []
    for number in range(300):
        second = number * 1000
        grouper.tell([event("open", second, f"i{number}", service=f"s{number}")])
        grouper.tell([event("close", second + 10, f"i{number}", service=f"s{number}")])
        sizes.append(len(grouper.save()))
    assert max(sizes) < 300


@pytest.mark.parametrize("saved", [b"", b"\x00", b"\xff" * 20, b"\x81\xa4told\x01"])
def test_saved_state_that_is_not_whole_is_torn(saved: bytes) -> None:
    with pytest.raises(TornState, match="grouping state"):
        Grouper(GroupingRules()).restore(saved)


def test_saved_state_cut_anywhere_is_torn() -> None:
    grouper = Grouper(GroupingRules())
    grouper.tell(scenes()[:100])
    saved = grouper.save()
    for length in range(0, len(saved), 7):
        with pytest.raises(TornState):
            Grouper(GroupingRules()).restore(saved[:length])
