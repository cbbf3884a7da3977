"""A replay is one call after another: cut anywhere, saved anywhere, the same comes out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from end_to_end.streams import Lines, nasty
from sentinel.errors import ForeignState, TornState
from sentinel.replay.run import Replay, Step
from sentinel.settings import Settings
from sentinel.sources.file import Body

Results = tuple[list[bytes], list[bytes], list[bytes]]
CAPS = (100_000, 30, 16, 9)
"""Series that fit: all of the stream, most of it, hardly any."""


def settings_of(**baseline: int) -> Settings:
    return msgspec.convert({"detection": {"baseline": baseline}}, Settings)


def gather(results: Results, step: Step) -> None:
    news: list[Sequence[Any]] = [step.anomalies, step.incident_events, step.alerts]
    for found, new in zip(results, news, strict=True):
        found += map(msgspec.json.encode, new)


def play(
    lines: Lines, cuts: list[int], settings: Settings, saved: frozenset[int] = frozenset()
) -> tuple[Results, bytes]:
    """Judge a stream cut into bodies, with a new process at some cuts; return all that came out."""
    replay = Replay(settings)
    results: Results = ([], [], [])
    for start, stop in pairwise(cuts):
        gather(results, replay.judge(b"".join(lines[start:stop])))
        if stop in saved:
            state = replay.save()
            replay = Replay(settings)
            replay.restore(state)
    return results, msgspec.msgpack.encode(replay.save())


@pytest.fixture(scope="module", params=[6, 10])
def lines(request: pytest.FixtureRequest) -> Lines:
    return nasty(request.param)


@pytest.mark.parametrize("cap", CAPS)
def test_results_and_state_do_not_depend_on_how_a_stream_is_cut_or_carried_on(
    lines: Lines, cap: int
) -> None:
    settings, n = settings_of(max_series=cap), len(lines)
    whole = play(lines, [0, n], settings)
    assert len(whole[0][1]) > 10, "incidents come and go in it"
    rng = np.random.default_rng(cap)
    for turn in range(3):
        inner = sorted(rng.integers(0, n + 1, 25).tolist())
        cuts = [0, *inner, n]
        saved = frozenset(inner) if turn else frozenset[int]()
        assert play(lines, cuts, settings, saved) == whole, f"cuts {cuts}"
    assert play(lines, [*range(0, n, 7), n], settings) == whole


def test_bodies_say_themselves_whether_they_are_lines() -> None:
    good = b'{"service_name":"a","model":"b","timestamp":1740992400}'
    replay = Replay(Settings())
    bodies = [
        Body(b"[" + good + b"," + good + b"]", lines=False),
        Body(b"[1, 2]\n" + good, lines=True),
    ]
    first, second = replay.feed(bodies)
    assert (len(first.batch), len(second.batch)) == (2, 1)
    assert replay.counts.events == 4
    assert replay.partition.next_offset == 4
    assert replay.counts.rejections == {"wrong_type": 1}


def test_what_was_seen_is_counted(lines: Lines) -> None:
    replay = Replay(Settings())
    steps = [
        replay.judge(b"".join(lines[first : first + 500])) for first in range(0, len(lines), 500)
    ]
    counts = replay.counts
    assert counts.events == counts.admitted + counts.rejections.total()
    assert counts.events == sum(1 for line in lines if line.strip())
    assert counts.anomalies == sum(len(step.anomalies) for step in steps)
    assert counts.alerts == sum(len(step.alerts) for step in steps)
    assert counts.opened - counts.resolved == len(replay.open_incidents())
    assert counts.resolved > 10
    assert len(counts.first_rejections) == 5
    assert counts.over_limit > 0


def test_state_of_another_log_is_foreign() -> None:
    state = Replay(Settings(), "one").save()
    with pytest.raises(ForeignState, match="log_id is 'one', expected 'two'"):
        Replay(Settings(), "two").restore(state)


@pytest.mark.parametrize("part", ["shared", "grouping", "series"])
def test_state_of_which_a_part_is_not_whole_is_torn(part: str, lines: Lines) -> None:
    replay = Replay(Settings())
    replay.judge(b"".join(lines[:2000]))
    state = replay.save()
    whole: bytes = state.series[3] if part == "series" else getattr(state, part)
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        torn = whole[:length]
        changed = [*state.series[:3], torn, *state.series[4:]] if part == "series" else torn
        with pytest.raises(TornState):
            Replay(Settings()).restore(msgspec.structs.replace(state, **{part: changed}))


def trouble(settings: Settings) -> Replay:
    """Return a replay with an open incident of latency."""
    replay = Replay(settings)
    latency = [100.0 + i * 37 % 11 for i in range(400)] + [315.0] * 10
    replay.judge(b"".join(slow(i, value) for i, value in enumerate(latency)))
    assert len(replay.open_incidents()) == 1
    return replay


def slow(second: int, latency: float) -> bytes:
    event = {"service_name": "a", "model": "b", "timestamp": 1_740_992_400 + second}
    return msgspec.json.encode(event | {"latency_ms": latency}) + b"\n"


@pytest.mark.parametrize(
    "other",
    [
        {"baseline": {"window_size": 500}},
        {"enabled_detectors": []},
        {"mad": {"metrics": []}, "zscore": {"metrics": []}, "iqr": {"metrics": []},
         "cusum": {"metrics": []}},
    ],
    ids=["another window", "no detectors", "no metrics"],
)  # fmt: skip
def test_what_votes_or_is_remembered_may_change_while_an_incident_is_open(
    other: dict[str, object],
) -> None:
    """Evidence is not the detectors' matter, nor that of the exact window."""
    state = trouble(Settings()).save()
    replay = Replay(msgspec.convert({"detection": other}, Settings))
    replay.restore(state)
    assert goes_on(replay) == goes_on(trouble(Settings()))


def test_with_the_same_settings_it_goes_on_as_if_nothing_had_been() -> None:
    replay = Replay(Settings())
    replay.restore(trouble(Settings()).save())
    assert goes_on(replay) == goes_on(trouble(Settings()))


def goes_on(replay: Replay) -> list[tuple[str, Any, Any]]:
    """Return what happens to the open incident when calls are as usual again."""
    calm = replay.judge(b"".join(slow(second, 101.0) for second in range(410, 600)))
    found: list[tuple[str, Any, Any]] = [
        (e.kind, e.incident.impact, e.incident.ended_at) for e in calm.incident_events
    ]
    assert [kind for kind, _, _ in found if kind != "progress"] == ["close"]
    return found


def test_settings_without_room_for_what_was_saved_are_refused_with_a_hint() -> None:
    state = trouble(Settings()).save()
    with pytest.raises(ForeignState, match=r"raise detection\.baseline\.max_series"):
        Replay(settings_of(max_series=1)).restore(state)
