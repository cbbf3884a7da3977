"""A name for every call: a sender that puts something unique where the service should stand.

The same load is sent to two services, to one under few names, to the other under names that never
come again.  SENTINEL_ATTACK_NAMES=1000000 is the long form, with the default cap on series.
"""

import contextlib
import http.client
import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from end_to_end.serving import Serving, serving, until

NAMES = int(os.environ.get("SENTINEL_ATTACK_NAMES", "20000"))
LONG = NAMES >= 500_000
MAX_SERIES = 100_000 if LONG else 4_000
REAL = 300 if LONG else 30
CALLS = 150
"""Of each real service before the attack: more than the tests need to be armed."""
BODY = 1000
SERIES = 7
"""Metrics of one event, so series of one name."""
MEMORY_MOST = 1.2
LINES_MOST = 2000
P99_MOST = 2.0
P99_LEAST_MS = 20.0
"""Below this a p99 is the machine's: other processes, a sync of the disk.

The short form lasts less than a second, a few dozen answers: no p99 to speak of, none is asked.
"""


class Load(NamedTuple):
    """What one service came through."""

    rss_mb: float
    peak_mb: float
    lines: int
    p99_ms: float
    seconds: float
    baselines: int
    found: list[str]
    others: int
    """Incidents of everybody else."""


def event(service: str, chance: random.Random, *, slow: float = 1.0) -> dict[str, Any]:
    return {
        "service_name": service,
        "model": "m",
        "latency_ms": round(800 * slow * chance.lognormvariate(0, 0.2), 1),
        "ttft_ms": round(90 * chance.lognormvariate(0, 0.2), 1),
        "prompt": {"tokens": chance.randint(900, 1100)},
        "response": {"tokens": chance.randint(180, 220)},
        "cost_usd": 0.01,
    }


def send(connection: http.client.HTTPConnection, events: list[dict[str, Any]]) -> float:
    """Send events until they are taken; returns how long the answer that took them needed, in ms.

    Over its bounds the service answers 503, and takes them later.
    """
    body = "\n".join(json.dumps(one) for one in events)
    while True:
        began = time.perf_counter()
        connection.request("POST", "/api/v1/events", body)
        answer = connection.getresponse()
        said = answer.read()
        took = 1000 * (time.perf_counter() - began)
        if answer.status == 200:
            assert json.loads(said)["accepted"] == len(events)
            return took
        assert answer.status == 503, said
        time.sleep(0.2)


def caller(service: Serving) -> contextlib.closing[http.client.HTTPConnection]:
    """Return a connection that is kept."""
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60))


def memory_mb(pid: int, what: str) -> float:
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if what in line
    ]
    return int(line.split()[1]) / 1024


def under_load(folder: Path, names: Iterator[str]) -> Load:
    """Send calls of real services, fill the cap, then send NAMES calls under these names."""
    config = {"detection": {"baseline": {"max_series": MAX_SERIES}}}
    chance = random.Random(1)
    real = [f"real-{number}" for number in range(REAL)]
    with serving(folder, config) as service, caller(service) as connection:
        for _ in range(CALLS // 10):
            for first in range(0, REAL, 100):
                group = [event(one, chance) for one in real[first : first + 100] * 10]
                send(connection, group)
        for first in range(0, MAX_SERIES // SERIES, BODY):
            last = min(first + BODY, MAX_SERIES // SERIES)
            send(connection, [event(f"filler-{n}", chance) for n in range(first, last)])
        done = threading.Event()
        answered: list[float] = []
        prober = threading.Thread(target=probe, args=(service, done, answered))
        prober.start()
        began = time.monotonic()
        for _ in range(0, NAMES, BODY):
            send(connection, [event(next(names), chance) for _ in range(BODY)])
        settle(service)
        seconds = time.monotonic() - began
        done.set()
        prober.join()
        planted = real[7]
        for _ in range(4):
            send(connection, [event(planted, chance, slow=6.0) for _ in range(15)])
        incidents = until(lambda: service.read("/api/v1/incidents", service=planted)["incidents"])
        known = service.read("/api/v1/baselines", metric="latency_ms")["baselines"]
        assert service.process_id is not None
        return Load(
            rss_mb=memory_mb(service.process_id, "VmRSS"),
            peak_mb=memory_mb(service.process_id, "VmHWM"),
            lines=service.get("/metrics").body.count(b"\n"),
            p99_ms=statistics.quantiles(answered, n=100)[98],
            seconds=seconds,
            baselines=sum(1 for one in known if one["service"] in real and one["samples"] >= CALLS),
            found=[incident["type"] for incident in incidents],
            others=service.read("/api/v1/incidents", limit=1000)["count"] - len(incidents),
        )


def probe(service: Serving, done: threading.Event, answered: list[float]) -> None:
    """Send single calls of a real service beside the load, and take the time of each answer."""
    chance = random.Random(2)
    with caller(service) as connection:
        while not done.is_set():
            answered.append(send(connection, [event("real-0", chance)]))
            time.sleep(0.02)


def settle(service: Serving) -> None:
    """Wait until everything that was taken is judged and stored."""

    def cursors() -> tuple[float, float]:
        lines = service.get("/metrics").body.decode().splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("sentinel_"))
        return float(found["sentinel_storage_cursor"]), float(found["sentinel_journal_offset"])

    def is_done() -> bool:
        stored, written = cursors()
        return written - stored < 50  # ticks, and calls of the probe

    until(is_done, seconds=300)


def test_names_without_end_cost_no_more_than_the_cap(tmp_path: Path) -> None:
    few = MAX_SERIES // SERIES
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    usual = under_load(tmp_path / "few", (f"filler-{n % few}" for n in range(NAMES + BODY)))
    attacked = under_load(tmp_path / "many", (f"once-{n:x}" for n in range(NAMES + BODY)))
    sys.stdout.write(f"\nfew names:  {usual}\nmany names: {attacked}\n")
    assert attacked.rss_mb <= MEMORY_MOST * usual.rss_mb
    assert attacked.peak_mb <= MEMORY_MOST * usual.peak_mb
    assert attacked.lines <= usual.lines + LINES_MOST
    if LONG:
        assert attacked.p99_ms <= max(P99_MOST * usual.p99_ms, P99_LEAST_MS)
    assert attacked.baselines == REAL
    assert "latency_spike" in attacked.found or "latency_drift" in attacked.found
