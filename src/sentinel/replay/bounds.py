"""Bounds that a run is held to: what a pull request may not fall below."""

from collections.abc import Sequence

from msgspec import Struct

from sentinel.errors import InputError
from sentinel.replay.labels import Expectation
from sentinel.replay.scoring import Recall, Score
from sentinel.replay.witness import Witness

ALL = "all"


class LeastRecall(Struct, frozen=True):
    """Recall of one level, one kind, or of everything."""

    name: str
    """A level, a kind, or `all`."""
    share: float
    """0 to 1."""


class Finding(Struct, frozen=True):
    """Whether one bound is kept, and the figure."""

    kept: bool
    text: str


def check_names(bounds: Sequence[LeastRecall], expected: Expectation, path: str) -> None:
    """See that there is something to find under each name.

    Raises
    ------
    InputError
        There is not: a bound on it would hold whatever is told.
    """
    scored = [span for span in expected.spans if span.scored]
    names = {span.kind for span in scored} | {span.level for span in scored if span.level}
    if scored:
        names.add(ALL)
    for bound in bounds:
        if bound.name not in names:
            there = ", ".join(sorted(names)) or "nothing"
            raise InputError(
                f"{path}: no incident of level or kind {bound.name!r} can be found",
                f"there is {there}",
            )


def judged_recall(bounds: Sequence[LeastRecall], score: Score) -> list[Finding]:
    """Return what became of the bounds on recall."""
    return [_recall(bound, score) for bound in bounds]


def _recall(bound: LeastRecall, score: Score) -> Finding:
    recall = score.recall_by_level.get(bound.name) or score.recall_by_kind.get(bound.name)
    if bound.name == ALL:
        recall = score.recall
    recall = recall or Recall(0, 0)
    share = recall.share or 0.0
    return Finding(
        share >= bound.share,
        f"recall of {bound.name} is {share:.3f} ({recall.found} of {recall.all}), "
        f"the least is {bound.share:g}",
    )


def judged_budget(budget: float, witness: Witness, score: Score | None) -> Finding:
    """Return what became of the bound on alerts a service-week; with labels, on false ones."""
    traffic = witness.traffic
    what = "alerts"
    alerts = len(witness.told)
    weeks = traffic.service_weeks(traffic.first, traffic.last)
    if score is not None:
        what, alerts, weeks = "false alerts", score.false, score.service_weeks
    rate = alerts / weeks if weeks else 0.0
    # What comes within no time at all has no rate, and is over any budget.
    kept = rate <= budget and (weeks > 0 or not alerts)
    return Finding(
        kept,
        f"{what} a service-week are {rate:.2f} ({alerts} in {weeks:.2f} service-weeks), "
        f"the budget is {budget:g}",
    )
