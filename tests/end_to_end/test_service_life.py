"""The process from start to end: what a stop keeps, what SIGHUP does, where it will not start."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from end_to_end.serving import Answer, Serving, call, calls, serving, until
from sentinel.sources.journal import CONTROL, read_folder

COUNTING = {"impact", "examples", "peak"}
"""What an incident counts while it is open: it is told once a minute, and anew at a start."""


def state_of(service: Serving) -> tuple[Any, list[dict[str, Any]]]:
    """Return everything that is learned and found."""
    incidents = [
        {name: value for name, value in incident.items() if name not in COUNTING}
        for incident in service.pages("incidents", "incidents")
    ]
    return service.read("/api/v1/baselines"), incidents


def open_incident(service: Serving) -> None:
    service.send_and_wait(*calls("chat", 120))
    service.send_and_wait(*calls("chat", 30, errors=["timeout"]))
    until(lambda: service.read("/api/v1/incidents")["count"] == 1)


def samples(service: Serving) -> int:
    found = service.read("/api/v1/baselines", metric="error")["baselines"]
    return sum(row["samples"] for row in found)


def test_after_a_stop_and_after_a_crash_everything_is_as_it_was(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        open_incident(service)
        before = state_of(service)
        assert service.stop() == 0
        assert service.logged("service.stopped")

        service.start()
        assert state_of(service) == before

        # Answered is durable, however soon the end comes.
        service.send(*calls("chat", 50))
        service.signal(signal.SIGKILL)
        service.wait()
        service.start()
        assert samples(service) == 200
        until(lambda: service.count("chat") == 200)
        assert service.logged("state.restored")[-1]["judged_again"] > 0

        service.send(*calls("chat", 50))
        assert service.stop() == 0
        service.start()
        assert samples(service) == 250
        until(lambda: service.count("chat") == 250)
        assert [row["id"] for row in state_of(service)[1]] == [row["id"] for row in before[1]]
        assert len(service.logged("alert.open")) == 1


def while_it_stops(service: Serving) -> tuple[Answer, Answer] | None:
    """Return what a probe and an event are answered while it drains; None: it was over too soon."""
    service.signal(signal.SIGTERM)
    try:
        while (probe := service.get("/health/ready")).status == 200:
            pass
        return probe, service.post("/api/v1/events", call("late"))
    except OSError:
        return None
    finally:
        assert service.wait() == 0


def test_a_stop_is_seen_by_the_probe_before_it_is_felt(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        # Half a second is short on a machine that is busy.
        for _ in range(5):
            if (answers := while_it_stops(service)) is not None:
                break
            service.start()
        assert answers is not None
    probe, refused = answers
    assert (probe.status, probe.json()["status"]) == (503, "not ready")
    assert (refused.status, refused.json()["type"]) == (503, "urn:sentinel:journal_full")
    assert refused.headers["retry-after"] == "1"


def replayed(service: Serving, *options: str) -> list[dict[str, Any]]:
    """Return the lines of a replay of the service's journal, without its configuration."""
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", "replay", str(service.data_dir / "journal"), *options],
        capture_output=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_changed_thresholds_are_taken_over_on_sighup_and_stand_in_the_log(tmp_path: Path) -> None:
    unbuilt = {"storage": {"influxdb": {"url": "http://127.0.0.1:1"}}}
    with serving(tmp_path, unbuilt) as service:
        assert "storage.influxdb is configured, but this version does not have it" in service.log()
        service.send_and_wait(*calls("chat", 60), call("chat", latency_ms=900.0))

        service.config_file.write_text("detection:\n  zscore:\n    threshold: much\n")
        service.signal(signal.SIGHUP)
        (refused,) = until(lambda: service.logged("settings.refused"))
        assert f"{service.config_file}:3" in refused["error"]
        assert "detection.zscore.threshold" in refused["error"]
        service.send_and_wait(call("chat", latency_ms=901.0))

        api = {"bind_addr": f"127.0.0.1:{service.port}", "timeout_secs": 9}
        service.configure({"api": api, "detection": {"enabled_detectors": ["mad"]}})
        service.signal(signal.SIGHUP)
        (taken,) = until(lambda: service.logged("settings.reloaded"))
        assert set(taken["needs_restart"]) == {"api", "storage"}
        service.send_and_wait(call("chat", latency_ms=902.0))

        found = list(service.pages("anomalies", "anomalies"))
        voters = {value: {r["detector"] for r in found if r["value"] == value} for value in VALUES}
        assert {value: len(names) for value, names in voters.items()} == VALUES
        assert voters[902.0] == {"mad"}
        assert service.stop() == 0

    recorded = read_folder(service.data_dir / "journal").records
    controls = [json.loads(record.payload) for record in recorded if record.kind == CONTROL]
    assert [control["kind"] for control in controls] == ["configure", "configure"]
    assert controls[1]["rules"]["enabled_detectors"] == ["mad"]
    # Newest first in a page, in order of the log in a replay.
    assert sorted(row["id"] for row in replayed(service)) == sorted(row["id"] for row in found)


VALUES = {900.0: 4, 901.0: 4, 902.0: 1}
"""How many detectors vote on each strange latency."""


def test_a_replay_of_the_journal_finds_the_incidents_that_the_service_found(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as service:
        open_incident(service)
        (incident,) = service.read("/api/v1/incidents")["incidents"]
        service.post(f"/api/v1/incidents/{incident['id']}/resolve", {"by": "ann"})
        votes = {row["id"] for row in service.pages("anomalies", "anomalies")}
        assert service.stop() == 0
    (again,) = replayed(service, "--incidents")
    assert (again["id"], again["state"]) == (incident["id"], "resolved")
    assert again["resolved"]["by"] == "ann"
    assert {row["id"] for row in replayed(service)} == votes


# What it refuses to start on


def refusal_of(service: Serving) -> str:
    """Start a service that must end at once with exit code 2; return what it said."""
    try:
        service.launch()
        assert service.wait() == 2
        return service.log()
    finally:
        service.close()


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    service = Serving(tmp_path)
    with socket.create_server(("127.0.0.1", service.port)):
        said = refusal_of(service)
    assert f"api.bind_addr: 127.0.0.1:{service.port}" in said
    assert "in use" in said


def test_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as first:
        beside = tmp_path / "beside"
        beside.mkdir()
        said = refusal_of(Serving(beside, {"data_dir": str(first.data_dir)}))
        assert str(first.data_dir / "journal") in said
        assert "Traceback" not in said
        first.send_and_wait(call("chat"))


def test_a_configuration_that_cannot_be_used_is_told_with_its_line(tmp_path: Path) -> None:
    service = Serving(tmp_path)
    service.config_file.write_text("api:\n  bind_adr: 127.0.0.1:1\n")
    said = refusal_of(service)
    assert f"{service.config_file}:2" in said
    assert "bind_addr" in said


def test_ctrl_c_ends_it_in_order_too(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.signal(signal.SIGINT)
        assert service.wait() == 0
        assert "Traceback" not in service.log()
