"""The demo's traffic: what is planted in it is found, and little else; one seed, one show."""

import contextlib
import io
import re

import pytest

from sentinel.demo.comparison import Comparison, compare
from sentinel.demo.show import Show
from sentinel.demo.traffic import ROUTES, Traffic
from sentinel.replay.run import Replay
from sentinel.settings import Settings

SEEDS = range(10)
MOMENT = r"^\d\d:\d\d "


def perform(seed: int) -> tuple[str, Comparison]:
    """Play a demo without a service and without pauses; return what it prints and its score."""
    traffic, printed = Traffic(seed), io.StringIO()
    with contextlib.redirect_stdout(printed):
        outcome = play(traffic)
    return printed.getvalue(), outcome


def play(traffic: Traffic) -> Comparison:
    show, replay = Show(traffic, "http://127.0.0.1:8080"), Replay(Settings())
    for body in traffic.history():
        replay.judge(body)
    assert replay.counts.opened == replay.counts.resolved
    calls, votes = replay.counts.admitted, replay.counts.anomalies
    show.begin(calls, 0.1, "folder")
    for second, body in traffic.live():
        step = replay.judge(body)
        show.pass_time(second)
        for event in step.incident_events:
            show.tell(event.kind, event.incident)
    assert not replay.counts.rejections
    outcome = compare(traffic, show.opened)
    show.summarise(outcome, replay.counts.admitted - calls, replay.counts.anomalies - votes)
    return outcome


@pytest.fixture(scope="module")
def shows() -> dict[int, tuple[str, Comparison]]:
    return {seed: perform(seed) for seed in SEEDS}


def test_ten_seeds_miss_and_invent_at_most_one_incident_and_each_shows_its_own(
    shows: dict[int, tuple[str, Comparison]],
) -> None:
    wrong = 0
    for seed, (text, outcome) in shows.items():
        assert outcome.planted == 5
        wrong += len(outcome.missed) + len(outcome.false)
        said = f"(planted 5, missed {len(outcome.missed)}, false {len(outcome.false)})"
        assert said in text, f"seed {seed}"
        opened = re.findall(MOMENT + "incident opened  (INFO|WARNING|CRITICAL) ", text, re.M)
        resolved = re.findall(MOMENT + "incident resolved ", text, re.M)
        assert len(opened) == outcome.found >= 4, f"seed {seed}"
        assert 4 <= len(resolved) <= len(opened), f"seed {seed}"
        assert len(re.findall(r"^00:1\d quiet .* no incident$", text, re.M)) == 1, f"seed {seed}"
    assert wrong <= 1


def test_incidents_are_found_within_seconds(shows: dict[int, tuple[str, Comparison]]) -> None:
    delays = [delay for _, outcome in shows.values() for delay in outcome.delays]
    assert len(delays) >= 49
    assert sorted(delays)[len(delays) // 2] < 3
    assert max(delays) < 30, "the slow drift"


def test_two_runs_of_one_seed_show_the_same_and_another_seed_shows_something_else(
    shows: dict[int, tuple[str, Comparison]],
) -> None:
    assert perform(7)[0] == shows[7][0]
    assert shows[8][0] != shows[7][0]


def test_the_five_plants_lie_in_five_places_and_follow_from_the_seed() -> None:
    for seed in range(50):
        plants = Traffic(seed).plants
        assert plants == Traffic(seed).plants
        assert len({plant.route for plant in plants}) == len(plants) == 5
        assert all(0 <= plant.route < len(ROUTES) for plant in plants)
    assert Traffic(1).plants != Traffic(2).plants


def test_what_fits_no_plant_is_false_and_what_nobody_found_is_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    traffic = Traffic(7)
    show, replay = Show(traffic, ""), Replay(Settings())
    for body in (*traffic.history(), *(body for _, body in traffic.live())):
        for event in replay.judge(body).incident_events:
            show.tell(event.kind, event.incident)
    capsys.readouterr()
    found = show.opened
    assert compare(traffic, []).missed == traffic.plants
    without = compare(traffic, found[1:])
    assert (len(without.missed), without.false) == (1, [])
    # Another seed plants elsewhere and at other times.
    other = compare(Traffic(8), found)
    assert len(other.missed) + len(other.false) >= 5
    assert compare(traffic, []).median_delay is None
