"""What happens to an incident while it is open, and how it ends."""

import pytest

from scenes.feed import Feed, armed, at, call, slow
from sentinel.engine import Rules
from sentinel.engine.wording import ending_of
from sentinel.model.incident import IncidentEvent
from sentinel.model.instant import instant

MINUTES_15 = 900


def heavy(start: int, stop: int, factor: float = 3.0) -> list[dict[str, object]]:
    """Return calls that are slow and use `factor` times the tokens."""
    return [
        call(second, latency_ms=315.0, total_tokens=int(1005 * factor))
        for second in range(start, stop)
    ]


def told(events: list[IncidentEvent]) -> list[tuple[str, object]]:
    return [(event.kind, instant(event.clock)) for event in events]


def test_a_second_test_joins_as_evidence() -> None:
    feed = armed()
    (opened,) = feed.send(*slow(200, 206))
    (joined,) = feed.send(*heavy(206, 209))
    assert joined.kind == "evidence"
    assert joined.incident.id == opened.incident.id
    assert joined.incident.metric == "latency_ms", "what opened it names it to its end"
    first, second = joined.incident.evidence
    assert first == opened.incident.evidence[0]
    assert (second.metric, second.timestamp, second.type) == (
        "total_tokens",
        at(208),
        "token_usage_spike",
    )
    assert joined.incident.severity == "warning"


def test_worse_evidence_escalates_and_the_severity_never_falls() -> None:
    feed = armed()
    feed.send(*slow(200, 206))
    (worse,) = feed.send(*heavy(206, 209, 9.0)[2:])
    assert worse.kind == "evidence", "a record of 9 times the usual is no more than a warning"
    feed.send(*heavy(209, 212, 9.0))
    assert feed.kinds() == ["open", "evidence", "escalate"]
    assert (feed.last.severity, feed.last.score) == ("critical", 4.5)
    assert [evidence.metric for evidence in feed.last.evidence] == [
        "latency_ms",
        "total_tokens",
        "total_tokens",
    ]
    feed.ordinary(212, 240)
    assert feed.kinds()[-1] == "close"
    assert (feed.last.severity, feed.last.score) == ("critical", 4.5)


def test_it_closes_with_the_tenth_calm_call() -> None:
    feed = armed()
    feed.send(*slow(200, 210))
    assert feed.ordinary(210, 219) == []
    (closed,) = feed.ordinary(219, 220)
    assert closed.kind == "close"
    assert (closed.incident.state, closed.incident.ended_at) == ("resolved", at(219))
    assert feed.partition.open_incidents() == []


def test_a_late_call_that_closes_it_does_not_end_it_before_it_began() -> None:
    feed = armed()
    feed.send(*slow(200, 210))
    feed.ordinary(210, 219)
    (closed,) = feed.send(call(-3600))
    assert (closed.kind, closed.incident.ended_at) == ("close", at(202))


def test_a_call_above_the_middle_starts_the_ten_anew() -> None:
    feed = armed()
    feed.send(*slow(200, 210))
    feed.ordinary(210, 219)
    feed.send(*slow(219, 220))
    assert feed.ordinary(220, 229) == []
    assert [event.kind for event in feed.ordinary(229, 230)] == ["close"]


def test_it_closes_only_when_the_last_of_its_tests_closes() -> None:
    feed = armed()
    feed.send(*slow(200, 206))
    feed.send(*heavy(206, 212))
    # Latency is calm now, tokens are not.
    feed.send(*(call(second, total_tokens=3015) for second in range(212, 240)))
    assert feed.kinds() == ["open", "evidence"]
    (incident,) = feed.partition.open_incidents()
    assert incident.ended_at is None
    assert [event.kind for event in feed.ordinary(240, 250)] == ["close"]
    assert feed.last.ended_at == at(249)


def test_failures_close_when_one_call_in_twenty_fails() -> None:
    feed = armed()
    feed.send(*(call(200 + i, errors=["timeout"]) for i in range(5)))
    assert [event.kind for event in feed.ordinary(205, 240)] == ["close"]
    # Twenty calls hold one failure, the fifth, with the one nineteen calls after it.
    assert feed.last.ended_at == at(204 + 19)
    assert (feed.last.impact.calls, feed.last.impact.hits) == (19, 1)
    assert ending_of(feed.last) == "after 23 s · 1 failed calls of 19"


