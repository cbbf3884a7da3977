"""What an event costs from its bytes to its verdicts: the slope of `sentinel replay`.

Measured as processor time of the whole process over ten copies of a stream less that over one, so
that starting up does not count; the yardstick is msgspec's decoding of the same bytes alone, in the
same run.  The stream is generated; SENTINEL_EVAL names a folder of *.ndjson.gz to use instead.
"""

import gzip
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from time import process_time

import msgspec
import pytest

from sentinel.demo.traffic import Traffic
from sentinel.model.event import Event

COPIES = 10
REPEATS = 3
GATE_RATIO = 6.0
"""Decoding alone takes 0.75 to 1.0 microseconds; 200,000 events a second are 5."""


def _stream() -> bytes:
    folder = os.environ.get("SENTINEL_EVAL")
    if folder:
        files = sorted(Path(folder).rglob("hourly_*.ndjson.gz"))
        if not files:
            pytest.fail(f"SENTINEL_EVAL={folder} holds no hourly_*.ndjson.gz")
        return b"".join(gzip.decompress(path.read_bytes()) for path in files)
    return b"".join(body for seed in range(12) for _, body in Traffic(seed).live())


def _copies(stream: bytes, count: int, path: Path) -> int:
    """Write a stream `count` times, each a month later and with other event ids."""
    events = msgspec.json.Decoder(Event).decode_lines(stream)
    events.sort(key=lambda event: str(event.timestamp))
    encode = msgspec.json.Encoder().encode_lines
    with path.open("wb") as file:
        for copy in range(count):
            for event in events:
                assert isinstance(event.timestamp, datetime)
                if copy:
                    event.timestamp += timedelta(days=30)
                    event.event_id = f"{copy:04x}{(event.event_id or '')[4:]}"
            file.write(encode(events))
    return len(events)


def _cpu_seconds(path: Path) -> float:
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "sentinel", "replay", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def _decode_seconds(path: Path) -> float:
    """Return the time of decoding alone, in pieces of the size that replay takes."""
    lines = path.read_bytes().splitlines(keepends=True)
    pieces = [b"".join(lines[i : i + 3000]) for i in range(0, len(lines), 3000)]
    decoder = msgspec.json.Decoder(Event)
    began = process_time()
    for piece in pieces:
        decoder.decode_lines(piece)
    return process_time() - began


def test_replay_costs_a_few_times_what_decoding_does(tmp_path: Path) -> None:
    stream = _stream()
    one, ten = tmp_path / "one.ndjson", tmp_path / "ten.ndjson"
    events = _copies(stream, 1, one)
    _copies(stream, COPIES, ten)
    ratios, rates = [], []
    for _ in range(REPEATS):
        decode = _decode_seconds(one) / events
        slope = (_cpu_seconds(ten) - _cpu_seconds(one)) / ((COPIES - 1) * events)
        ratios.append(slope / decode)
        rates.append(1 / slope)
    print(
        f"\nreplay: {median(rates):,.0f} events a processor second (slope over {events:,} and "
        f"{COPIES * events:,} events), {median(ratios):.2f} times decoding alone"
    )
    assert median(ratios) <= GATE_RATIO
