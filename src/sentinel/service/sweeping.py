"""Snapshots are written beside the judging: by a thread, one at a time."""

import threading
from typing import Protocol

from sentinel.checkpoints.contract import Checkpoint
from sentinel.engine import Partition
from sentinel.service.snapshot import Snapshot


class Swept(Protocol):
    """What is swept, and to where."""

    @property
    def partition(self) -> Partition:
        """The state."""

    @property
    def checkpoint(self) -> Checkpoint:
        """Where it is kept."""


class Sweeper:
    """Writes the snapshots of one partition; for the thread that owns it."""

    def __init__(self, parts: Swept) -> None:
        self._parts = parts
        self._kept = parts.partition.names()
        """Names of the series that the checkpoint holds."""
        self._gone: set[bytes] = set()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def is_busy(self) -> bool:
        """Whether one was begun, and its end not met yet."""
        return self._thread is not None

    def begin(self, snapshot: Snapshot) -> None:
        """Begin to write a snapshot, and to forget the series that are gone; not while one is
        written."""
        if self.is_busy:
            return
        partition, checkpoint = self._parts.partition, self._parts.checkpoint
        self._kept.update(series.name for series in snapshot.series)
        gone = self._kept - partition.names() if len(self._kept) > partition.live_series else set()

        def write() -> None:
            try:
                checkpoint.sweep(snapshot.series, sorted(gone), shared=snapshot.shared)
            except BaseException as error:
                self._error = error

        self._gone, self._error = gone, None
        self._thread = threading.Thread(target=write, name="sweep", daemon=True)
        self._thread.start()

    def is_done(self, *, wait: bool) -> bool:
        """Say whether what was begun is written, or wait until it is.

        Raises
        ------
        StateError
            Nothing of it is.
        """
        assert self._thread is not None, "one was begun"
        if self._thread.is_alive() and not wait:
            return False
        self._thread.join()
        self._thread = None
        if self._error is not None:
            raise self._error
        self._kept -= self._gone
        return True
