"""Values that are kept in memory for a while, bounded in number, in bytes and in time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

BYTES_MAX: Final = 64 << 20
"""Of all values together: ten thousand full pages of telemetry would be 10 GB."""


class _Entry(NamedTuple):
    value: bytes
    until: float
    """The end of its life, read or not."""
    read_at: float


class MemoryCache:
    """Keeps what was read last; safe from any thread.

    Parameters
    ----------
    capacity
        Entries at most; what was not read for longest goes first.
    tti_secs
        An entry that nobody reads for so long is gone, whatever life it has left.
    now
        A clock in seconds, whatever its zero.
    """

    def __init__(
        self,
        *,
        capacity: int,
        tti_secs: float,
        bytes_max: int = BYTES_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity, self._tti_secs, self._bytes_max = capacity, tti_secs, bytes_max
        self._now = now
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        """In order of reading, so that those unread for longest come first."""
        self._nbytes = 0

    def __len__(self) -> int:
        with self._lock:
            self._forget(self._now())
            return len(self._entries)

    def get(self, key: bytes) -> bytes | None:
        """Return a value that is still alive."""
        with self._lock:
            now = self._now()
            entry = self._entries.get(key)
            if entry is None:
                return None
            if now >= entry.until or now - entry.read_at >= self._tti_secs:
                self._remove(key)
                return None
            self._entries[key] = entry._replace(read_at=now)
            self._entries.move_to_end(key)
            return entry.value

    def put(self, key: bytes, value: bytes, *, ttl_secs: float) -> None:
        """Keep a value in the place of what the key had."""
        with self._lock:
            if key in self._entries:
                self._remove(key)
            if len(value) > self._bytes_max:
                return
            now = self._now()
            self._entries[key] = _Entry(value, now + ttl_secs, now)
            self._nbytes += len(value)
            self._forget(now)
            while len(self._entries) > self._capacity or self._nbytes > self._bytes_max:
                self._remove(next(iter(self._entries)))

    def _forget(self, now: float) -> None:
        """Let go of what nobody has read for too long; it stands first."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if now - entry.read_at < self._tti_secs:
                return
            self._remove(key)

    def _remove(self, key: bytes) -> None:
        self._nbytes -= len(self._entries.pop(key).value)
