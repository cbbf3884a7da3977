"""The engine's thread: it owns all state, takes what is durable in order, and waits for no one.

Each round takes what waits, hands it to the owners of the partitions it belongs to, and lets them
keep what is due.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from sentinel.errors import StateError
from sentinel.model.incident import Incident
from sentinel.service.owner import Owner
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

ROUND_EVENTS = 10_000
"""Events judged together at most: 65,536 samples and a little."""


class Item(Protocol):
    """What waits for an owner."""

    @property
    def size(self) -> int:
        """How many events it is, about."""

    @property
    def nbytes(self) -> int:
        """How much memory it holds."""


class _Waiting(NamedTuple):
    owner: Owner
    item: Any


class _Release(NamedTuple):
    """Somebody waits for owners to be let go."""

    owners: list[Owner]
    keep: bool
    done: threading.Event


class EngineLoop:
    """Judges what is durable, on a thread of its own.

    Parameters
    ----------
    failed
        Told of what the process cannot go on with.
    given_up
        Told of an owner that lost its partition to another, and was let go; None: the process
        cannot go on then either.
    """

    def __init__(
        self,
        vitals: Vitals,
        *,
        failed: Callable[[BaseException], None],
        given_up: Callable[[Owner, StateError], None] | None = None,
    ) -> None:
        self._vitals, self._failed, self._given_up = vitals, failed, given_up
        self.owners: tuple[Owner, ...] = ()
        """Replaced, never changed: safe to read."""
        self._waiting: deque[_Waiting] = deque()
        self._releases: list[_Release] = []
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.waiting_events = 0
        """Durable and not judged yet."""
        self.waiting_bytes = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Judge what waits, commit, take a snapshot and end; says whether there was time for it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def own(self, owner: Owner) -> None:
        """Take a partition that stands where its next record begins."""
        with self._wake:
            self.owners = (*self.owners, owner)
        self._show()

    def release(self, owners: Iterable[Owner], *, keep: bool, timeout: float) -> bool:
        """Let go of partitions, and drop what waits for them; says whether there was time for it.

        `keep`: what was judged is committed first, else nothing is written any more.
        """
        release = _Release(list(owners), keep, threading.Event())
        with self._wake:
            self._releases.append(release)
            self._wake.notify()
        deadline = time.monotonic() + timeout
        while not release.done.wait(0.1):
            if time.monotonic() > deadline or not self._thread.is_alive():
                return release.done.is_set()
        return True

    def put(self, owner: Owner, items: Sequence[Item]) -> None:
        """Take durable records of one partition, in order of their offsets."""
        with self._wake:
            self._waiting.extend(_Waiting(owner, item) for item in items)
            self.waiting_events += sum(item.size for item in items)
            self.waiting_bytes += sum(item.nbytes for item in items)
            self._wake.notify()

    @property
    def open_incidents(self) -> dict[str, Incident]:
        """Incidents of all partitions, as they stood after the last round."""
        found: dict[str, Incident] = {}
        for owner in self.owners:
            found |= owner.open_incidents
        return found

    @property
    def stuck(self) -> str:
        """Why state cannot be kept for now, or an empty text."""
        return next((owner.stuck for owner in self.owners if owner.stuck), "")

    # The thread

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    if not self._waiting and not self._stopping and not self._releases:
                        self._wake.wait(self._until_due())
                    releases, self._releases = self._releases, []
                    work = [] if releases else self._take()
                    if not work and not releases and self._stopping:
                        break
                for release in releases:
                    self._let_go(release)
                for owner, items in work:
                    if owner in self.owners:
                        self._judge(owner, items)
                self._save(force=False)
            self._save(force=True)
        except BaseException as error:
            # A broken invariant, or state that cannot be kept: the process ends, and the next one
            # starts from the last commit.
            self._failed(error)
            raise

    def _until_due(self) -> float | None:
        now = time.monotonic()
        return min(
            (due for owner in self.owners if (due := owner.due_in(now)) is not None), default=None
        )

    def _take(self) -> list[tuple[Owner, list[Any]]]:
        """Take what waits, up to a full round, by owner; the lock is held."""
        work: dict[int, tuple[Owner, list[Any]]] = {}
        events = 0
        while self._waiting and events < ROUND_EVENTS:
            owner, item = self._waiting.popleft()
            work.setdefault(id(owner), (owner, []))[1].append(item)
            events += item.size
            self.waiting_bytes -= item.nbytes
        self.waiting_events -= events
        return list(work.values())

    def _judge(self, owner: Owner, items: list[Any]) -> None:
        before = owner.open_incidents
        try:
            owner.take(items)
        except StateError:
            raise
        except Exception:
            if self._given_up is not None:
                owner.stopped()
            raise
        if owner.open_incidents is not before:
            self._show()

    def _save(self, *, force: bool) -> None:
        for owner in self.owners:
            self._save_one(owner, force=force)

    def _save_one(self, owner: Owner, *, force: bool) -> None:
        at = owner.snapshot_at
        try:
            owner.save(force=force)
        except StateError as error:
            if type(error) is StateError or self._given_up is None:
                raise
            self._drop([owner])
            self._given_up(owner, error)
        if owner.snapshot_at != at:
            self._show()

    def _let_go(self, release: _Release) -> None:
        try:
            if release.keep:
                for owner in release.owners:
                    if owner in self.owners:
                        self._keep(owner)
        finally:
            self._drop(release.owners)
            release.done.set()

    def _keep(self, owner: Owner) -> None:
        """Commit what an owner has judged; where that fails, the next owner judges it again."""
        try:
            owner.save(force=True)
        except StateError as error:
            log.warning("partition.not_committed", partition=owner.name, error=str(error))

    def _drop(self, owners: list[Owner]) -> None:
        with self._wake:
            self.owners = tuple(owner for owner in self.owners if owner not in owners)
            gone = [one for one in self._waiting if one.owner in owners]
            self._waiting = deque(one for one in self._waiting if one.owner not in owners)
            self.waiting_events -= sum(one.item.size for one in gone)
            self.waiting_bytes -= sum(one.item.nbytes for one in gone)
        self._show()

    def _show(self) -> None:
        """Count what stands, over all partitions."""
        owners = self.owners
        severities = Counter(
            incident.severity for owner in owners for incident in owner.open_incidents.values()
        )
        for severity in ("info", "warning", "critical"):
            self._vitals.incidents_open.labels(severity).set(severities[severity])
        self._vitals.baselines.set(sum(owner.parts.partition.live_series for owner in owners))
