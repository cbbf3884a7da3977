"""What people do about incidents, on record."""

from typing import Any

from scenes.script import KEY, Script, clock_of, each_second, finding
from sentinel.model.instant import instant


def at(second: float) -> Any:
    return instant(clock_of(second))


def opened() -> Script:
    script = Script()
    found = [finding("open", "latency", 10), finding("open", "ttft", 12)]
    script.play(each_second(0, 20), found)
    return script


def test_who_acknowledges_is_on_record_and_it_goes_on() -> None:
    script = opened()
    (told,) = script.act(25, kind="acknowledge", incident=script.last.id)
    assert (told.kind, told.incident.state) == ("acknowledge", "acknowledged")
    assert told.incident.acknowledged is not None
    assert (told.incident.acknowledged.by, told.incident.acknowledged.at) == ("ann", at(25))
    script.play(
        each_second(20, 40), [finding("close", "latency", 21), finding("close", "ttft", 22)]
    )
    assert script.tick(60)[0].incident.state == "resolved"


def test_who_resolves_ends_it_and_what_its_tests_still_say_opens_nothing() -> None:
    script = opened()
    (told,) = script.act(25, kind="resolve", incident=script.last.id)
    assert (told.kind, told.incident.state, told.incident.ending) == (
        "close", "resolved", "by_hand"
    )  # fmt: skip
    assert told.incident.resolved is not None
    assert told.incident.ended_at == at(25)
    assert script.play(each_second(26, 90), [finding("close", "latency", 40)]) == []
    assert script.act(95, kind="resolve", incident=told.incident.id) == []
    assert script.core.evidence.accepted == []


def test_who_accepts_ends_it_and_the_core_takes_the_newest_samples() -> None:
    script = opened()
    (told,) = script.act(25, kind="accept", incident=script.last.id)
    assert (told.incident.state, told.incident.type) == ("accepted", "latency_drift")
    assert told.incident.accepted is not None
    assert (told.incident.accepted.by, told.incident.accepted.note) == ("ann", "why")
    assert script.core.evidence.accepted == [(KEY, 0), (KEY, 1)]
    assert script.book.standing() == []


def test_who_accepts_a_baseline_ends_what_rests_on_it_alone() -> None:
    script = opened()
    assert script.act(25, kind="accept", baseline=(*KEY, "latency_ms")) == []
    (told,) = script.act(26, kind="accept", baseline=(*KEY, "ttft_ms"))
    assert (told.incident.state, told.incident.ended_at) == ("accepted", at(26))
    assert script.act(27, kind="accept", baseline=(*KEY, "total_tokens")) == []
    assert script.core.evidence.accepted == [(KEY, 0), (KEY, 1), (KEY, 2), (KEY, 3)]