def test_a_shift_that_lasts_is_told_once_and_learned() -> None:
    feed = armed(Rules(window_size=300))
    feed.send(*slow(200, 1200, 2.6))
    assert feed.kinds().count("open") == 1
    assert feed.kinds()[-1] == "close"
    assert feed.last.impact.calls == 400 - 1, "without the call that closes it"


def test_silence_of_a_quarter_of_an_hour_closes_it_even_if_it_never_speaks_again() -> None:
    feed = armed()
    feed.send(*slow(200, 205))
    feed.ordinary(204, 204 + MINUTES_15 + 1, service_name="other", event_id=None)
    assert feed.kinds()[-1] == "progress", "not beyond a quarter of an hour yet"
    (closed,) = feed.ordinary(205 + MINUTES_15, 206 + MINUTES_15, service_name="other")
    assert closed.kind == "close"
    assert closed.incident.ended_at == at(204 + MINUTES_15)
    assert instant(closed.clock) == at(204 + MINUTES_15)


@pytest.mark.parametrize("later", [901, 3600, 86_400, 8 * 86_400])
def test_silence_ends_at_the_same_time_whenever_the_next_call_comes(later: int) -> None:
    feed = armed()
    feed.send(*slow(200, 205))
    happened = feed.send(call(204 + later))
    assert told(happened) == [("progress", at(262)), ("close", at(204 + MINUTES_15))]
    assert feed.last.ended_at == at(204 + MINUTES_15)
    assert (feed.last.impact.calls, feed.last.impact.hits) == (3, 3)


def test_a_tick_of_the_log_moves_t_as_an_event_does() -> None:
    feed = armed()
    feed.send(*slow(200, 205))
    happened = feed.partition.advance(int(at(1104).timestamp() * 1e9), 206)
    assert told(happened) == [("progress", at(262))], "not beyond a quarter of an hour yet"
    happened = feed.partition.advance(int(at(1105).timestamp() * 1e9), 207)
    assert told(happened) == [("close", at(1104))]
    assert happened[0].incident.ended_at == at(204 + MINUTES_15)
    assert feed.partition.next_offset == 207
    assert feed.send(call(1106)) == []


def test_a_series_that_the_full_core_forgets_still_closes_its_incident() -> None:
    whole = Rules(max_series=4)
    week = 8 * 86_400
    calls = [
        *slow(200, 205),
        *(call(week + i, service_name="other") for i in range(3)),
        *(call(week + 3 + i) for i in range(3)),
    ]
    one = armed(whole)
    one.send(*calls)
    assert one.kinds() == ["open", "progress", "close"]
    assert one.last.ended_at == at(204 + MINUTES_15)
    for size in (1, 2, 3, 6):
        feed = armed(whole)
        for start in range(0, len(calls), size):
            feed.send(*calls[start : start + size])
        assert feed.events == one.events, f"batches of {size}"


def test_it_says_how_it_stands_once_a_minute_of_t() -> None:
    feed = armed()
    feed.send(*slow(200, 400))
    assert told(feed.events) == [
        ("open", at(202)),
        ("progress", at(262)),
        ("progress", at(322)),
        ("progress", at(382)),
    ]
    # Those before the event at which the minute is over.
    assert [event.incident.impact.calls for event in feed.events] == [0, 60, 120, 180]


def test_it_says_how_it_stands_once_for_a_gap() -> None:
    feed = armed()
    feed.send(*slow(200, 205))
    feed.send(*slow(204 + MINUTES_15, 210 + MINUTES_15))
    assert told(feed.events) == [("open", at(202)), ("progress", at(262))]
    feed.send(*slow(1160, 1170))
    # The grid of minutes stays that of the opening.
    assert told(feed.events)[2:] == [("progress", at(1162))]


