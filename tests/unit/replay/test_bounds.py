"""Each bound kept at its figure, and broken just beyond it."""

from pathlib import Path

import numpy as np
import pytest

from scenes.judged import START, batch, expect, label, told, traffic
from sentinel.errors import InputError
from sentinel.replay.bounds import LeastRecall, check_names, judged_budget, judged_recall
from sentinel.replay.scoring import score
from sentinel.replay.witness import Witness

WEEK = 7 * 24 * 3600


@pytest.mark.parametrize(
    ("name", "share", "kept", "figure"),
    [
        ("easy", 0.5, True, "recall of easy is 0.500 (1 of 2)"),
        ("easy", 0.51, False, "recall of easy is 0.500 (1 of 2), the least is 0.51"),
        ("errors", 1.0, True, "recall of errors is 1.000 (1 of 1)"),
        ("all", 0.6, True, "recall of all is 0.667 (2 of 3)"),
        ("all", 0.7, False, "recall of all is 0.667 (2 of 3), the least is 0.7"),
    ],
)
def test_the_least_recall(
    name: str, share: float, *, kept: bool, figure: str, tmp_path: Path
) -> None:
    expected = expect(
        tmp_path,
        label(100, 200, level="easy"),
        label(2_000, 2_100, level="easy"),
        label(3_000, 3_100, family="errors"),
    )
    scored = score(expected, [told(150), told(3_050, "error")], traffic(5_000))
    bounds = [LeastRecall(name, share)]
    check_names(bounds, expected, "labels.json")
    (finding,) = judged_recall(bounds, scored)
    assert finding.kept is kept
    assert finding.text.startswith(figure)


def test_a_bound_on_what_cannot_be_found_is_refused(tmp_path: Path) -> None:
    faint = label(1, 2, level="faint", status="undetectable")
    expected = expect(tmp_path, label(1, 2, level="easy"), faint)
    for name in ("eazy", "faint"):
        with pytest.raises(InputError, match=f"labels.json: no incident .* '{name}'"):
            check_names([LeastRecall(name, 0.1)], expected, "labels.json")
    with pytest.raises(InputError, match="there is nothing"):
        check_names([LeastRecall("all", 0.1)], expect(tmp_path), "labels.json")


def witness_of_two_weeks(*seconds: float) -> Witness:
    witness = Witness()
    calls = (("chat", "m", second) for second in np.arange(0, 2 * WEEK + 1, 3_600).tolist())
    witness.see(batch(*((s, m, START + t) for s, m, t in calls)), [])
    witness.told = [told(second) for second in seconds]
    return witness


def test_the_budget_counts_alerts_a_service_week() -> None:
    witness = witness_of_two_weeks(1, 2, 3)
    kept, broken = judged_budget(1.5, witness, None), judged_budget(1.4, witness, None)
    assert (kept.kept, broken.kept) == (True, False)
    assert broken.text == (
        "alerts a service-week are 1.50 (3 in 2.00 service-weeks), the budget is 1.4"
    )


def test_with_labels_the_budget_counts_false_alerts(tmp_path: Path) -> None:
    witness = witness_of_two_weeks(150, 90_000)
    scored = score(expect(tmp_path, label(100, 200)), witness.told, witness.traffic)
    finding = judged_budget(0.5, witness, scored)
    assert finding.kept
    assert finding.text.startswith("false alerts a service-week are 0.50 (1 in 2.00")
    assert not judged_budget(0.4, witness, scored).kept


def test_what_comes_within_no_time_is_over_any_budget() -> None:
    witness = Witness()
    assert judged_budget(0, witness, None).kept
    witness.told = [told(1)]
    assert not judged_budget(1_000, witness, None).kept
