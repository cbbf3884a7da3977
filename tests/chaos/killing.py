"""Runs a service under load and kills it again and again, at named points and at any time."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from chaos.callers import Callers, ask
from chaos.service_program import Plan
from sentinel.checkpoints.redis import CRASH_POINTS as REDIS_POINTS
from sentinel.checkpoints.sqlite import CRASH_POINTS as DISK_POINTS
from sentinel.service.relay import CRASH_POINTS as RELAY_POINTS
from sentinel.sources.journal import CRASH_POINTS as JOURNAL_POINTS

PROGRAM = Path(__file__).with_name("service_program.py")


def points_with(of_state: Sequence[str]) -> tuple[str, ...]:
    """Return all points at which a service can be killed, by those of the place of its state.

    Nobody takes note of attempts where a journal is judged: what is in it was admitted here.
    """
    points = (*JOURNAL_POINTS, *of_state, *RELAY_POINTS, "store")
    return tuple(point for point in points if point != "attempt")


POINTS, POINTS_IN_REDIS = points_with(DISK_POINTS), points_with(REDIS_POINTS)
OUTSIDE = "kill -9"
"""From outside, at any time since the process began."""
START_SECONDS = 60.0
PATIENCE_SECONDS = 12.0
"""How long a point may stay unreached, before the process is killed from outside instead."""

_PASSINGS = {"append": 150, "fsync": 150, "answer": 150, "commit": 8, "committed": 8, "roll": 3}
"""The passing that kills is drawn up to here; at other points, up to 2."""


def free_port(random_: random.Random) -> int:
    """Return a port that nobody has, from below those that the system gives to callers."""
    while True:
        port = random_.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Running:
    """One process of the service; whoever leaves the context without stopping it kills it."""

    def __init__(self, plan: Plan, number: int = 0) -> None:
        self.plan = plan
        self.log = Path(plan.folder) / f"log-{number:04}"
        self.plan.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), msgspec.json.encode(plan).decode()], stderr=file
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def wait_ready(self, timeout: float = START_SECONDS) -> bool:
        """Wait until it answers; False where it ends before."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not answer:\n{self.log.read_text()}"
            try:
                if ask(self.plan.port, "GET", "/health/live").status == 200:
                    return True
            except OSError:
                time.sleep(0.03)
        return False

    def stop(self) -> None:
        """End it in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.log.read_text()[-3000:]


class Campaign(Struct):
    """What came of it."""

    points: tuple[str, ...]

    folder: Path
    callers: Callers
    hits: Counter[str]
    """Kills by point."""
    restarts: int
    logs: list[Path]

    def table(self) -> str:
        """Return the kills by point."""
        lines = [f"{'point':<10} kills"]
        lines += [f"{point:<10} {self.hits[point]:>5}" for point in (*self.points, OUTSIDE)]
        acknowledged = sum(map(len, self.callers.acknowledged))
        lines.append(
            f"{self.hits.total()} kills, {acknowledged:,} events acknowledged, "
            f"{self.callers.repeats:,} bodies sent again"
        )
        return "\n".join(lines)


def run_campaign(folder: Path, *, kills: int, seed: int, redis: str = "") -> Campaign:
    """Kill so many times, let the callers have their last answers, stop in order.

    `redis`: where the state lies; on the disk where it is empty.
    """
    points = POINTS_IN_REDIS if redis else POINTS
    random_ = random.Random(seed)
    callers = Callers(seed)
    hits: Counter[str] = Counter()
    logs: list[Path] = []
    schedule = _schedule(points, kills, random_)
    callers.start()
    try:
        while schedule:
            point = schedule.pop()
            plan = _plan(folder, point, random_, redis)
            with Running(plan, len(logs)) as running:
                logs.append(running.log)
                reached = _let_die(running, callers, random_)
            hits[reached] += 1
            if point != OUTSIDE and reached == OUTSIDE and len(logs) < 3 * kills:
                schedule.insert(random_.randrange(len(schedule) + 1), point)
        with Running(_plan(folder, "", random_, redis), len(logs)) as running:
            logs.append(running.log)
            assert running.wait_ready(), running.log.read_text()[-3000:]
            callers.listen_at(running.plan.port)
            time.sleep(1.0)
            callers.pause(1.5)
            callers.end(30)
            running.stop()
    finally:
        callers.abandon()
    return Campaign(points, folder, callers, hits, len(logs), logs)


def _schedule(points: tuple[str, ...], kills: int, random_: random.Random) -> list[str]:
    """Return where to kill: every point as often as every other, and a quarter from outside."""
    outside = kills // 4
    inside = [points[number % len(points)] for number in range(kills - outside)]
    schedule = [*inside, *[OUTSIDE] * outside]
    random_.shuffle(schedule)
    return schedule


def _plan(folder: Path, point: str, random_: random.Random, redis: str) -> Plan:
    return Plan(
        redis=redis,
        folder=str(folder),
        port=free_port(random_),
        point=point,
        passing=random_.randint(1, _PASSINGS.get(point, 2)),
    )


def _let_die(running: Running, callers: Callers, random_: random.Random) -> str:
    """Wait until the process is dead, or kill it; return where it died."""
    hits = running.plan.hits
    before = hits.read_text().splitlines() if hits.exists() else []
    patience = PATIENCE_SECONDS
    timer: threading.Timer | None = None
    if running.plan.point == OUTSIDE:
        timer = threading.Timer(random_.uniform(0.0, 5.0), running.process.kill)
        timer.start()
    try:
        if running.wait_ready():
            callers.listen_at(running.plan.port)
            running.process.wait(patience)
    except subprocess.TimeoutExpired:
        running.process.kill()
    finally:
        callers.listen_at(0)
        if timer is not None:
            timer.join()
    code = running.process.wait()
    assert code == -signal.SIGKILL, f"ended by itself: {code}\n{running.log.read_text()[-3000:]}"
    after = hits.read_text().splitlines() if hits.exists() else []
    return after[-1] if len(after) > len(before) else OUTSIDE
