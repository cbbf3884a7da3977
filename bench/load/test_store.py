"""The embedded store under load: a million events, then questions while 10,000 a second come in.

    pytest -s bench/load/test_store.py

Prints what one event costs and how long questions take; fails where a gate is missed.  The gates
hold on two shared cores; the reasons for their numbers stand beside them.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from sentinel.intake.keep import EventKeeper
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch, Key
from sentinel.model.event import Event, Prompt, Response
from sentinel.model.metric import METRICS
from sentinel.model.votes import columns_of
from sentinel.stores import AnomalyFilter, DuckDbStore, Rows, TelemetryFilter

EVENTS = 1_000_000
POOL = 20_000
"""Different events; time and position of each use differ."""
BODY = 5_000
PARTS = 5
QUEUE_BYTES = 24 << 20
SPAN = timedelta(days=3)
FED_A_SECOND = 10_000
ASKED_SECS = 20.0
ANOMALY_SHARE = 1 / 6
"""Of events with an anomaly: what the four textbook thresholds give on ordinary traffic."""

QUERY_MS_P95 = 50.0
"""A page that is asked for by a person or a dashboard must not be waited for."""
EVENT_US = 5.0
"""CPU for one event without anomalies; the goal is 3 on a core of its own, 3% at 10,000 a second,
and with others on the machine caches and the second thread of a core add up to two thirds."""
SEEN_SECS = 2.0
"""Until rows are to be seen, in 95 of 100 looks: what a live page can be behind."""
GROWTH_BYTES = 300 << 20
"""80 MB of libraries, 128 MB that DuckDB may use, the queue, and what is being turned over."""

START = datetime(2026, 3, 2, tzinfo=UTC)
START_NS = int(START.timestamp()) * 1_000_000_000
KEYS = [Key("default", "prod", f"service-{n}", f"model-{n % 4}") for n in range(20)]
STEP_NS = int(SPAN.total_seconds() * 1e9) // EVENTS // 1000 * 1000


def event(rng: np.random.Generator) -> Event:
    """Return an event as long as real ones are."""
    identity, trace = rng.bytes(16).hex(), rng.bytes(24).hex()
    return Event(
        service_name="service",
        event_id=f"{identity[:8]}-{identity[8:12]}-{identity[12:16]}-{identity[16:20]}-"
        f"{identity[20:]}",
        timestamp=START,
        model="model",
        provider="openai",
        trace_id=trace[:32],
        span_id=trace[32:],
        prompt=Prompt(tokens=100, length=int(rng.integers(1, 9000))),
        response=Response(tokens=50, length=int(rng.integers(1, 4000)), finish_reason="stop"),
        latency_ms=1.0,
        cost_usd=0.01,
        user_id=f"u-{rng.bytes(12).hex()}",
        session_id=f"s-{rng.bytes(12).hex()}",
        metadata={"team": "search", "region": f"eu-{int(rng.integers(9))}", "attempt": 1},
    )


class Feed:
    """Rows that follow each other."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.pool = [event(self.rng) for _ in range(POOL)]
        self.offset = 0
        self.keeper = EventKeeper()

    def rows(self, n: int, anomaly_share: float) -> Rows:
        """Return the next n events, a share of them with an anomaly."""
        first = self.offset % (POOL - n)
        events = self.pool[first : first + n]
        offset = np.arange(self.offset, self.offset + n, dtype=np.int64)
        self.offset += n
        time_ns = START_NS + offset * STEP_NS
        values = np.round(self.rng.lognormal(5, 1, (n, len(METRICS))), 1)
        values[:, 1] = np.nan
        values[:, 5] = np.round(values[:, 5] / 1e5, 8)
        values[:, -1] = self.rng.random(n) < 0.01
        key = np.minimum(self.rng.zipf(1.3, n) - 1, len(KEYS) - 1).astype(np.int32)
        batch = Batch(
            events=events,
            keys=KEYS,
            key=key,
            time=time_ns,
            received=time_ns,
            values=values,
            id_high=np.zeros(n, np.uint64),
            id_low=offset.astype(np.uint64),
            offset=offset,
            index=np.zeros(n, np.int32),
            over_limit=np.zeros(n, np.uint8),
            finish=np.full(n, 2, np.uint8),
            user=np.zeros(n, np.uint32),
            session=np.zeros(n, np.uint32),
        )
        odd = np.flatnonzero(self.rng.random(n) < anomaly_share).tolist()
        batch = structs.replace(batch, kept=(self.keeper.keep(events),))
        return Rows(
            next_offset=self.offset,
            batch=batch,
            stored=np.ones(n, np.bool_),
            state=np.zeros(n, np.uint8),
            votes=columns_of([(row, self.anomaly(batch, row)) for row in odd]),
            incidents=[],
        )

    def anomaly(self, batch: Batch, row: int) -> Anomaly:
        """Return a vote on the latency of one event."""
        value = float(batch.values[row, 0])
        identity = f"anom-{int(batch.offset[row]) * 0x9E3779B97F4A7C15 % 2**128:032x}"
        return Anomaly(
            id=identity,
            timestamp=START,
            event_id=batch.events[row].event_id or "",
            **KEYS[batch.key[row]]._asdict(),
            metric="latency_ms",
            detector="zscore",
            value=value,
            statistic=value / 90,
            threshold=3.0,
            score=value / 270,
            severity="warning",
            z_score=value / 90,
            baseline_samples=1000,
            baseline_mean=150.25,
            baseline_stddev=90.5,
            baseline_median=140.0,
            expected_lower=0.0,
            expected_upper=421.75,
        )


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def fill(store: DuckDbStore, feed: Feed, share: float) -> tuple[float, float, int]:
    """Put half the events, in parts; return CPU, seconds, and the peak of memory.

    CPU is in microseconds an event, of the part that took least: what else runs on the machine only
    adds to it.  What making the events costs is taken off.
    """
    costs, peak, count = [], 0, EVENTS // 2 // PARTS
    begin = time.perf_counter()
    for _ in range(PARTS):
        making, cpu = 0.0, time.process_time()
        for _ in range(count // BODY):
            making -= time.thread_time()
            rows = feed.rows(BODY, share)
            making += time.thread_time()
            store.put(rows)
            while store.backlog_bytes > QUEUE_BYTES:
                time.sleep(0.005)
            peak = max(peak, resident_bytes())
        assert store.flush(60)
        costs.append((time.process_time() - cpu - making) / count * 1e6)
    return min(costs), time.perf_counter() - begin, peak


def keep_feeding(store: DuckDbStore, feed: Feed, end: threading.Event) -> None:
    """Put 10,000 events a second until the end."""
    step = 0.1
    due = time.monotonic()
    while not end.is_set():
        store.put(feed.rows(int(FED_A_SECOND * step), ANOMALY_SHARE))
        due += step
        end.wait(max(0.0, due - time.monotonic()))


def milliseconds(ask: Callable[[], Any]) -> float:
    """Return how long an answer takes."""
    begin = time.perf_counter()
    ask()
    return (time.perf_counter() - begin) * 1e3


def questions(store: DuckDbStore, feed: Feed) -> dict[str, Callable[[], Any]]:
    """Return what is asked, by its name."""

    def a_day_ago() -> datetime:
        return START + timedelta(microseconds=feed.offset * STEP_NS // 1000) - timedelta(days=1)

    return {
        "recent anomalies": lambda: store.recent_anomalies(100),
        "a service, 24 h": lambda: store.telemetry(
            TelemetryFilter(service="service-1", start=a_day_ago()), limit=100
        ),
        "a rare service, 24 h": lambda: store.telemetry(
            TelemetryFilter(service="service-18", start=a_day_ago()), limit=100
        ),
        "an unknown service": lambda: store.telemetry(TelemetryFilter(service="nobody")),
        "anomalies of a service": lambda: store.anomalies(
            AnomalyFilter(service="service-2", severity="warning"), limit=100
        ),
        "a page of 1000": lambda: store.telemetry(limit=1000),
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    """Return a store that is not open yet; whatever fails in it fails the test."""

    def fail(error: Exception) -> None:
        raise error

    opened = DuckDbStore(tmp_path / "sentinel.duckdb", log_id="bench", on_failure=fail)
    yield opened
    opened.close()


def test_a_million_events_are_kept_cheaply_and_found_quickly(store: DuckDbStore) -> None:
    """Fill, then ask while more comes in."""
    feed = Feed()
    before = resident_bytes()
    store.open()
    opened = resident_bytes()
    cpu, wall, peak = fill(store, feed, 0.0)
    cpu_both, wall_both, other_peak = fill(store, feed, ANOMALY_SHARE)
    print(f"\nwithout anomalies {cpu:.2f} us of CPU an event, {wall:.1f} s for half a million")
    print(f"with anomalies    {cpu_both:.2f} us of CPU an event, {wall_both:.1f} s")
    print(f"file {store.health().file_bytes / feed.offset:.0f} bytes an event, {store.counts()}")

    end = threading.Event()
    feeder = threading.Thread(target=keep_feeding, args=(store, feed, end))
    feeder.start()
    taken: dict[str, list[float]] = {name: [] for name in questions(store, feed)}
    lag: list[int] = []
    begin = time.monotonic()
    while time.monotonic() - begin < ASKED_SECS:
        for name, ask in questions(store, feed).items():
            taken[name].append(milliseconds(ask))
            time.sleep(0.005)
        lag.append(feed.offset - store.cursor)
        peak = max(peak, other_peak, resident_bytes())
    end.set()
    feeder.join()
    for name, times in taken.items():
        p50, p95 = np.percentile(times, (50, 95))
        print(f"{name:24} p50 {p50:5.1f}  p95 {p95:5.1f}  max {max(times):6.1f} ms  ({len(times)})")
    behind = [rows / FED_A_SECOND for rows in (np.percentile(lag, 95), max(lag))]
    print(f"memory +{(opened - before) >> 20} MiB opened, +{(peak - before) >> 20} MiB at most")
    print(f"rows are to be seen after {behind[0]:.1f} s in 95 of 100, {behind[1]:.1f} s at most")
    for name in ("recent anomalies", "a service, 24 h"):
        assert np.percentile(taken[name], 95) <= QUERY_MS_P95, name
    assert cpu <= EVENT_US
    assert peak - before <= GROWTH_BYTES
    assert behind[0] <= SEEN_SECS
