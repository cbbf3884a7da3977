"""Judging the journal again: how its records are put together, and for whom it waits."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sentinel.service import recovery
from sentinel.service.engine_loop import ROUND_EVENTS
from sentinel.service.recovery import judge_again
from sentinel.sources.journal import TICK
from sentinel.sources.segments import Record


class Log:
    """A journal of ticks."""

    def __init__(self, end: int) -> None:
        self.end = end

    def read(self, begin: int) -> Iterator[Record]:
        return (Record(offset, TICK, offset, "default", b"") for offset in range(begin, self.end))


class Store:
    """A store that is behind for as long as it is told to be."""

    def __init__(self, behind: int = 0, failure: str | None = None) -> None:
        self.behind, self.failure = behind, failure

    @property
    def is_behind(self) -> bool:
        return self.behind > 0

    def health(self) -> Any:
        return SimpleNamespace(failure=self.failure)


class Owner:
    """Takes down which records were judged together."""

    def __init__(self, begin: int, told_until: int) -> None:
        self.judged_to = begin
        self.parts = SimpleNamespace(told_until=told_until)
        self.rounds: list[range] = []

    def judge(self, work: list[Any]) -> None:
        self.rounds.append(range(work[0].offset, work[-1].offset + 1))


def judged(end: int, *, begin: int = 0, told_until: int = 0, store: Store | None = None) -> Owner:
    owner: Any = Owner(begin, told_until)
    log: Any = Log(end)
    place: Any = store or Store()
    intake: Any = None
    assert judge_again(owner, place, log, intake).judged_again == end - begin
    return owner  # type: ignore[no-any-return]


def test_a_round_is_no_larger_than_a_live_one() -> None:
    rounds = judged(2 * ROUND_EVENTS + 1).rounds
    assert [len(one) for one in rounds] == [ROUND_EVENTS, ROUND_EVENTS, 1]


def test_it_waits_while_the_store_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging is faster than writing: rows that wait would fill the memory."""
    store = Store(behind=3)
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        store.behind -= 1

    monkeypatch.setattr(recovery, "time", SimpleNamespace(sleep=sleep))
    judged(10, store=store)
    assert pauses == [recovery.STORE_PAUSE_SECONDS] * 3


def test_it_does_not_wait_for_a_store_that_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(_: float) -> None:
        raise AssertionError("a disk that is full now may be full for hours")

    monkeypatch.setattr(recovery, "time", SimpleNamespace(sleep=sleep))
    assert judged(10, store=Store(behind=1, failure="No space left")).rounds == [range(10)]
