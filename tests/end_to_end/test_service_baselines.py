"""Baselines that come into a service from elsewhere: a recording teaches it before it starts."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from end_to_end.serving import Serving, call, calls, until
from sentinel.replay.run import Replay
from sentinel.settings import Settings
from sentinel.sources.journal import read_folder

RECORDED = 300


def sentinel(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sentinel", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=60)


def taught(folder: Path, service: str) -> str:
    """Return a file of what a replay has learned of a service."""
    lines = [
        json.dumps(call(service, number) | {"timestamp": 1_767_225_600 + number})
        for number in range(RECORDED)
    ]
    stream, kept = folder / f"{service}.ndjson", folder / f"{service}.baselines"
    stream.write_text("\n".join(lines))
    done = sentinel(folder, "replay", str(stream), "--save-baselines", str(kept))
    assert done.returncode == 0, done.stderr
    return str(kept)


def samples(service: Serving) -> dict[str, Any]:
    found = service.read("/api/v1/baselines", metric="latency_ms")["baselines"]
    return {row["service"]: row["samples"] for row in found}


def test_a_service_starts_with_what_was_imported_and_keeps_it(tmp_path: Path) -> None:
    service = Serving(tmp_path)
    config = ("-c", str(service.config_file))
    done = sentinel(tmp_path, "baselines", "import", taught(tmp_path, "chat"), *config)
    assert done.returncode == 0, done.stderr
    try:
        service.start()
        assert samples(service) == {"chat": RECORDED}
        service.send_and_wait(*calls("search", 20))

        # A running one keeps others out, and nothing has come in.
        more = taught(tmp_path, "report")
        done = sentinel(tmp_path, "baselines", "import", more, *config)
        assert done.returncode == 2
        assert "another process has this journal open" in done.stderr

        # Killed, it stands before its journal; what was imported lies on top of that.
        service.signal(signal.SIGKILL)
        service.wait()
        done = sentinel(tmp_path, "baselines", "import", more, *config)
        assert done.returncode == 0, done.stderr
        service.start()
        expected = {"chat": RECORDED, "search": 20, "report": RECORDED}
        assert samples(service) == expected

        # Of a stopped one all is in the snapshot, also what has not spoken yet.
        for _ in range(2):
            assert service.stop() == 0
            service.start()
            assert service.logged("state.restored")[-1]["judged_again"] == 0
            assert samples(service) == expected
        assert service.stop() == 0
    finally:
        service.close()

    # The log says it all: a replay of it has learned the same.
    recorded = read_folder(service.data_dir / "journal")
    replay = Replay(Settings(), recorded.log_id)
    for record in recorded.records:
        replay.judge_record(record)
    learned = [one for one in replay.partition.baselines() if one.metric == "latency_ms"]
    assert {one.service: one.samples for one in learned} == expected


def test_imported_baselines_judge_the_first_calls(tmp_path: Path) -> None:
    kept = taught(tmp_path, "chat")
    folder = tmp_path / "service"
    folder.mkdir()
    service = Serving(folder)
    sentinel(tmp_path, "baselines", "import", kept, "-c", str(service.config_file))
    try:
        service.start()
        service.send(*calls("chat", 40, errors=["timeout"]))
        until(lambda: service.read("/api/v1/incidents")["count"] == 1)
    finally:
        service.close()
