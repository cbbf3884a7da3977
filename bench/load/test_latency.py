"""How long events take from request to verdict: 5,000 a second, in bodies of 50.

Service and sender have a core each.  The yardstick is a bare application on the same server that
only writes and fdatasyncs each body, in the same sitting.
SENTINEL_BENCH_SECONDS is how long each run takes (10; 60 for figures to quote).
"""

import itertools
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import numpy as np
import pytest

from load.test_http import BARE, SECONDS, free_port, running, served

EVENTS: Final = 50
BODIES_A_SECOND: Final = 100
SENDERS: Final = 8
P50_MS: Final = 5.0
P99_MS: Final = 25.0
YARDSTICKS: Final = 3
"""Of the bare application's, where the disk is so slow that it is more than the milliseconds."""

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs a core for the sender")

_HEAD = b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
_LINE = (
    '{"event_id":"%08x-0000-4000-8000-%012x","service_name":"s%d","model":"m","prompt":{"tokens":90},'
    '"response":{"tokens":%d,"finish_reason":"stop"},"latency_ms":%.1f,"errors":[]}'
)


def body(number: int) -> bytes:
    rng = np.random.default_rng(number)
    services, tokens = rng.integers(20, size=EVENTS), rng.integers(10, 800, size=EVENTS)
    rows = zip(services, tokens, rng.gamma(5, 100, size=EVENTS), strict=True)
    return "\n".join(_LINE % (number, k, *row) for k, row in enumerate(rows)).encode()


@contextmanager
def on_the_other_core() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def answered_ms(port: int) -> list[float]:
    """Send at a steady rate, and return how long each answer took."""
    numbers, took = itertools.count(), list[float]()
    # Made before the clock runs: it is a millisecond each.
    bodies = [body(number) for number in range(SECONDS * BODIES_A_SECOND)]

    def send() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (number := next(numbers)) < len(bodies):
                time.sleep(max(0.0, began + number / BODIES_A_SECOND - time.monotonic()))
                sent = time.monotonic()
                connection.sendall(_HEAD % len(bodies[number]) + bodies[number])
                assert connection.recv(65_536).split()[1] == b"200"
                took.append(1000 * (time.monotonic() - sent))

    began = time.monotonic() + 0.1
    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(took) == len(bodies)
    return took


def judged_within(port: int, seconds: float) -> float:
    """Return the part of the rounds whose oldest event was judged so soon after its receipt."""
    text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    found = {
        bound: float(count)
        for bound, count in re.findall(
            r'^sentinel_detection_latency_seconds_bucket\{le="([^"]+)"\} (.+)$', text, re.MULTILINE
        )
    }
    return found[str(seconds)] / found["+Inf"]


def test_from_request_to_answer_and_verdict(tmp_path: Path) -> None:
    port, bare_port = free_port(), free_port()
    bare = [sys.executable, "-c", BARE, str(bare_port), str(tmp_path / "bare.log")]
    with on_the_other_core():
        with running(bare, bare_port):
            yardstick = np.percentile(answered_ms(bare_port), (50, 99))
        with running(served(tmp_path, port), port):
            took = np.percentile(answered_ms(port), (50, 99))
            soon, late = judged_within(port, P50_MS / 1000), judged_within(port, P99_MS / 1000)
    print(
        f"\nanswers: P50 {took[0]:.1f}, P99 {took[1]:.1f} ms; a bare application's"
        f" {yardstick[0]:.1f}, {yardstick[1]:.1f}; verdicts within {P50_MS:.0f} ms {soon:.1%},"
        f" within {P99_MS:.0f} ms {late:.1%}"
    )
    gates = np.maximum((P50_MS, P99_MS), YARDSTICKS * yardstick)
    assert (took <= gates).all()
    assert soon >= 0.5
    assert late >= 0.99
