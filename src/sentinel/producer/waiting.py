"""Events that wait to be sent: bounded in bytes, in the order in which they came."""

import threading
from collections import deque
from typing import Final, NamedTuple

EVENT_OVERHEAD: Final = 200
"""Bytes that an event takes in memory besides its own: two objects and a place in the queue."""
BATCH_BYTES: Final = 1 << 20
"""Of one request; the service takes 10 MiB where it is not configured otherwise."""


class Item(NamedTuple):
    """One event as it is sent."""

    key: str
    """The service; what has one key stays in order."""
    body: bytes

    @property
    def size(self) -> int:
        """Bytes that it counts."""
        return len(self.body) + EVENT_OVERHEAD


class Waiting:
    """The queue between the threads of an application and the one that sends.

    `put` by any thread; `take`, `settle` and `pause` by the sending one.
    """

    def __init__(self, bytes_max: int, linger_seconds: float) -> None:
        self._bytes_max, self._linger = bytes_max, linger_seconds
        self._batch_bytes = min(BATCH_BYTES, bytes_max // 2)
        """Where so much waits, waiting for more gains nothing."""
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._put = self._settled = 0
        self._flush_to = 0
        """What has been put up to here is sent without lingering."""
        self.is_closed = False
        """Nothing comes in any more."""
        self.is_over = False
        """What has not been sent by now never will be."""

    @property
    def count(self) -> int:
        """Events that wait or are under way."""
        with self._changed:
            return self._put - self._settled

    def put(self, item: Item, wait_seconds: float) -> bool:
        """Add an event; false where there is no room, also after so many seconds."""
        with self._changed:
            if not self._has_room(item) and not (
                wait_seconds > 0
                and self._changed.wait_for(
                    lambda: self.is_closed or self._has_room(item), wait_seconds
                )
            ):
                return False
            if self.is_closed:
                return False
            self._items.append(item)
            self._put += 1
            before, self._bytes = self._bytes, self._bytes + item.size
            if before == 0 or before < self._batch_bytes <= self._bytes:
                self._changed.notify_all()
            return True

    def _has_room(self, item: Item) -> bool:
        return self._bytes + item.size <= self._bytes_max

    def take(self) -> list[Item]:
        """Return what waits, about BATCH_BYTES at most; empty: closed, and nothing is left.

        Waits for the first event, and then a little for more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.is_closed)
            self._changed.wait_for(self._is_due, self._linger)
            batch: list[Item] = []
            size = 0
            while self._items and (not batch or size + self._items[0].size <= BATCH_BYTES):
                size += self._items[0].size
                batch.append(self._items.popleft())
            self._bytes -= size
            self._changed.notify_all()
            return batch

    def _is_due(self) -> bool:
        return self.is_closed or self._bytes >= self._batch_bytes or self._flush_to > self._settled

    def settle(self, count: int) -> None:
        """Say that so many events have been sent or given up."""
        with self._changed:
            self._settled += count
            self._changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Wait before another attempt, briefly once it is closed; false: there is no time for one.

        That nobody wants to wait for an application that ends is why closing ends a pause.
        """
        with self._changed:
            was_closed = self.is_closed
            self._changed.wait_for(
                lambda: self.is_over or self.is_closed != was_closed,
                min(seconds, 0.2) if was_closed else seconds,
            )
            return not self.is_over

    def flush(self, seconds: float) -> bool:
        """Wait until what has been put so far has been sent or given up; false: it took longer."""
        with self._changed:
            target = self._flush_to = self._put
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._settled >= target, seconds)

    def close(self) -> None:
        """Take nothing more; what waits is still sent."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    def end(self) -> None:
        """Give up what has not been sent."""
        with self._changed:
            self.is_closed = self.is_over = True
            self._changed.notify_all()
