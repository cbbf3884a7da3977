"""A process that commits and sweeps without end and kills itself at a named crash point.

Arguments: folder or URL, prefix of the keys, crash point, which of its passings kills.  Each commit
writes its position as an outbox row and, in a sweep, as series and as shared state; what has
returned is told on standard output.
"""

import os
import signal
import sys

from conformance.places import place_at
from sentinel.checkpoints.contract import Checkpoints
from sentinel.checkpoints.rows import OutboxRow, SeriesRecord
from sentinel.vitals.logs import configure


def main(place: Checkpoints, point: str, passing: int) -> None:
    passed = 0

    def crash_point(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and passed == passing:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint = place.open("p", log_id="log", crash_point=crash_point)
    base = checkpoint.committed_to()
    while True:
        text = b"%d" % (base + 1)
        checkpoint.attempt(base)
        row = OutboxRow(text.decode(), "hook", text)
        checkpoint.commit(base, base + 1, [row])
        base += 1
        os.write(1, b"commit %s\n" % text)
        series = [SeriesRecord(b"%d" % place, base, text * 2000) for place in range(5)]
        series.append(SeriesRecord(text, base, b""))
        checkpoint.sweep(series, gone=[b"%d" % (base - 3)], shared=text)
        os.write(1, b"sweep %s\n" % text)
        if base % 2:
            checkpoint.delivered([str(base)], "hook")
            os.write(1, b"delivered %s\n" % text)


if __name__ == "__main__":
    configure("error", as_json=True)
    with place_at(sys.argv[1], sys.argv[2]) as place:
        main(place, sys.argv[3], int(sys.argv[4]))