def test_other_services_move_its_minutes_too() -> None:
    feed = armed()
    feed.send(*slow(200, 205))
    feed.ordinary(205, 400, service_name="other", event_id=None)
    assert feed.kinds() == ["open", "progress", "progress", "progress"]
    assert [event.incident.impact.calls for event in feed.events] == [0, 3, 3, 3]


def test_calls_and_hits_are_counted_from_the_opening_on() -> None:
    feed = armed()
    feed.send(*slow(200, 210))
    feed.ordinary(205, 210, model="another", event_id=None)
    feed.ordinary(210, 215)
    feed.send(*slow(215, 217))
    feed.ordinary(217, 227)
    assert feed.kinds() == ["open", "close"]
    # From second 202; the call that closes it is not one of them.
    assert (feed.last.impact.calls, feed.last.impact.hits) == (24, 10)


def test_a_repeated_call_is_not_counted() -> None:
    feed = armed()
    feed.send(*slow(200, 205))
    feed.send(*slow(200, 205))
    (incident,) = feed.partition.open_incidents()
    assert (incident.impact.calls, incident.impact.hits) == (3, 3)


def test_the_peak_is_the_strangest_value_and_the_examples_are_the_strangest_calls() -> None:
    feed = armed()
    values = [300, 310, 320, 500, 450, 330, 700, 410, 350, 520, 480, 340]
    feed.send(*(call(200 + i, latency_ms=float(value)) for i, value in enumerate(values)))
    (incident,) = feed.partition.open_incidents()
    assert incident.peak == 700
    first = incident.examples[0]
    assert (first.event_id, first.value, first.timestamp) == ("call-202", 320, at(202))
    assert sorted(e.value for e in incident.examples[1:]) == [480, 500, 520, 700]
    assert len({e.event_id for e in incident.examples}) == 5


def test_a_test_that_is_over_adds_nothing_to_the_peak_whatever_the_batches() -> None:
    calls = [
        *slow(200, 206),
        *heavy(206, 212),
        *(call(second, total_tokens=3015) for second in range(212, 230)),
        call(230, latency_ms=480.0, total_tokens=3015),
        *(call(second, total_tokens=3015) for second in range(231, 235)),
    ]
    for size in (1, 5, 18, len(calls)):
        feed = armed()
        for start in range(0, len(calls), size):
            feed.send(*calls[start : start + size])
        (incident,) = feed.partition.open_incidents()
        assert feed.kinds() == ["open", "evidence"]
        assert incident.peak == 315.0, "the slow call came when latency was over"
        assert incident.impact.hits == 33


def test_the_ending_is_put_into_words() -> None:
    feed = armed()
    feed.send(*slow(200, 300))
    feed.ordinary(300, 310)
    assert ending_of(feed.last) == "after 109 s · 98 strange calls of 107, peak 315 ms"


def test_two_services_in_trouble_have_two_incidents_told_in_the_order_of_events() -> None:
    feed = Feed()
    for second in range(200):
        feed.send(call(second), call(second, service_name="also", event_id=None))
    pairs = [
        pair
        for second in range(200, 203)
        for pair in (
            call(second, latency_ms=315.0),
            call(second, latency_ms=315.0, service_name="also", event_id=None),
        )
    ]
    happened = feed.send(*pairs)
    assert [(e.kind, e.incident.service) for e in happened] == [("open", "chat"), ("open", "also")]
    standing = feed.partition.open_incidents()
    assert {incident.service for incident in standing} == {"chat", "also"}
    assert [i.id for i in standing] == sorted(i.id for i in standing), "both opened at one time"


def test_a_batch_without_events_changes_nothing_while_an_incident_is_open() -> None:
    feed = armed()
    feed.send(*slow(200, 205))
    before = feed.partition.shared_state()
    assert feed.send() == []
    assert feed.partition.shared_state() == before


def test_positions_that_go_back_are_refused() -> None:
    feed = armed()
    feed.partition.pass_over(600)
    before = feed.partition.shared_state()
    with pytest.raises(ValueError, match="expected offsets from 600 on"):
        feed.send_at(599, call(500))
    assert feed.partition.shared_state() == before
    feed.send_at(600, call(500))
    assert feed.partition.next_offset == 601
