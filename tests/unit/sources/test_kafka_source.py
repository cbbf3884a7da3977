"""The thread that polls: it pauses while too much waits, and goes on polling."""

from typing import Any

import pytest

from sentinel.connections.kafka import Chunk, Place, Trouble
from sentinel.sources import kafka
from sentinel.sources.kafka import KafkaSource

ONE, TWO = Place("calls", 0), Place("calls", 1)


class Group:
    """A group that is told what happens by the test, one step a poll."""

    steps: list[Any]
    calls: list[tuple[str, Any]]
    told: Any
    source: KafkaSource

    def __init__(self, client: Any, topics: Any, told: Any) -> None:
        type(self).told = told
        self.calls.append(("join", None))

    def consume(self, most: int, seconds: float) -> tuple[list[Chunk], list[Trouble]]:
        if not self.steps:
            raise StopIteration
        self.steps.pop(0)()
        return [], []

    def pause(self, places: set[Place]) -> None:
        self.calls.append(("pause", set(places)))

    def resume(self, places: set[Place]) -> None:
        self.calls.append(("resume", set(places)))

    def close(self) -> None:
        self.calls.append(("close", None))


class Served:
    """Whom the source serves."""

    rest: frozenset[Place] = frozenset()

    def assigned(self, group: Any, places: list[Place]) -> dict[Place, int]:
        return dict.fromkeys(places, 5)

    def revoked(self, places: list[Place]) -> None:
        pass

    lost = revoked

    def take(self, chunks: list[Chunk]) -> None:
        pass

    def resting(self) -> set[Place]:
        return set(self.rest)

    def meet(self, trouble: Trouble) -> None:
        pass

    def look(self, group: Any) -> None:
        pass


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    monkeypatch.setattr(Group, "calls", [], raising=False)
    monkeypatch.setattr(kafka, "Group", Group)
    return Group.calls


def run(monkeypatch: pytest.MonkeyPatch, served: Served, *steps: Any) -> None:
    """Run the thread's work here, until there are no more steps."""
    monkeypatch.setattr(Group, "steps", list(steps), raising=False)
    source = KafkaSource(
        {}, ["calls"], served, most=9, failed=lambda _: None, crash_point=lambda _: None
    )
    Group.source = source
    with pytest.raises(StopIteration):
        source._run()


def test_it_pauses_while_too_much_waits_and_pauses_what_is_new_too(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, Any]]
) -> None:
    served = Served()

    def fill() -> None:
        served.rest = frozenset([ONE, TWO])

    def empty() -> None:
        served.rest = frozenset()

    run(
        monkeypatch,
        served,
        lambda: Group.told.assigned([ONE]),
        fill,
        lambda: None,
        lambda: Group.told.assigned([TWO]),
        lambda: None,
        lambda: Group.told.revoked([ONE]),
        empty,
        lambda: None,
    )
    assert calls == [
        ("join", None),
        ("pause", {ONE}),
        ("pause", {TWO}),
        ("resume", {TWO}),
        ("close", None),
    ]


def test_what_rests_alone_is_paused_alone_and_goes_on_whatever_comes_meanwhile(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, Any]]
) -> None:
    served = Served()

    def rest() -> None:
        served.rest = frozenset([ONE])

    def go_on() -> None:
        Group.told.assigned([TWO])
        served.rest = frozenset()

    run(monkeypatch, served, lambda: Group.told.assigned([ONE]), rest, lambda: None, go_on)
    assert calls == [("join", None), ("pause", {ONE}), ("resume", {ONE}), ("close", None)]


def test_it_leaves_and_joins_again_when_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, Any]]
) -> None:
    run(monkeypatch, Served(), lambda: Group.source.rejoin(), lambda: None)
    assert [what for what, _ in calls] == ["join", "close", "join", "close"]


def test_it_ends_when_it_is_stopped(calls: list[tuple[str, Any]]) -> None:
    source = KafkaSource(
        {}, [], Served(), most=9, failed=lambda _: None, crash_point=lambda _: None
    )
    Group.steps = [lambda: None] * 1_000_000
    source.start()
    assert source.stop(5)
    assert calls[-1] == ("close", None)
