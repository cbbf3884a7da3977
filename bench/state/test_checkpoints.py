"""Commits and snapshots of 10,000 series of 16 KB, on disk and in Redis, and who waits for them.

    pytest -s bench/state/test_checkpoints.py

Prints what it measured.  The one gate is on what a snapshot makes others wait: all else depends on
the disk and on who else is on the machine.
"""

import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.places import place_at
from sentinel.checkpoints.rows import OutboxRow, SeriesRecord
from servers.redis import redis_server

SERIES = 10_000
RECORD_BYTES = 16_384
COMMITS = 1_000
BODY_BYTES = 2_000
"""An alert with its evidence."""
WAIT_MS_P99 = 100.0
"""Others at the same Redis, and the owner's own commits, go on while a snapshot is written."""


def ms(seconds: list[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))] * 1e3


@contextmanager
def pinged(ping: object) -> Iterator[list[float]]:
    """Ask again and again meanwhile; gives how long each answer took, seconds."""
    assert callable(ping)
    took: list[float] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.002):
            began = time.perf_counter()
            ping()
            took.append(time.perf_counter() - began)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kind", ["disk", "redis"])
def test_commits_and_snapshots(kind: str, tmp_path: Path) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "everysec")
    with redis_server(tmp_path / "redis", *options) as server:
        where = str(tmp_path / "state") if kind == "disk" else server.url
        with place_at(where) as place:
            checkpoint = place.open("p", log_id="log")
            took: dict[str, list[float]] = {"commit": [], "commit + alert": []}
            base = 0
            for number in range(COMMITS):
                for name, rows in (
                    ("commit", []),
                    ("commit + alert", [OutboxRow(str(number), "hook", bytes(BODY_BYTES))]),
                ):
                    began = time.perf_counter()
                    checkpoint.commit(base, base + 1, rows)
                    took[name].append(time.perf_counter() - began)
                    base += 1
            for name, seconds in took.items():
                print(f"\n{kind}: {name}: P50 {ms(seconds, 0.5):.2f} ms", end="")
                print(f", P99 {ms(seconds, 0.99):.2f} ms", end="")
            body = secrets.token_bytes(RECORD_BYTES)
            names = [b"tenant\0prod\0service-%05d\0model\0latency_ms" % n for n in range(SERIES)]
            sweeps: list[float] = []
            with pinged(lambda: server.ask("PING")) as waited:
                for _ in range(3):
                    records = [SeriesRecord(name, base, body) for name in names]
                    began = time.perf_counter()
                    checkpoint.sweep(records, shared=bytes(5_000_000))
                    sweeps.append(time.perf_counter() - began)
            # One after the other: the second waits until what the first has staged is moved.
            first, median = sweeps[0], statistics.median(sweeps)
            print(f"\n{kind}: snapshot: first {first:.2f} s, median of 3 {median:.2f} s", end="")
            if kind == "redis":
                print(f"; others waited P50 {ms(waited, 0.5):.2f} ms", end="")
                longest = 1e3 * max(waited)
                print(f", P99 {ms(waited, 0.99):.2f} ms, at most {longest:.1f} ms", end="")
            checkpoint.sweep([])
            began = time.perf_counter()
            count = sum(1 for _ in checkpoint.series())
            print(f"\n{kind}: read again in {time.perf_counter() - began:.2f} s")
            assert count == SERIES
            checkpoint.close()
            if kind == "redis":
                assert ms(waited, 0.99) <= WAIT_MS_P99
