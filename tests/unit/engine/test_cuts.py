"""A scripted stream, wherever it is cut: the same, in the same order."""

from typing import Any

import pytest

from scenes.script import Script, each_second, finding

SINGLE, SILENCE = 3, 2


def story() -> tuple[list[tuple[float, str, str]], list[Any], list[Any]]:
    """Return calls of two services over hours with some of everything."""
    calls = each_second(0, 200)
    calls += [(second + 0.5, "other", "n") for second, _, _ in each_second(0, 300)]
    calls += [(3000.0, "other", "n"), (3001.0, "chat", "m"), (9000.0, "chat", "m")]
    found = [
        finding("open", "latency", 10),
        finding("open", "rate", 20, model=None, service="other"),
        finding("open", "rate", 20, model="n", service="other"),
        finding("close", "latency", 40),
        finding("alone", "cost", 60, test=SINGLE, hits=1, hits_of=1),
        finding("open", "errors", 65, observed=0.06, usual=0.0),
        finding("close", "rate", 70, model="n", service="other"),
        finding("open", "ttft", 72),
        finding("close", "rate", 100, model=None, service="other"),
        finding("accept", "ttft", 180),
        finding("open", "rate", 2000, test=SILENCE),
        finding("close", "rate", 8000, test=SILENCE),
    ]
    hits = [(float(s), "m", "latency", 200.0 + s) for s in range(10, 40, 3)]
    hits += [(float(s), "m", "errors", 1.0) for s in range(66, 200, 2)]
    return sorted(calls), found, hits


def test_the_story_has_everything() -> None:
    script = Script()
    script.play(*story())
    kinds = [kind for kind, _ in script.outline()]
    assert {*kinds} == {"open", "evidence", "escalate", "progress", "close"}
    endings = {e.incident.ending for e in script.events if e.kind == "close"}
    assert endings == {"over", "silence", "accepted"}
    assert script.book.standing() == []


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7, 50, 333])
def test_a_stream_cut_anywhere_tells_the_same_in_the_same_order(size: int, restart: bool) -> None:
    calls, found, hits = story()
    whole, cut = Script(), Script()
    whole.play(calls, found, hits)
    cut.play(calls, found, hits, tuple(range(size, len(calls), size)), restart=restart)
    assert cut.events == whole.events
