"""What a checkpoint takes and gives back."""

from typing import NamedTuple

from msgspec import Struct


class OutboxRow(NamedTuple):
    """Something to tell to one destination."""

    id: str
    """Stable: the same after a re-run."""
    destination: str
    body: bytes


class SeriesRecord(NamedTuple):
    """The record of a series, and the offset at which it stands."""

    name: bytes
    offset: int
    record: bytes


class Loaded(Struct, frozen=True, kw_only=True):
    """What is kept beside the series and the outbox."""

    next_offset: int
    """The position of the last commit."""
    shared: bytes | None
    """None: no sweep brought one yet."""
    epoch: int
    """Ours."""


class Attempt(Struct, frozen=True):
    """Where judging went on, and how often, before anything beyond was committed."""

    offset: int
    count: int


class Seen(Struct, frozen=True, kw_only=True):
    """A state as somebody sees it who does not own it."""

    next_offset: int
    """The position of the last commit."""
    shared: bytes | None
    """As the last sweep left it; None: none brought one yet."""
    series: list[SeriesRecord]
    """As the same sweep left them; those that are damaged are left out."""
    epoch: int
    """Of the owner."""
