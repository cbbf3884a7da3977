"""The demo as a user starts it: service, traffic by HTTP, three ways to the same incidents."""

import re
import socket
import subprocess
import sys

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("seed", [7, 23])
def test_the_demo_finds_what_it_planted_and_api_and_replay_agree(seed: int) -> None:
    command = [sys.executable, "-m", "sentinel", "demo", "--seed", str(seed), "--seconds", "10"]
    done = subprocess.run(
        [*command, "--port", str(free_port())], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[0].startswith(f"llm-sentinel demo · seed {seed} · 5 services, 3 providers")
    assert lines[1].startswith("api http://127.0.0.1:")
    assert sum(" incident opened " in line for line in lines) >= 5
    # At this pace the three seconds in which more may come of an incident are half a minute.
    assert sum(" incident resolved " in line for line in lines) >= 3
    assert "(planted 5, missed 0, false 0)" in done.stdout
    said = re.search(
        r"(\d+) incidents in the API, (\d+) in a replay of the journal: the same ids", done.stdout
    )
    assert said is not None
    assert said[1] == said[2] != "0"
