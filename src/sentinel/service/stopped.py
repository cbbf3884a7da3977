"""The baselines of a service that does not run: read under its lock, added to through its log.

What is added is a record of the journal, like everything else that people do, and is taken up where
that is judged: by the next start, by a start after a crash, and by a replay of the journal.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import msgspec

from sentinel.checkpoints.contract import Checkpoint
from sentinel.engine import Partition
from sentinel.model.control import Control
from sentinel.replay.run import Replay
from sentinel.service.outlet import ToGrouping
from sentinel.service.recovery import restore
from sentinel.service.state_place import state_place
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, grouping_rules
from sentinel.sources.journal import CONTROL, Journal

RECORD_SERIES: Final = 2_000
"""Series in one record of the journal: 22 MB of windows of 1,000, of the 64 MiB that may wait."""


class StoppedService:
    """What lies in the folder of a service, and ours alone for as long as we look."""

    def __init__(
        self, settings: Settings, journal: Journal, answers: "SimpleQueue[Exception | None]"
    ) -> None:
        self._settings, self._journal, self._answers = settings, journal, answers
        self._replay = Replay(settings, journal.log_id)

    @property
    def partition(self) -> Partition:
        """The state as the next start will have it."""
        return self._replay.partition

    def catch_up(self, checkpoint: Checkpoint) -> None:
        """Take up the last snapshot, and judge in memory what the journal holds after it."""
        restore(
            checkpoint, self.partition, ToGrouping(grouping_rules(self._settings)), self._journal
        )
        for record in self._journal.read(self.partition.next_offset):
            self._replay.judge_record(record)

    def adopt(self, series: list[bytes]) -> None:
        """Add baselines, if all of them can be.

        Raises
        ------
        StateError
            A series is there already, or torn, or there is no room for it: then none was added.
            Or the journal cannot be written to.
        """
        self.partition.adopt(series)
        self._journal.start()
        if self._journal.next_offset == 0:
            rules = msgspec.json.encode(engine_rules(self._settings))
            grouping = msgspec.json.encode(grouping_rules(self._settings))
            self._write(
                Control(kind="configure", rules=msgspec.Raw(rules), grouping=msgspec.Raw(grouping))
            )
        for first in range(0, len(series), RECORD_SERIES):
            self._write(Control(kind="adopt", series=series[first : first + RECORD_SERIES]))

    def _write(self, control: Control) -> None:
        payload = msgspec.json.encode(control)
        self._journal.append(CONTROL, payload, received_at=time.time_ns(), token=None)
        error = self._answers.get()
        if error is not None:
            raise error


@contextmanager
def stopped(settings: Settings) -> Iterator[StoppedService]:
    """Hold the folder of a service that does not run; a new one is made where there is none.

    Raises
    ------
    StateError
        It runs, or what lies there cannot be used.
    """
    folder = Path(settings.data_dir)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    answers: SimpleQueue[Exception | None] = SimpleQueue()
    journal = Journal.open(
        folder / "journal",
        on_durable=lambda _: answers.put(None),
        on_failed=lambda _, error: answers.put(error),
        on_broken=lambda _: None,
    )
    try:
        checkpoints, partition = state_place(settings, journal.log_id)
        checkpoint = checkpoints.open(partition, log_id=journal.log_id)
        try:
            service = StoppedService(settings, journal, answers)
            service.catch_up(checkpoint)
            yield service
        finally:
            checkpoint.close()
            checkpoints.close()
    finally:
        journal.close()
