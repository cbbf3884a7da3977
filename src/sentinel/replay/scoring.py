"""How good alerts are, held against labels.

An alert is *right* where an incident of its service, of its model (or either is of the whole
service) and of its family, or of one that the label names beside it, has begun and is not over for
longer than the label allows.  It is *neutral* where it is the echo of one, where nobody can be
asked to be right, or where the traffic excuses it.  Everything else is *false*.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import fmean, median

from msgspec import Struct, field

from sentinel.replay.chance import chance_recall
from sentinel.replay.families import family_of
from sentinel.replay.labels import Excuse, Expectation, Span
from sentinel.replay.witness import Told, Traffic


class Recall(Struct, frozen=True):
    """How many of the incidents of one name were found."""

    found: int
    all: int

    @property
    def share(self) -> float | None:
        """None: there were none."""
        return self.found / self.all if self.all else None


class Contribution(Struct, frozen=True, kw_only=True):
    """What one test or detector was worth."""

    name: str
    alerts: int
    false: int
    found: int
    """Incidents of which it told."""
    first: int
    """Those of them of which it was the first to tell."""
    alone: int
    """Those of them of which nothing else told."""


class Score(Struct, frozen=True, kw_only=True):
    """All measures of one run."""

    events: int
    """Scored ones."""
    service_weeks: float
    right: int
    false: int
    neutral: int
    false_groups: int
    """False alerts, those of one place and family within `dedup_seconds` of the first as one."""
    unknown_metrics: dict[str, int]
    """Alerts by metrics that no family holds: they are false whatever they tell of."""
    recall: Recall
    recall_by_level: dict[str, Recall]
    recall_by_kind: dict[str, Recall]
    not_scored: int
    """Incidents that nobody can be asked to find."""
    right_family: float | None
    """Share of an incident's right alerts that are of its own family; mean over those found."""
    delay_seconds: float | None
    """Median from the start of an incident to the first right alert; likewise the next."""
    delay_events: float | None
    """In events of the incident's service and model."""
    chance: float | None
    """Recall of the same alerts moved in time: what alarming at any time would find, too."""
    contributions: list[Contribution]
    missed: list[Span]

    @property
    def false_per_10k(self) -> float:
        """False alerts per 10,000 events."""
        return 1e4 * self.false / self.events if self.events else 0.0

    @property
    def false_per_week(self) -> float:
        """False alerts per service-week."""
        return self.false / self.service_weeks if self.service_weeks else 0.0

    @property
    def alerts_per_thing(self) -> float | None:
        """Right and false alerts per thing told of: incidents found, and groups of false alerts."""
        things = self.recall.found + self.false_groups
        return (self.right + self.false) / things if things else None

    @property
    def excused(self) -> float:
        """Share of alerts that counted neither way."""
        alerts = self.right + self.false + self.neutral
        return self.neutral / alerts if alerts else 0.0


class _Tally(Struct):
    """What is counted while alerts are gone through."""

    right: int = 0
    neutral: int = 0
    false: list[Told] = field(default_factory=list)
    hits: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    """Right alerts by incident."""


def score(expected: Expectation, told: Iterable[Told], traffic: Traffic) -> Score:
    """Hold what was told against what was expected."""
    start = traffic.first if expected.scored_from is None else expected.scored_from
    end = traffic.last if expected.end is None else expected.end
    counted = sorted((one for one in told if one.at >= start), key=lambda one: one.at)
    tally = _Tally()
    for one in counted:
        _judge(expected, one, tally)
    scored = [span for span in expected.spans if span.scored]
    found = [span for span in scored if tally.hits[span.id]]
    delays = [_delay(span, tally.hits[span.id][0], traffic) for span in found]
    by_level, by_kind = defaultdict(list), defaultdict(list)
    for span in scored:
        by_kind[span.kind].append(span)
        if span.level is not None:
            by_level[span.level].append(span)
    ids = {span.id for span in found}
    return Score(
        events=traffic.events(start),
        service_weeks=traffic.service_weeks(start, end),
        right=tally.right,
        false=len(tally.false),
        neutral=tally.neutral,
        false_groups=_groups(tally.false, expected.group_us),
        unknown_metrics=Counter(one.metric for one in counted if family_of(one.metric) is None),
        recall=Recall(len(found), len(scored)),
        recall_by_level={name: _recall(ids, spans) for name, spans in by_level.items()},
        recall_by_kind={name: _recall(ids, spans) for name, spans in sorted(by_kind.items())},
        not_scored=len(expected.spans) - len(scored),
        right_family=fmean([_in_family(span, tally) for span in found]) if found else None,
        delay_seconds=median([seconds for seconds, _ in delays]) if found else None,
        delay_events=median([events for _, events in delays]) if found else None,
        chance=chance_recall(scored, counted, (start, end), expected.seed),
        contributions=_contributions(counted, tally),
        missed=[span for span in scored if span.id not in ids],
    )


def _judge(expected: Expectation, one: Told, tally: _Tally) -> None:
    at, family = one.at, family_of(one.metric)
    right = neutral = False
    for span in expected.spans:
        if one.service != span.service or not span.start <= at <= span.neutral_until:
            continue
        if _here(one.model, span.model) and family in span.families:
            if span.scored and at <= span.detect_until:
                tally.hits[span.id].append(one)
                right = True
            neutral = True
        elif family in span.side:
            neutral = True
    if right:
        tally.right += 1
    elif neutral or any(_excuses(window, one, family) for window in expected.excuses):
        tally.neutral += 1
    else:
        tally.false.append(one)


def _here(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _excuses(window: Excuse, one: Told, family: str | None) -> bool:
    return (
        (window.service, window.family) == (one.service, family)
        and window.start <= one.at <= window.end
        and _here(window.model, one.model)
    )


def _groups(false: list[Told], group_us: int) -> int:
    """Count groups; each lasts from its first alert on, so that alarming for ever is many."""
    groups = 0
    begun: dict[tuple[str, str | None, str | None], int] = {}
    for one in false:
        place = (one.service, one.model, family_of(one.metric))
        if place not in begun or one.at - begun[place] > group_us:
            begun[place] = one.at
            groups += 1
    return groups


def _recall(found: set[str], spans: list[Span]) -> Recall:
    return Recall(sum(span.id in found for span in spans), len(spans))


def _in_family(span: Span, tally: _Tally) -> float:
    hits = tally.hits[span.id]
    return sum(family_of(one.metric) == span.family for one in hits) / len(hits)


def _delay(span: Span, first: Told, traffic: Traffic) -> tuple[float, int]:
    """Return seconds, and events of its place before the first alert."""
    times = traffic.times(span.service, span.model)
    before, after = times.searchsorted([span.start, first.at])
    return (first.at - span.start) / 1e6, int(after - before)


def _contributions(counted: list[Told], tally: _Tally) -> list[Contribution]:
    alerts = Counter(one.detector for one in counted)
    false = Counter(one.detector for one in tally.false)
    found, first, alone = Counter[str](), Counter[str](), Counter[str]()
    for hits in filter(None, tally.hits.values()):
        names = {one.detector for one in hits}
        found.update(names)
        first[hits[0].detector] += 1
        if len(names) == 1:
            alone.update(names)
    return [
        Contribution(
            name=name,
            alerts=alerts[name],
            false=false[name],
            found=found[name],
            first=first[name],
            alone=alone[name],
        )
        for name in sorted(alerts, key=lambda name: (-found[name], -alerts[name], name))
    ]
