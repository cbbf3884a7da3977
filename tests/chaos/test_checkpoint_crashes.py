"""The checkpoint against kill -9 and a full disk: a transaction is whole or was never there."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.places import POINTS, place_at
from sentinel.checkpoints.contract import Checkpoint as AnyCheckpoint
from sentinel.checkpoints.rows import OutboxRow, SeriesRecord
from sentinel.checkpoints.sqlite import Checkpoint
from sentinel.errors import StateError

TESTS = Path(__file__).parents[1]
WRITER = Path(__file__).with_name("checkpoint_writer.py")
ROUNDS = 4


class Killed:
    """What processes that were killed had been told was done."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.prefix = f"{secrets.token_hex(4)}:"
        self.kills = 0
        self.told: dict[str, set[int]] = {"commit": {0}, "sweep": {0}, "delivered": set()}

    def run(self, point: str, passing: int, kill_after: float | None = None) -> None:
        process = subprocess.Popen(
            [sys.executable, str(WRITER), self.where, self.prefix, point, str(passing)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
        assert process.stdout is not None
        out = process.stdout.readline().decode() if kill_after is not None else ""
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        out += process.stdout.read().decode()
        process.stdout.close()
        assert process.wait(30) == -9
        self.kills += 1
        for line in out.splitlines():
            kind, number = line.split()
            self.told[kind].add(int(number))

    def check(self) -> None:
        with place_at(self.where, self.prefix) as place:
            checkpoint = place.open("p", log_id="log")
            self.check_state(checkpoint)
            checkpoint.close()

    def check_state(self, checkpoint: AnyCheckpoint) -> None:
        loaded = checkpoint.load()
        stands = 0 if loaded is None else loaded.next_offset
        assert stands - max(self.told["commit"]) in (0, 1)
        attempted = checkpoint.attempted()
        assert attempted is None or attempted.offset == stands, "a commit beyond it takes it away"
        waiting = [int(row.id) for row in checkpoint.outbox("hook", 10_000)]
        gone = set(range(1, stands + 1)) - set(waiting)
        assert waiting == sorted(set(waiting))
        assert gone >= self.told["delivered"]
        assert len(gone - self.told["delivered"]) <= self.kills, "one for each reply that was lost"
        swept = {record.offset for record in checkpoint.series() if record.record}
        assert len(swept) <= 1, "a sweep is whole or not there"
        if swept:
            at = swept.pop()
            assert max(self.told["sweep"]) <= at <= stands
            assert loaded is not None
            assert loaded.shared == b"%d" % at


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where the state lies: in a folder, or at the Redis that tests share."""
    if request.param == "disk":
        return str(tmp_path)
    url: str = request.getfixturevalue("redis_server").url
    return url


@pytest.mark.parametrize(("where", "point"), POINTS, indirect=["where"])
def test_whoever_is_killed_at_a_point_leaves_whole_transactions(where: str, point: str) -> None:
    killed = Killed(where)
    for round_ in range(ROUNDS):
        killed.run(point, passing=1 + round_ * 7)
        killed.check()
    assert max(killed.told["commit"]) > 3


@pytest.mark.parametrize("where", ["disk", "redis"], indirect=True)
def test_whoever_is_killed_at_any_time_leaves_whole_transactions(where: str) -> None:
    killed = Killed(where)
    for kill_after in (0.0, 0.004, 0.05, 0.2, 0.3):
        killed.run("never", 1, kill_after)
        killed.check()


def test_a_full_disk_refuses_a_commit_and_the_state_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small tmpfs")
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(600_000))
    checkpoint = Checkpoint.open(folder / "checkpoint.sqlite", log_id="log")
    base = 0

    def fill() -> None:
        nonlocal base
        while True:
            checkpoint.commit(base, base + 1, [OutboxRow(str(base), "hook", bytes(3000))])
            base += 1

    try:
        with pytest.raises(StateError, match="full"):
            fill()
        loaded = checkpoint.load()
        assert loaded is not None
        assert (loaded.next_offset, len(checkpoint.outbox("hook", 9999))) == (base, base)
        ballast.unlink()
        checkpoint.commit(base, base + 1)
        checkpoint.sweep([SeriesRecord(b"x", base + 1, bytes(8000))], shared=b"again")
        assert checkpoint.committed_to() == base + 1
    finally:
        checkpoint.close()
        subprocess.run(["umount", str(folder)], check=True)
