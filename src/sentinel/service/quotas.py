"""How much each sender may send: token buckets, filled by the clock of the edge.

How many events and bytes a body holds is known only once it is inflated and read.  So a body is let
in while its sender is in credit, and what it held is taken off afterwards, below zero if need be:
nobody gets more than the mean, and a single body may be larger than the burst.
"""

import time
from collections.abc import Callable, Mapping

from sentinel.errors import OverQuota
from sentinel.settings.keys import Quota


class Bucket:
    """One thing of one sender that is limited."""

    def __init__(self, per_second: float, burst_secs: float, now: float) -> None:
        self.per_second = per_second
        self.capacity = max(1.0, per_second * burst_secs)
        self._level = self.capacity
        self._at = now

    def level(self, now: float) -> float:
        """Return what is left, below zero where too much was taken."""
        passed = max(0.0, now - self._at)
        self._level = min(self.capacity, self._level + passed * self.per_second)
        self._at = now
        return self._level

    def take(self, amount: float, now: float) -> None:
        """Take off what came."""
        self._level = self.level(now) - amount

    def seconds_until_credit(self, now: float) -> float:
        """Return how long it takes until one event, or byte, may come again."""
        return max(0.0, (1.0 - self.level(now)) / self.per_second)


class Quotas:
    """All senders that have a quota; used on the event loop's thread.

    Parameters
    ----------
    general
        Of everybody who has none of his own: of each key, or of all who need none.
    own
        By the name of a key.
    """

    def __init__(
        self,
        general: Quota | None,
        own: Mapping[str, Quota],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._general, self._own, self._clock = general, dict(own), clock
        self._buckets: dict[str, dict[str, Bucket]] = {}

    def admit(self, sender: str) -> None:
        """Let a body in.

        Raises
        ------
        OverQuota
            The sender has to wait.
        """
        now = self._clock()
        for unit, bucket in self._of(sender).items():
            wait = bucket.seconds_until_credit(now)
            if wait > 0:
                raise OverQuota(unit, wait, bucket.per_second, bucket.capacity)

    def charge(self, sender: str, *, events: int, nbytes: int) -> None:
        """Take off what a body held."""
        buckets, now = self._of(sender), self._clock()
        for unit, amount in (("events", events), ("bytes", nbytes)):
            if unit in buckets:
                buckets[unit].take(amount, now)

    def _of(self, sender: str) -> dict[str, Bucket]:
        """Return the buckets of a sender; there are as many as keys, and one more."""
        found = self._buckets.get(sender)
        if found is None:
            quota = self._own.get(sender, self._general) or Quota()
            rates = {"events": quota.events_per_second, "bytes": quota.bytes_per_second}
            now = self._clock()
            found = self._buckets[sender] = {
                unit: Bucket(rate, quota.burst_secs, now)
                for unit, rate in rates.items()
                if rate is not None
            }
        return found
