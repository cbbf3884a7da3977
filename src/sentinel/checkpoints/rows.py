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
    """What the file holds beside the series and the outbox."""

    next_offset: int
    """The position of the last commit."""
    shared: bytes | None
    """None: no sweep brought one yet."""
    epoch: int
    """Ours."""
