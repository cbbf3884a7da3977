"""What a person asks of the engine: a record of the log like any event, so a re-run sees it too."""

from typing import Literal

from msgspec import Struct


class Control(Struct, frozen=True, kw_only=True):
    """One act on one incident."""

    kind: Literal["acknowledge", "resolve"]
    incident: str
    by: str = ""
    note: str = ""
