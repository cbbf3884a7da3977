"""Every exception that sentinel raises on purpose.

SentinelError
├── SettingsError          a configuration that cannot be used
├── InputError             a file or stream that cannot be read at all
├── QueryError             a question to a store that cannot be answered
│   └── StoreBusy          for now: there was no time for it
├── JournalFull            the log takes no more for now
├── BrokerError            message brokers that cannot be reached, or refuse
├── OverQuota              a sender has sent more than it may
└── StateError             saved state that cannot be used
    ├── TornState          its checksum or its length is wrong
    ├── ForeignState       whole, but of another log, format or configuration
    ├── Fenced             somebody else owns it by now
    └── Gap                whole, but not at the position where it was expected

Bad telemetry is none of these: it is a `Rejection`, a value that is counted.
"""

from typing import ClassVar


class SentinelError(Exception):
    """The root; `code` is stable and fit for a metric label, `hint` says what to do."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.hint = hint


class SettingsError(SentinelError):
    """A configuration that cannot be used; the message names file, line and key."""

    code = "settings"


class InputError(SentinelError):
    """A file or stream that cannot be read at all."""

    code = "input"


class QueryError(SentinelError):
    """A question to a store that cannot be answered as asked; the store itself is well."""

    code = "query"


class StoreBusy(QueryError):
    """The question was fine, and there was no time for it: ask again later."""

    code = "store_busy"


class JournalFull(SentinelError):
    """Too much waits to be written, or the disk has no room: nothing was kept, try again later."""

    code = "journal_full"


class BrokerError(SentinelError):
    """Message brokers that cannot be reached, or refuse what they are asked."""

    code = "broker"


class OverQuota(SentinelError):
    """A sender has sent more than it may: nothing was taken, try again after `wait` seconds."""

    code = "over_quota"

    def __init__(self, unit: str, wait: float, per_second: float, capacity: float) -> None:
        super().__init__(f"over the quota of {per_second:g} {unit} a second", "send again later")
        self.unit, self.wait = unit, wait
        self.per_second, self.capacity = per_second, capacity


class StateError(SentinelError):
    """Saved state that cannot be used."""

    code = "state"


class TornState(StateError):
    """The bytes are not the ones that were written: short, long or changed."""

    code = "state_torn"


class ForeignState(StateError):
    """The bytes are whole but belong to another log, format version or configuration."""

    code = "state_foreign"


class Fenced(StateError):
    """Another owner raised the epoch: whoever gets this has lost the state and must not go on."""

    code = "state_fenced"


class Gap(StateError):
    """Positions are missing, or were passed already, between what is kept and what was expected."""

    code = "state_gap"
