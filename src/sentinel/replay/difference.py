"""Two runs over the same input: what one tells and the other does not."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from sentinel.model.severity import SEVERITIES, Severity
from sentinel.replay.witness import Told

Change = Literal["appears", "vanishes", "severity"]


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that is told otherwise; names, time and title are those of its first alert."""

    change: Change
    fingerprint: str
    severity_before: Severity | None
    """The highest that was told; None: nothing was."""
    severity_after: Severity | None
    timestamp: datetime
    service: str
    model: str | None
    type: str
    metric: str
    detector: str
    title: str


def differences(before: Iterable[Told], after: Iterable[Told]) -> tuple[list[Difference], int]:
    """Return what differs, in order of time, and how many things are told alike.

    A thing is what shares a fingerprint: place, type and the first event of the case.  A rule that
    lets a case begin at another event makes it another thing: it vanishes and appears.
    """
    old, new = _things(before), _things(after)
    found, alike = [], 0
    for fingerprint in old.keys() | new.keys():
        was, is_now = old.get(fingerprint), new.get(fingerprint)
        if was is None or is_now is None:
            found.append(_difference("vanishes" if is_now is None else "appears", was, is_now))
        elif was[1] != is_now[1]:
            found.append(_difference("severity", was, is_now))
        else:
            alike += 1
    found.sort(key=lambda one: (one.timestamp, one.fingerprint))
    return found, alike


def _things(told: Iterable[Told]) -> dict[str, tuple[Told, Severity]]:
    """Return the first alert and the highest severity of each fingerprint."""
    things: dict[str, tuple[Told, Severity]] = {}
    for one in told:
        first, severity = things.get(one.fingerprint, (one, one.severity))
        things[one.fingerprint] = (first, max(severity, one.severity, key=SEVERITIES.index))
    return things


def _difference(
    change: Change, was: tuple[Told, Severity] | None, is_now: tuple[Told, Severity] | None
) -> Difference:
    shown = is_now or was
    assert shown is not None, "a fingerprint comes from one of the two"
    first = shown[0]
    return Difference(
        change=change,
        fingerprint=first.fingerprint,
        severity_before=None if was is None else was[1],
        severity_after=None if is_now is None else is_now[1],
        timestamp=first.timestamp,
        service=first.service,
        model=first.model,
        type=first.type,
        metric=first.metric,
        detector=first.detector,
        title=first.title,
    )
