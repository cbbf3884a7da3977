"""Labels: what was wrong in a recording, where and when, as a person wrote it down."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from sentinel.errors import InputError
from sentinel.replay.families import FAMILIES, family_of

DETECT_SECONDS: Final = 60
"""After its end an incident may still be told for the first time: a bucket has to close (10 s, and
10 s more for what is late), and a service that speaks once in ten seconds needs a few calls."""
NEUTRAL_SECONDS: Final = 300
"""From there on an alert may still be its echo: the time within which equal alerts are one."""
GROUP_SECONDS: Final = 300
"""False alerts of one place and family within it are one thing that a person looks at."""

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEAR = 0.8
"""Similarity from which a field is taken for a misspelt one: one letter of five."""


class LabelledIncident(Struct, kw_only=True):
    """One incident as the file has it; `read_labels` checks it and fills in what was left out."""

    start: datetime
    end: datetime
    service: str
    model: str | None = None
    """None: the whole service."""
    family: str | None = None
    metric: str | None = None
    """Says the family where `family` does not."""
    id: str = ""
    kind: str = ""
    level: str | None = None
    also: list[str] = field(default_factory=list)
    """Other families in which an alert is right, too."""
    side: list[str] = field(default_factory=list)
    """Families that really change on the service's other models: neither right nor wrong there."""
    detect_until: datetime | None = None
    neutral_until: datetime | None = None
    status: Literal["ok", "undetectable"] = "ok"


class NaturalWindow(Struct, kw_only=True):
    """A time in which the traffic itself was so odd that an alert of the family is excused."""

    start: datetime
    end: datetime
    service: str
    model: str | None = None
    family: str | None = None
    metric: str | None = None


class Meta(Struct, kw_only=True):
    """About the whole recording."""

    stream: str = ""
    scored_from: datetime | None = None
    """What lies before is for learning; None: nothing does."""
    end: datetime | None = None
    """None: the last event."""
    dedup_seconds: int = GROUP_SECONDS


class Labels(Struct, kw_only=True):
    """What a label file holds."""

    incidents: list[LabelledIncident]
    natural: list[NaturalWindow] = field(default_factory=list)
    meta: Meta = field(default_factory=Meta)


class Span(Struct, frozen=True, kw_only=True):
    """A checked label: times are microseconds since 1970 UTC, and nothing is missing."""

    id: str
    kind: str
    level: str | None
    scored: bool
    """False: nobody can be asked to find it; an alert there is neither right nor wrong."""
    service: str
    model: str | None
    family: str
    families: frozenset[str]
    """Its own and those in `also`."""
    side: frozenset[str]
    start: int
    detect_until: int
    neutral_until: int


class Excuse(Struct, frozen=True, kw_only=True):
    """A checked natural window."""

    service: str
    model: str | None
    family: str
    start: int
    end: int


class Expectation(Struct, frozen=True, kw_only=True):
    """What a recording is held against."""

    spans: list[Span]
    excuses: list[Excuse]
    scored_from: int | None
    end: int | None
    group_us: int
    seed: str
    """Of the moves by chance."""


def microseconds(at: datetime) -> int:
    """Return microseconds since 1970 UTC; without a zone it is UTC.

    >>> microseconds(datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def read_labels(path: Path) -> Expectation:
    """Read a label file.

    Raises
    ------
    InputError
        It cannot be used; the message names the file, and line or field.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{_place(path, data, error)}: not JSON: {error}") from error
    try:
        labels = msgspec.convert(raw, Labels)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at ")
        place = where.strip("`").removeprefix("$").removeprefix(".") or "the whole file"
        raise InputError(f"{path}: {place}: {_first_lower(text)}") from error
    for misspelt in _misspelt(raw):
        raise InputError(f"{path}: {misspelt}")
    return _checked(path, labels)


