"""A score in words, as lines for a terminal or the log of a pull request."""

from collections.abc import Iterator

from sentinel.replay.scoring import Recall, Score

MISSED_MAX = 10
"""More are counted, not named."""


def lines_of(score: Score) -> Iterator[str]:
    """Yield the report, line by line."""
    yield (
        f"{score.events:,} events and {score.service_weeks:,.2f} service-weeks scored · "
        f"{score.right:,} right, {score.false:,} false, {score.neutral:,} neutral alerts "
        f"({score.excused:.0%} excused)"
    )
    yield f"recall         {_recall(score.recall)}{_besides(score)}"
    for name, recall in score.recall_by_level.items():
        yield f"  level {name:<24} {_recall(recall)}"
    for name, recall in score.recall_by_kind.items():
        yield f"  kind  {name:<24} {_recall(recall)}"
    yield (
        f"false alerts   {score.false_per_10k:.2f} in 10,000 events · "
        f"{score.false_per_week:.2f} a service-week"
    )
    yield (
        f"alerts a thing {_number(score.alerts_per_thing)} · "
        f"right family {_number(score.right_family)}"
    )
    yield (
        f"delay, median  {_number(score.delay_seconds, 1)} s · "
        f"{_number(score.delay_events, 0)} events"
    )
    for metric, count in sorted(score.unknown_metrics.items()):
        yield f"{count:,} alerts by {metric}, a metric of no family: they count as false"
    if score.contributions:
        width = max(len(one.name) for one in score.contributions)
        yield f"{'test':<{width}}   found   first   alone   false  alerts"
    for one in score.contributions:
        numbers = (one.found, one.first, one.alone, one.false, one.alerts)
        yield f"{one.name:<{width}}" + "".join(f"{number:>8,}" for number in numbers)
    for span in score.missed[:MISSED_MAX]:
        place = f"{span.service}/{'all models' if span.model is None else span.model}"
        yield f"missed: {span.id} ({span.kind}) {place}"
    if len(score.missed) > MISSED_MAX:
        yield f"missed: {len(score.missed) - MISSED_MAX:,} more"


def _recall(recall: Recall) -> str:
    return f"{_number(recall.share)} ({recall.found:,} of {recall.all:,})"


def _besides(score: Score) -> str:
    chance = f" · by chance {_number(score.chance)}"
    return chance + (f" · {score.not_scored:,} not asked for" if score.not_scored else "")


def _number(number: float | None, digits: int = 2) -> str:
    return "-" if number is None else f"{number:,.{digits}f}"
