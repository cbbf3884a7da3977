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
    """What was committed last."""

    next_offset: int
    shared: bytes | None
    """None: no commit brought one yet."""
    shared_at: int
    """Where the shared state stands; what lies from there to `next_offset` was told already."""
    recent_ids: list[bytes]
    """As they were committed, oldest first."""
    log_id: str
    config_hash: str
    """Of the configuration under which it was committed; likewise the build."""
    build_id: str
    format_version: int
    epoch: int
    """Ours."""
