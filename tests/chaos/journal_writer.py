"""A process that appends from four threads and kills itself at a named crash point.

Arguments: folder, crash point, which of its passings kills.  Each durable record is told on
standard output as `offset payload`, by one write a group, after the group is durable.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from sentinel.errors import StateError
from sentinel.sources.journal import EVENTS, Appended, Journal, Limits

LIMITS = Limits(segment_bytes=8_000, min_free_bytes=0)


def main(folder: Path, point: str, passing: int) -> None:
    passed = 0

    def crash_point(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and passed == passing:
            os.kill(os.getpid(), signal.SIGKILL)

    def durable(appended: list[Appended]) -> None:
        lines = [b"%d %s\n" % (item.offset, item.record.payload.split()[0]) for item in appended]
        os.write(1, b"".join(lines))
        for item in appended:
            item.token.release()

    def failed(tokens: list[Any], error: Exception) -> None:
        raise error

    def broken(error: StateError) -> None:
        raise error

    journal = Journal.open(
        folder,
        LIMITS,
        on_durable=durable,
        on_failed=failed,
        on_broken=broken,
        crash_point=crash_point,
    )
    journal.start()

    def write(name: int) -> None:
        """Have up to three records on their way at once."""
        answered = threading.Semaphore(3)
        for number in range(100_000):
            answered.acquire()
            payload = b"%d:%d:%d %s" % (os.getpid(), name, number, b"x" * (number * 37 % 400))
            journal.append(EVENTS, payload, received_at=number, token=answered)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
