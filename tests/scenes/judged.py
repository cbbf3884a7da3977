"""Labels and alerts that are small enough to be judged by hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sentinel.model.batch import Batch, Key
from sentinel.replay.labels import Expectation, read_labels
from sentinel.replay.witness import Told, Traffic

START = 1_767_225_600
"""2026-01-01T00:00:00Z; seconds below count from here."""


def at(second: float) -> datetime:
    return datetime.fromtimestamp(START + second, UTC)


def told(second: float, metric: str = "latency_ms", **changed: Any) -> Told:
    fields: dict[str, Any] = {
        "kind": "open",
        "timestamp": at(second),
        "service": "chat",
        "model": "m",
        "type": "latency_spike",
        "metric": metric,
        "detector": "test.agreement",
        "severity": "info",
        "title": "chat / m: slow",
        "fingerprint": str(second),
    }
    return Told(**fields | changed)


def label(start: float, end: float, /, **changed: Any) -> dict[str, Any]:
    """Return an incident of the label file: all that a user must say."""
    return {
        "start": at(start).isoformat(),
        "end": at(end).isoformat(),
        "service": "chat",
        "model": "m",
        "family": "latency",
    } | changed


def expect(folder: Path, *incidents: dict[str, Any], **rest: Any) -> Expectation:
    path = folder / "labels.json"
    path.write_bytes(msgspec.json.encode({"incidents": incidents, **rest}))
    return read_labels(path)


def traffic(seconds: int, services: tuple[str, ...] = ("chat",)) -> Traffic:
    """Return a call each second of models m and n, in turn, in each service."""
    parts = {}
    for service in services:
        for first, model in ((0, "m"), (1, "n")):
            times = (START + np.arange(first, seconds, 2)) * 1_000_000
            parts[service, model] = [times]
    return Traffic(parts)


def batch(*calls: tuple[str, str, int]) -> Batch:
    """Return events of which nothing is known but (service, model, second since 1970)."""
    keys = sorted({Key("default", "default", service, model) for service, model, _ in calls})
    n = len(calls)
    codes = [keys.index(Key("default", "default", *call[:2])) for call in calls]
    seconds = np.array([call[2] for call in calls], np.int64)
    return Batch(
        events=[None] * n,  # type: ignore[list-item]
        keys=keys,
        key=np.array(codes, np.int32),
        time=seconds * 10**9,
        received=seconds * 10**9,
        values=np.empty((n, 0)),
        id_high=np.empty(n, np.uint64),
        id_low=np.empty(n, np.uint64),
        offset=np.arange(n),
        finish=np.full(n, 2, np.uint8),
        user=np.zeros(n, np.uint32),
        session=np.zeros(n, np.uint32),
        index=np.zeros(n, np.int32),
        over_limit=np.zeros(n, np.uint8),
    )
