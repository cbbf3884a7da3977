"""What a store is given and must hold: every row follows from its offset.

Offset k holds 1 + k % 3 events; each event of an offset divisible by 5 has two anomalies; an
incident changes with every batch, and there is one for every 1,000 offsets.  Run as a program it
writes to a store until it is killed.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sentinel.intake.identity import bits_of
from sentinel.intake.keep import EventKeeper
from sentinel.model.anomaly import Anomaly
from sentinel.model.batch import Batch, Key
from sentinel.model.event import Event, Prompt, Response
from sentinel.model.incident import Expected, Impact, Incident, Observed
from sentinel.model.metric import METRIC_INDEX, METRICS
from sentinel.model.votes import columns_of
from sentinel.stores import DuckDbStore, Rows

LOG = "a log"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
START_NS = 1_772_442_000_000_000_000
STEP_NS = 1_000_000
KEYS = [Key("default", "prod", f"service-{number}", "gpt-4o") for number in range(3)]


def events_at(offset: int) -> int:
    return 1 + offset % 3


def event_count(end: int) -> int:
    """Return how many events lie below an offset."""
    return sum(map(events_at, range(end)))


def anomaly_count(end: int) -> int:
    return sum(2 * events_at(offset) for offset in range(0, end, 5))


def time_of(offset: int) -> datetime:
    return START + timedelta(milliseconds=offset)


def event_of(offset: int, index: int, **changes: Any) -> Event:
    event = Event(
        service_name=KEYS[offset % 3].service,
        event_id=f"event-{offset}-{index}",
        timestamp=time_of(offset),
        model="gpt-4o",
        environment="prod",
        provider="openai",
        trace_id=f"{offset:032x}",
        prompt=Prompt(tokens=100, length=0),
        response=Response(tokens=50, length=7, finish_reason="stop"),
        latency_ms=float(offset),
        cost_usd=0.5,
        user_id="u-1",
        metadata={"offset": offset, "team": "search"},
        errors=["timeout", "other"] if offset % 7 == 0 else None,
    )
    return msgspec.structs.replace(event, **changes)


def anomaly_of(offset: int, index: int, detector: str) -> Anomaly:
    return Anomaly(
        f"anom-{offset:016x}{index:08x}{detector.encode()[:4].ljust(4).hex()}",
        time_of(offset),
        f"event-{offset}-{index}",
        *KEYS[offset % 3],
        "latency_ms",
        detector,
        float(offset),
        None if detector == "iqr" else 4.5,
        3.0,
        1.5,
        "warning" if offset % 2 else "critical",
        4.5,
        1000,
        1.0,
        2.0,
        3.0,
        None,
        9.0,
    )


def incident_of(number: int, offset: int, **changes: Any) -> Incident:
    incident = Incident(
        id=f"inc-{number}",
        state="open",
        severity="critical",
        type="latency_spike",
        **KEYS[number % 3]._asdict(),
        provider=None,
        metric="latency_ms",
        detector="evidence.latency",
        score=float(offset),
        title="slower than usual",
        started_at=time_of(1000 * number),
        timestamp=time_of(1000 * number),
        ended_at=None,
        observed=Observed(value=1.0, unit="ms", hits=1, n=2),
        expected=Expected(value=1.0, lower=0.0, upper=2.0, n=100),
        peak=5.0,
        impact=Impact(calls=2, hits=1),
        not_it=[],
        evidence=[],
        tests=[],
        examples=[],
        fingerprint="00ff",
    )
    return msgspec.structs.replace(incident, **changes)


def batch_of(events: list[Event], offset: list[int], index: list[int]) -> Batch:
    n = len(events)
    time = START_NS + np.array(offset, np.int64) * STEP_NS
    values = np.full((n, len(METRICS)), np.nan)
    for row, event in enumerate(events):
        for name in ("latency_ms", "ttft_ms", "cost_usd"):
            value = getattr(event, name)
            values[row, METRIC_INDEX[name]] = np.nan if value is None else value
        if event.prompt is not None and event.prompt.tokens is not None:
            values[row, METRIC_INDEX["prompt_tokens"]] = event.prompt.tokens
        values[row, METRIC_INDEX["error"]] = bool(event.errors)
    bits = np.array([bits_of(event.event_id or "") for event in events], np.uint64).reshape(-1, 2)
    return Batch(
        events=(),
        keys=KEYS,
        key=np.array([position % 3 for position in offset], np.int32),
        time=time,
        received=time,
        values=values,
        id_high=bits[:, 0],
        id_low=bits[:, 1],
        offset=np.array(offset, np.int64),
        index=np.array(index, np.int32),
        over_limit=np.zeros(n, np.uint8),
        finish=np.full(n, 2, np.uint8),
        user=np.zeros(n, np.uint32),
        session=np.zeros(n, np.uint32),
        kept=(EventKeeper().keep(events),),
    )


def rows_of(events: list[Event], first: int = 0, **changes: Any) -> Rows:
    """Return rows of events that stand at offsets of their own, with nothing found in them."""
    places = [(first + row, 0) for row in range(len(events))]
    return _rows(events, places, **{"next_offset": first + len(events), **changes})


def rows_between(start: int, end: int) -> Rows:
    """Return the rows of the offsets from `start` to before `end`."""
    places = [(k, i) for k in range(start, end) for i in range(events_at(k))]
    return _rows(
        [event_of(offset, index) for offset, index in places],
        places,
        next_offset=end,
        anomalies=[
            anomaly_of(offset, index, detector)
            for offset, index in places
            if offset % 5 == 0
            for detector in ("zscore", "iqr")
        ],
        incidents=[incident_of((end - 1) // 1000, end)],
    )


def _rows(events: list[Event], places: list[tuple[int, int]], **changes: Any) -> Rows:
    row_of = {event.event_id: row for row, event in enumerate(events)}
    found = [(row_of[anomaly.event_id], anomaly) for anomaly in changes.pop("anomalies", [])]
    rows = Rows(
        next_offset=0,
        batch=batch_of(events, [k for k, _ in places], [i for _, i in places]),
        stored=np.ones(len(events), np.bool_),
        state=np.zeros(len(events), np.uint8),
        votes=columns_of(found),
        incidents=[],
    )
    return msgspec.structs.replace(rows, **changes)


def write_until_killed(path: Path, seed: int, largest: int) -> None:
    """Go on from a little below the cursor, as a re-run does, in batches of random size."""
    store = DuckDbStore(path, log_id=LOG)
    cursor = store.open()
    sys.stdout.write(f"{cursor}\n")
    sys.stdout.flush()
    rng = np.random.default_rng([seed, cursor])
    end = max(0, cursor - 300)
    while True:
        start, end = end, end + int(rng.integers(1, largest))
        store.put(rows_between(start, end))
        while store.backlog_bytes > 8 << 20:
            store.flush()


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
