"""What a person asks of the engine: a record of the log like any event, so a re-run sees it too."""

from typing import Literal

from msgspec import Raw, Struct

_NONE = Raw(b"null")


class Control(Struct, frozen=True, kw_only=True):
    """One act: on an incident, on the rules of all judging, or on the baselines."""

    kind: Literal["acknowledge", "resolve", "accept", "configure", "adopt"]
    incident: str = ""
    baseline: tuple[str, str, str, str, str] | None = None
    """accept, where no incident is named: tenant, environment, service, model, metric."""
    by: str = ""
    note: str = ""
    rules: Raw = _NONE
    """configure: the engine's rules, as JSON."""
    grouping: Raw = _NONE
    """configure: the rules of grouping, as JSON."""
    series: list[bytes] = []
    """adopt: series records, as `Partition.adopt` takes them."""
