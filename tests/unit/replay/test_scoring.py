"""Every measure on a case that was computed by hand, and three detectors that are easy to judge."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenes.judged import START, batch, expect, label, told, traffic
from sentinel.model.batch import NOTHING
from sentinel.replay.chance import chance_recall
from sentinel.replay.report import lines_of
from sentinel.replay.scoring import Contribution, Recall, Score, score
from sentinel.replay.witness import Told, Witness

SECONDS = 10_000
"""Of the stream: a call each second, of two models in turn."""
WEEK = 7 * 24 * 3600


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Score:
    """Return the score of nine alerts against five labels, which every figure below is of."""
    expected = expect(
        tmp_path_factory.mktemp("labels"),
        label(1_000, 1_100, id="slow", level="easy", kind="shift", also=["cost"], side=["tokens"]),
        label(3_000, 3_010, id="dear", level="hard", kind="price", family="cost"),
        label(5_000, 5_100, id="all", level="easy", kind="shift", model=None),
        label(7_000, 7_010, id="faint", status="undetectable"),
        label(9_000, 9_010, id="unseen", kind="price", model="n", family="errors"),
        natural=[label(8_000, 8_100, family="throughput", model=None)],
        meta={"stream": "by hand"},
    )
    alerts = [
        told(1_030, "cost_usd", detector="late"),
        told(1_020, detector="fast"),
        told(1_050, "ttft_ms", detector="fast", kind="escalate"),
        told(1_060, "total_tokens", model="n", detector="fast"),  # a side effect: neutral
        told(3_010 + 61, "cost_usd", detector="late"),  # an echo: neutral
        told(5_000, model="n", detector="fast", kind="repeat"),
        told(7_005, detector="fast"),  # nobody could be asked to find it: neutral
        told(8_050, "request_rate", model=None, detector="rate"),  # excused: neutral
        told(2_000, detector="late"),  # false
        told(2_250, detector="late"),  # false, in the group of the one before
        told(2_301, detector="late"),  # false, 301 s after the first: another group
        told(2_302, "shoe_size", detector="late"),  # false: of no family
        told(9_005, "error_rate", service="other", model="n", detector="late"),  # false: elsewhere
    ]
    return score(expected, alerts, traffic(SECONDS))


def test_an_alert_is_right_false_or_neutral(judged: Score) -> None:
    assert (judged.right, judged.false, judged.neutral) == (4, 5, 4)
    assert judged.excused == pytest.approx(4 / 13)


def test_recall_is_told_whole_by_level_and_by_kind(judged: Score) -> None:
    assert judged.recall == Recall(2, 4)
    assert judged.recall_by_level == {"easy": Recall(2, 2), "hard": Recall(0, 1)}
    assert judged.recall_by_kind == {"price": Recall(0, 2), "shift": Recall(2, 2)}
    assert judged.not_scored == 1
    assert [span.id for span in judged.missed] == ["dear", "unseen"]


def test_false_alerts_are_told_by_events_and_by_service_weeks(judged: Score) -> None:
    assert judged.events == SECONDS
    assert judged.false_per_10k == pytest.approx(5)
    assert judged.service_weeks == pytest.approx((SECONDS - 1) / WEEK)
    assert judged.false_per_week == pytest.approx(5 * WEEK / (SECONDS - 1))


def test_alerts_are_told_by_the_things_that_they_are_about(judged: Score) -> None:
    assert judged.false_groups == 4
    assert judged.alerts_per_thing == pytest.approx((4 + 5) / (2 + 4))


def test_the_delay_is_that_of_the_first_alert_in_seconds_and_events_of_the_place(
    judged: Score,
) -> None:
    # 20 s and ten events of model m; 0 s and none of the whole service.
    assert judged.delay_seconds == pytest.approx(10)
    assert judged.delay_events == pytest.approx(5)


def test_the_right_family_is_a_share_of_each_incident(judged: Score) -> None:
    assert judged.right_family == pytest.approx((2 / 3 + 1) / 2)


def test_each_test_has_what_it_found_first_and_alone_and_what_it_said_in_vain(
    judged: Score,
) -> None:
    assert judged.contributions == [
        Contribution(name="fast", alerts=5, false=0, found=2, first=2, alone=1),
        Contribution(name="late", alerts=7, false=5, found=1, first=0, alone=0),
        Contribution(name="rate", alerts=1, false=0, found=0, first=0, alone=0),
    ]


def test_an_alert_by_a_metric_of_no_family_is_named(judged: Score) -> None:
    assert judged.unknown_metrics == {"shoe_size": 1}
    assert any("1 alerts by shoe_size" in line for line in lines_of(judged))


def test_the_report_says_all_of_it(judged: Score) -> None:
    text = "\n".join(lines_of(judged))
    for figure in (
        "10,000 events and 0.02 service-weeks scored",
        "4 right, 5 false, 4 neutral alerts (31% excused)",
        "0.50 (2 of 4)",
        "1 not asked for",
        "5.00 in 10,000 events · 302.43 a service-week",
        "alerts a thing 1.50 · right family 0.83",
        "10.0 s · 5 events",
        "missed: dear (price) chat/m",
    ):
        assert figure in text


def test_what_lies_before_the_scored_time_is_not_judged(tmp_path: Path) -> None:
    start = label(500, 500)["start"]
    expected = expect(tmp_path, label(600, 700), meta={"scored_from": start})
    found = score(expected, [told(100), told(650)], traffic(1_000))
    assert (found.events, found.right, found.false) == (500, 1, 0)
    assert found.service_weeks == pytest.approx(499 / WEEK)


def test_a_service_is_watched_from_its_first_event_to_the_end() -> None:
    witness = Witness()
    witness.see(batch(("early", "m", 0), ("late", "m", 600), ("late", "m", 700)), [])
    assert witness.traffic.service_weeks(0, 1_000 * 10**6) == pytest.approx(1_400 / WEEK)
    assert witness.traffic.service_weeks(800 * 10**6, 1_000 * 10**6) == pytest.approx(400 / WEEK)


# Three detectors


def incidents() -> list[dict[str, Any]]:
    return [label(start, start + 100, id=str(start)) for start in range(1_000, 9_000, 2_000)]


def test_a_perfect_detector_finds_all_and_little_by_chance(tmp_path: Path) -> None:
    alerts = [told(start + 10) for start in range(1_000, 9_000, 2_000)]
    found = score(expect(tmp_path, *incidents()), alerts, traffic(SECONDS))
    assert (found.recall, found.right, found.false) == (Recall(4, 4), 4, 0)
    assert found.alerts_per_thing == 1
    assert found.chance is not None
    # Windows of 160 s and alerts every 2,000 s: 8 %, some of it beyond the end.
    assert found.chance < 0.15


def test_a_detector_that_alarms_all_the_time_is_shown_by_what_chance_would_find(
    tmp_path: Path,
) -> None:
    alerts = [told(second) for second in range(0, SECONDS, 30)]
    found = score(expect(tmp_path, *incidents()), alerts, traffic(SECONDS))
    assert found.recall == Recall(4, 4)
    assert found.chance == 1
    assert found.false > 200
    assert found.false_groups > 20


def test_a_silent_detector_has_no_delay_and_nothing_false(tmp_path: Path) -> None:
    found = score(expect(tmp_path, *incidents()), [], traffic(SECONDS))
    assert (found.recall, found.chance) == (Recall(0, 4), 0)
    nothing = (found.delay_seconds, found.delay_events, found.right_family, found.alerts_per_thing)
    assert nothing == (None, None, None, None)
    assert (found.false_per_10k, found.excused, found.contributions) == (0, 0, [])
    assert any("delay, median  - s" in line for line in lines_of(found))


def test_labels_without_incidents_make_every_alert_false(tmp_path: Path) -> None:
    found = score(expect(tmp_path), [told(5)], traffic(SECONDS))
    assert (found.false, found.recall, found.recall.share, found.chance) == (
        1,
        Recall(0, 0),
        None,
        None,
    )


def test_chance_is_the_share_of_moves_that_hit(tmp_path: Path) -> None:
    """One alert, one window of 160 of 10,000 seconds: it is hit by 1.6 of 96 % of all moves."""
    spans = expect(tmp_path, label(5_000, 5_100)).spans
    whole = (START * 10**6, (START + SECONDS) * 10**6)
    chances = [chance_recall(spans, [told(1_000)], whole, str(seed)) for seed in range(100)]
    assert np.mean([chance or 0 for chance in chances]) == pytest.approx(0.016 / 0.96, abs=0.003)
    assert chances[0] == chance_recall(spans, [told(1_000)], whole, "0")


def test_alerts_of_another_model_or_family_find_nothing_by_chance(tmp_path: Path) -> None:
    always = [float(second) for second in range(0, SECONDS, 30)]
    for changed, share in (
        ({"model": "n"}, 0),
        ({"metric": "error"}, 0),
        ({"service": "search"}, 0),
        ({"model": None}, 1),
        ({"metric": "ttft_ms"}, 1),
    ):
        alerts = [told(second, **changed) for second in always]
        found = score(expect(tmp_path, label(5_000, 5_100)), alerts, traffic(SECONDS))
        assert (found.recall.found, found.chance) == (share, share)


def test_an_alert_that_is_moved_past_the_end_comes_round_to_the_start(tmp_path: Path) -> None:
    spans = expect(tmp_path, label(0, 4_900)).spans
    whole = (START * 10**6, (START + SECONDS) * 10**6)
    chances = [chance_recall(spans, [told(9_900)], whole, str(seed)) for seed in range(20)]
    assert np.mean([chance or 0 for chance in chances]) == pytest.approx(0.4896 / 0.96, abs=0.03)


# The witness


def test_a_witness_knows_when_which_model_spoke() -> None:
    witness = Witness()
    witness.see(batch(("b", "m", 3), ("a", "m", 5), ("b", "n", 1)), [])
    witness.see(NOTHING, [])
    witness.see(batch(("b", "m", 2)), [])
    spoke = witness.traffic
    assert spoke.services == ["a", "b"]
    assert spoke.times("b", "m").tolist() == [2_000_000, 3_000_000]
    assert spoke.times("b", None).tolist() == [1_000_000, 2_000_000, 3_000_000]
    assert spoke.times("c", None).tolist() == []
    assert (spoke.first, spoke.last) == (1_000_000, 5_000_000)
    assert spoke.events(2_500_000) == 2


def test_a_witness_of_nothing_has_nothing() -> None:
    spoke = Witness().traffic
    assert (spoke.services, spoke.first, spoke.last, spoke.events(0)) == ([], 0, 0, 0)


def test_to_be_told_that_it_is_over_does_not_count() -> None:
    witness = Witness()
    kinds = ("open", "escalate", "repeat", "resolve")
    witness.see(NOTHING, [told(second, kind=kind) for second, kind in enumerate(kinds)])
    assert [one.kind for one in witness.told] == ["open", "escalate", "repeat"]
    assert all(isinstance(one, Told) for one in witness.told)
    assert isinstance(witness.told[0].timestamp, datetime)
