"""What belongs to one partition: which records are judged together."""

from types import SimpleNamespace
from typing import Any

import pytest

from sentinel.service.owner import Owner
from sentinel.service.work import Work
from sentinel.sources.segments import EVENTS


class Partition:
    """A partition that has nothing."""

    clock = next_offset = 0

    def names(self) -> set[bytes]:
        return set()

    def open_incidents(self) -> list[Any]:
        return []


def runs_of(
    monkeypatch: pytest.MonkeyPatch, told_until: int, spans: list[tuple[int, int]]
) -> list[list[int]]:
    """Return the offsets that were judged together, of works with these offsets and spans."""
    runs: list[list[int]] = []
    monkeypatch.setattr(
        Owner,
        "_judge_events",
        lambda _, run: runs.append([item.offset for item in run]) if run else None,
    )
    parts: Any = SimpleNamespace(partition=Partition(), told_until=told_until)
    owner = Owner(parts, snapshot_secs=1, publish=lambda _: None, committed=lambda: None)
    owner.judge([Work(offset, EVENTS, 0, span=span) for offset, span in spans])
    return runs


def test_what_was_told_is_not_judged_together_with_what_was_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = [(2, 3), (5, 2), (7, 1), (8, 1)]
    assert runs_of(monkeypatch, 7, spans) == [[2, 5], [7, 8]]
    assert runs_of(monkeypatch, 2, spans) == [[2, 5, 7, 8]]
    assert runs_of(monkeypatch, 9, spans) == [[2, 5, 7, 8]]