def _place(path: Path, data: bytes, error: Exception) -> str:
    """Return the file, and the line where the decoder says at which byte it stopped."""
    number = str(error).rpartition("byte ")[2].rstrip(")")
    if not number.isdigit():
        return str(path)
    before = data[: int(number)]
    return f"{path}:{before.count(bytes([10])) + 1}"


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _misspelt(raw: dict[str, Any]) -> Iterator[str]:
    """Yield fields that are one of ours but for a letter; others are the user's own notes."""
    parts: list[tuple[str, Any, type[Struct]]] = [("", raw, Labels)]
    parts.append(("meta.", raw.get("meta", {}), Meta))
    for name, kind in (("incidents", LabelledIncident), ("natural", NaturalWindow)):
        parts += [(f"{name}[{i}].", one, kind) for i, one in enumerate(raw.get(name, []))]
    for prefix, fields, struct in parts:
        known = struct.__struct_fields__
        for name in fields.keys() - set(known):
            for near in get_close_matches(name, known, 1, _NEAR):
                yield f"{prefix}{name}: not a field, did you mean {near}?"


def _checked(path: Path, labels: Labels) -> Expectation:
    meta, seen = labels.meta, set[str]()
    spans = []
    for number, one in enumerate(labels.incidents):
        place = f"{path}: incidents[{number}]"
        span = _span_of(place, number, one)
        if span.id in seen:
            raise InputError(f"{place}.id: {span.id!r} is another incident's already")
        seen.add(span.id)
        spans.append(span)
    excuses = []
    for number, window in enumerate(labels.natural):
        place = f"{path}: natural[{number}]"
        start, end = microseconds(window.start), microseconds(window.end)
        _in_order(place, start=start, end=end)
        excuses.append(
            Excuse(
                service=window.service,
                model=window.model,
                family=_family_of(place, window.family, window.metric),
                start=start,
                end=end,
            )
        )
    if meta.dedup_seconds < 0:
        raise InputError(f"{path}: meta.dedup_seconds: got {meta.dedup_seconds}, expected >= 0")
    scored_from = None if meta.scored_from is None else microseconds(meta.scored_from)
    end_of_all = None if meta.end is None else microseconds(meta.end)
    if scored_from is not None and end_of_all is not None:
        _in_order(f"{path}: meta", scored_from=scored_from, end=end_of_all)
    return Expectation(
        spans=spans,
        excuses=excuses,
        scored_from=scored_from,
        end=end_of_all,
        group_us=meta.dedup_seconds * 1_000_000,
        seed=meta.stream,
    )


def _span_of(place: str, number: int, one: LabelledIncident) -> Span:
    family = _family_of(place, one.family, one.metric)
    for name, families in (("also", one.also), ("side", one.side)):
        for other in families:
            _known_family(f"{place}.{name}", other)
    start, end = microseconds(one.start), microseconds(one.end)
    detect = end + DETECT_SECONDS * 1_000_000
    if one.detect_until is not None:
        detect = microseconds(one.detect_until)
    neutral = detect + NEUTRAL_SECONDS * 1_000_000
    if one.neutral_until is not None:
        neutral = microseconds(one.neutral_until)
    _in_order(place, start=start, end=end, detect_until=detect, neutral_until=neutral)
    return Span(
        id=one.id or f"incident {number}",
        kind=one.kind or family,
        level=one.level,
        scored=one.status == "ok",
        service=one.service,
        model=one.model,
        family=family,
        families=frozenset({family, *one.also}),
        side=frozenset(one.side),
        start=start,
        detect_until=detect,
        neutral_until=neutral,
    )


def _family_of(place: str, family: str | None, metric: str | None) -> str:
    if family is not None:
        return _known_family(f"{place}.family", family)
    if metric is None:
        raise InputError(f"{place}: family or metric is required")
    found = family_of(metric)
    if found is None:
        raise InputError(f"{place}.metric: no family holds {metric!r}", "give the family instead")
    return found


def _known_family(place: str, family: str) -> str:
    if family not in FAMILIES:
        raise InputError(f"{place}: got {family!r}, expected one of {', '.join(FAMILIES)}")
    return family


def _in_order(place: str, **times: int) -> None:
    names = list(times)
    for before, after in pairwise(names):
        if times[after] < times[before]:
            raise InputError(f"{place}.{after}: lies before {before}")
