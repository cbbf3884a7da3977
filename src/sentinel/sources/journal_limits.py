"""How much a journal takes: of memory, of each file, of the disk."""

import errno
import os
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from sentinel.errors import JournalFull, StateError

MIB: Final = 1 << 20

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Limits(Struct, frozen=True, kw_only=True):
    """How much a journal takes."""

    segment_bytes: int = 64 * MIB
    """A segment that has reached this is closed; the group that reached it is whole in it."""
    max_waiting_bytes: int = 64 * MIB
    """Records that wait to be durable; also the most that one record can have."""
    min_free_bytes: int = 256 * MIB
    """Of the disk, which the stores and the state share; looked at once a second."""

    def __post_init__(self) -> None:
        if not 0 < self.max_waiting_bytes < 1 << 32 or self.segment_bytes <= 0:
            raise ValueError("expected limits above 0 and less than 4 GiB of waiting records")


class DiskRoom:
    """Counts bytes against what a disk had free when it was last asked, once a second at most.

    Parameters
    ----------
    min_free_bytes : int
        Stay free: for others who write there, and for us to end in order.
    """

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._left_bytes = 0
        self._asked_at: float | None = None

    def take(self, nbytes: int) -> None:
        """Count bytes that are about to be written.

        Raises
        ------
        JournalFull
            There is no room for them.
        StateError
            The disk does not say how much it has.
        """
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= 1:
            try:
                disk = os.statvfs(self._folder)
            except OSError as error:
                raise StateError(f"{self._folder}: {error.strerror or error}") from error
            self._left_bytes = disk.f_bavail * disk.f_frsize - self._min_free_bytes
            self._asked_at = now
        if self._left_bytes < nbytes:
            raise JournalFull(
                f"{self._folder}: the disk has less than {self._min_free_bytes} bytes free",
                "make room; nothing is lost",
            )
        self._left_bytes -= nbytes


def refusal_of(folder: Path, error: OSError) -> Exception:
    """Return what those are told whose records could not be written."""
    message = f"{folder}: {error.strerror or error}"
    if error.errno in _NO_ROOM:
        return JournalFull(message, "make room; nothing is lost")
    return StateError(message)
