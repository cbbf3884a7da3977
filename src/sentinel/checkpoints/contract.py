"""What a place for state promises, wherever it lies: a file, or a server that others share.

The state of a partition has one owner.  Who opens it raises its fence, and whoever had it before
can write no more.  What is written moves together: the position with what is to be told (`commit`),
the series with what they share (`sweep`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from sentinel.checkpoints.rows import Attempt, Loaded, OutboxRow, Seen, SeriesRecord


def go_on(_: str) -> None:
    """Pass a crash point."""


class Checkpoint(Protocol):
    """One owner's hold on the state of one partition; safe from any thread.

    Every method raises `StateError` itself, and no subclass of it, when the place cannot be reached
    or takes nothing for now: the same call may be made again later, with more in it.  `TornState`
    says that what lies there is damaged.  Everything that writes raises `Fenced` once another owner
    has opened the state.
    """

    @property
    def epoch(self) -> int:
        """Ours; whoever opens the state next has a higher one."""

    @property
    def outbox_bytes(self) -> int:
        """Bytes of the bodies that wait."""

    def load(self) -> Loaded | None:
        """Return what was committed last, or None where nothing was.

        Raises
        ------
        TornState
            A checksum differs.
        """

    def committed_to(self) -> int:
        """Return the position of the last commit; 0 where there was none."""

    def commit(self, base: int, next_offset: int, outbox: Sequence[OutboxRow] = ()) -> None:
        """Move position and outbox on together.

        Parameters
        ----------
        base
            The position that the last commit left, ours or that of whoever was before us.  The
            first commit of all may have any.
        outbox
            What is to be told; a row that waits already is not added again.

        Raises
        ------
        Gap
            The state does not stand at `base`, or `next_offset` lies before it.
        """

    def sweep(
        self,
        records: Sequence[SeriesRecord],
        gone: Sequence[bytes] = (),
        *,
        shared: bytes | None = None,
    ) -> None:
        """Write the records of series that changed, and forget those that are gone: all or nothing.

        Parameters
        ----------
        records
            Of two records of one series the later counts.
        shared
            Takes the place of the one before, when both are to be one snapshot; None: that stays.

        Raises
        ------
        Gap
            A record stands beyond the last commit: what the events in between did to the shared
            state would never be told.
        """

    def series(self, torn: Callable[[bytes], None] | None = None) -> Iterator[SeriesRecord]:
        """Yield the series records, ordered by name; sweeps may go on meanwhile.

        Parameters
        ----------
        torn
            Called with the name of a series whose checksum differs, which is then left out; None:
            `TornState` is raised.
        """

    def outbox(self, destination: str, limit: int) -> list[OutboxRow]:
        """Return the rows of a destination that wait longest, in order of their commits."""

    def delivered(self, ids: Sequence[str], destination: str) -> None:
        """Delete rows that a destination has confirmed.

        Raises
        ------
        Fenced
            Another owner will send them again, under the same ids.
        """

    def attempt(self, offset: int) -> int:
        """Take note, before it is judged, that judging goes on at a position.

        The note outlives the process, and goes with the first commit beyond the position.  A note
        of another position takes its place.

        Returns
        -------
        int
            How often judging went on there, this time included: the process stopped there one time
            less.
        """

    def attempted(self) -> Attempt | None:
        """Return the last note that no commit has passed."""

    def close(self) -> None:
        """Let the state go; what was written stays."""


class Checkpoints(Protocol):
    """Where the states of partitions lie, each under a name of letters, digits, `.`, `_`, `-`."""

    def open(
        self, partition: str, *, log_id: str, crash_point: Callable[[str], None] = go_on
    ) -> Checkpoint:
        """Take hold of the state of a partition, made where there is none, and raise its fence.

        Parameters
        ----------
        log_id
            Of the log whose positions are meant.
        crash_point
            Called with each crash point of the place as it is passed.

        Raises
        ------
        ForeignState
            It is the state of another log or of another format; the fence is as it was.
        """

    def look(self, partition: str, *, series: bool = True) -> Seen | None:
        """Return a state as its owner has left it, at one moment, and leave the fence as it is.

        Parameters
        ----------
        series
            Whether the series are wanted too: they are nearly all of its bytes.

        Returns
        -------
        Seen or None
            None: nobody has committed anything there.
        """

    def waiting(self, partition: str, destination: str, limit: int) -> list[OutboxRow]:
        """Return the rows of a destination that wait longest, as `Checkpoint.outbox` does, without
        owning the state; none where there is none yet."""

    def taken(self, partition: str, ids: Sequence[str], destination: str) -> None:
        """Delete rows that are safe elsewhere, without owning the state.

        Their owner never writes them again: he committed them with the position that made them.
        """

    def close(self) -> None:
        """Let go of what all partitions share; checkpoints are closed before."""
