"""What a service has left behind, and what a replay of its journal makes of the same."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from sentinel.channels.log import title_line
from sentinel.model.alert import Alert
from sentinel.model.incident import Incident
from sentinel.replay.run import Replay
from sentinel.settings import Settings
from sentinel.sources.journal import EVENTS, read_folder


class Stored:
    """What is in the store: ids with how often they are there, incidents with their bodies."""

    def __init__(self, data_dir: Path) -> None:
        database = duckdb.connect(str(data_dir / "sentinel.duckdb"), read_only=True)

        def column(sql: str) -> list[Any]:
            return [row[0] for row in database.execute(sql).fetchall()]

        event_id = "coalesce(event_id, event_uuid::VARCHAR)"
        self.events = Counter(column(f"SELECT {event_id} FROM telemetry"))
        self.anomalies = Counter(f"anom-{one.hex}" for one in column("SELECT id FROM anomalies"))
        self.incident_ids = Counter(column("SELECT id FROM incidents"))
        bodies = [json.loads(body) for body in column("SELECT body FROM incidents")]
        self.incidents = {body["id"]: body for body in bodies}
        database.close()


def twice(found: Counter[str]) -> dict[str, int]:
    """Return what is there more than once."""
    return {name: count for name, count in found.items() if count > 1}


class Replayed:
    """What an undisturbed replay makes of a journal."""

    def __init__(self, data_dir: Path) -> None:
        self.events: set[str] = set()
        self.anomalies: list[str] = []
        self.alerts: dict[str, dict[str, Any]] = {}
        """By id, as the log tells them."""
        self.records = 0
        recorded = read_folder(data_dir / "journal")
        replay = Replay(Settings(), recorded.log_id)
        last: dict[str, Incident] = {}
        for record in recorded.records:
            self.records += 1
            if record.kind == EVENTS:
                lines = record.payload.splitlines()
                self.events.update(json.loads(line)["event_id"] for line in lines)
            step = replay.judge_record(record)
            self.anomalies += [anomaly.id for anomaly in step.anomalies]
            for alert in step.alerts:
                assert alert.id not in self.alerts, "an alert id is used twice"
                self.alerts[alert.id] = _line_of(alert)
            last.update((event.incident.id, event.incident) for event in step.incident_events)
        self.incidents = {
            name: json.loads(msgspec.json.encode(incident)) for name, incident in last.items()
        }
        """As they stood when something happened to them last: that is what the store keeps."""

    def assert_command_agrees(self, data_dir: Path) -> None:
        """Compare with what `sentinel replay` prints."""
        journal = data_dir / "journal"
        assert _ids(journal) == Counter(self.anomalies)
        assert _ids(journal, "--incidents") == Counter(self.incidents.keys())
        assert _ids(journal, "--alerts") == Counter(self.alerts.keys())


def _ids(journal: Path, *options: str) -> Counter[str]:
    """Return the ids in the lines of a `sentinel replay`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SENTINEL_")}
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", "replay", str(journal), *options],
        check=True,
        capture_output=True,
        cwd=journal,
        env=environment,
    )
    return Counter(json.loads(line)["id"] for line in done.stdout.splitlines())


def _line_of(alert: Alert) -> dict[str, Any]:
    """Return what the log says of an alert."""
    return {
        "event": f"alert.{alert.kind}",
        "title": title_line(alert),
        "id": alert.id,
        "incident": alert.incident,
        "sequence": alert.sequence,
        "held_back": alert.held_back,
    }


def alerts_told(logs: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the alerts in the log of processes; the last line of one may be cut by its end."""
    told = []
    for log in logs:
        lines = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        for line in lines:
            if '"event": "alert.' in line:
                row = json.loads(line)
                told.append({key: row[key] for key in row if key not in ("level", "timestamp")})
    return told


def assert_as_if_nothing_had_happened(
    data_dir: Path, logs: Iterable[Path], acknowledged: set[str]
) -> Replayed:
    """Compare what is stored and was told with an undisturbed replay of the journal."""
    stored, replayed = Stored(data_dir), Replayed(data_dir)
    assert not acknowledged - replayed.events, "acknowledged and not in the journal"
    assert not acknowledged - stored.events.keys(), "acknowledged and not stored"
    for found in (stored.events, stored.anomalies, stored.incident_ids):
        assert not twice(found), "stored twice"
    assert stored.events.keys() == replayed.events
    assert Counter(replayed.anomalies) == stored.anomalies
    assert replayed.incidents.keys() == stored.incident_ids.keys()
    for name, incident in replayed.incidents.items():
        assert stored.incidents[name] == incident
    told = alerts_told(logs)
    assert {row["id"] for row in told} == replayed.alerts.keys()
    for row in told:
        assert row == replayed.alerts[row["id"]]
    return replayed
