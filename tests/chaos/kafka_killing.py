"""Runs members of a group under load and kills, freezes, stops and joins them, again and again."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import msgspec
from confluent_kafka import Producer
from msgspec import Struct

from chaos.kafka_plan import POINTS, REPLY_LOST, TOPIC, Plan
from chaos.kafka_remains import Recorder, is_drained
from chaos.kafka_traffic import Traffic, is_quiet
from sentinel.connections.kafka import Place

PROGRAM = Path(__file__).with_name("kafka_worker.py")
OUTSIDE, FROZEN, STOPPED = "kill -9", "SIGSTOP", "SIGTERM"
PATIENCE_SECONDS = 9.0
"""How long a worker may live without reaching its point, before it is killed from outside."""
WAIT_SECONDS = 5.0
"""How long partitions may stay where they are, before a worker is asked to let go of its own."""
FREEZE_SECONDS = 3.5
"""Beyond the session timeout: its partitions are somebody else's when it wakes."""
PASSINGS = {
    **dict.fromkeys(("consumed", "decoded", "judged"), 60),
    **dict.fromkeys(("commit", "committed", REPLY_LOST), 12),
    **dict.fromkeys(("send", "sent"), 20),
    **dict.fromkeys(("revoke", "revoked"), 1),
}
"""The passing that kills is drawn up to here; at other points, up to 2."""


class Faults(Struct, frozen=True, kw_only=True):
    """What is to happen."""

    folder: Path
    bootstrap: str
    partitions: int
    seed: int
    rate: int
    """Messages a second."""
    schedule: list[str]
    """Points at which workers kill themselves, and what is done to them from outside."""
    workers: int = 3


class Worker:
    """One member, started again and again under its name."""

    def __init__(self, number: int, faults: Faults) -> None:
        self.name, self.faults = f"w{number}", faults
        self.starts = 0
        self.logs: list[Path] = []
        self.frozen_until = 0.0
        self.was_frozen = self.is_asked = False

    def start(self, point: str, random_: random.Random) -> None:
        self.point = point
        self.starts += 1
        self.plan = Plan(
            folder=str(self.faults.folder),
            name=self.name,
            bootstrap=self.faults.bootstrap,
            point=point,
            passing=random_.randint(1, PASSINGS.get(point, 2)),
            seed=random_.randrange(1, 1 << 40),
        )
        log = self.faults.folder / f"log-{self.name}-{self.starts:04}"
        self.logs.append(log)
        self.since = time.monotonic()
        self.was_frozen = self.is_asked = False
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), msgspec.json.encode(self.plan).decode()], stderr=file
            )

    @property
    def age(self) -> float:
        return time.monotonic() - self.since

    @property
    def is_member(self) -> bool:
        """Whether it has had partitions, for a while."""
        return self.age > 2.5 and "partition.assigned" in self.logs[-1].read_text(errors="replace")

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        self.frozen_until = time.monotonic() + FREEZE_SECONDS
        self.was_frozen = True

    def thaw_if_due(self) -> bool:
        """Say whether it sleeps."""
        if self.frozen_until and time.monotonic() >= self.frozen_until:
            self.process.send_signal(signal.SIGCONT)
            self.frozen_until, self.since = 0.0, time.monotonic()
        return self.frozen_until > 0


class Campaign:
    """The faults, one after another, while producers go on."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.places = [Place(TOPIC, number) for number in range(faults.partitions)]
        self.hits: Counter[str] = Counter()
        self._random = random.Random(faults.seed)
        self._schedule = deque(faults.schedule)
        self._ending = threading.Event()
        self.recorder = Recorder(faults.bootstrap, self.places)
        self.workers = [Worker(number, faults) for number in range(faults.workers)]

    @property
    def plan(self) -> Plan:
        return self.workers[0].plan

    def run(self, beside: Callable[[], None] | None = None) -> None:
        """Let everything happen, then let the workers come to an end of their work.

        `beside` is called again and again as long as there are faults.
        """
        producing = threading.Thread(target=self._produce)
        try:
            for worker in self.workers:
                worker.start(self._next(), self._random)
            producing.start()
            while self._schedule or any(worker.point for worker in self.workers):
                time.sleep(0.05)
                if beside is not None:
                    beside()
                for worker in self.workers:
                    self._look_after(worker)
            self._ending.set()
            producing.join()
            self._wait_drained()
            for worker in self.workers:
                worker.process.send_signal(signal.SIGTERM)
            for worker in self.workers:
                assert worker.process.wait(60) == 0, worker.logs[-1].read_text()[-3000:]
        finally:
            self._ending.set()
            for worker in self.workers:
                worker.process.kill()
                worker.process.wait()
            self.recorder.stop()

    def _next(self) -> str:
        return self._schedule.popleft() if self._schedule else ""

    def _look_after(self, worker: Worker) -> None:
        """Do to a worker what is planned, and start it again where it is dead."""
        code = worker.process.poll()
        if code is None:
            if worker.thaw_if_due():
                return
            self._harm(worker)
            return
        text = worker.logs[-1].read_text(errors="replace")[-3000:]
        if worker.point == STOPPED:
            assert code == 0, f"{worker.name}: {code}\n{text}"
            self.hits[STOPPED] += 1
        else:
            assert code == -signal.SIGKILL, f"{worker.name} ended by itself: {code}\n{text}"
            self._count(worker)
        worker.start(self._next(), self._random)

    def _harm(self, worker: Worker) -> None:
        point = worker.point
        if point in ("lost", FROZEN) and not worker.was_frozen:
            if worker.is_member:
                worker.freeze()
        elif point == FROZEN and worker.was_frozen and worker.age > 2.0:
            self.hits[FROZEN] += 1
            worker.point = OUTSIDE
        elif point == STOPPED or (point in ("revoke", "revoked") and worker.age > WAIT_SECONDS):
            # Who leaves in order lets go of everything.
            if worker.is_member and not worker.is_asked:
                worker.process.send_signal(signal.SIGTERM)
                worker.is_asked = True
        elif point == OUTSIDE and worker.age > self._random.uniform(0.5, 4.0):
            worker.process.kill()
        elif point == REPLY_LOST and self._read_hits()[REPLY_LOST] > self.hits[REPLY_LOST]:
            self.hits[REPLY_LOST] += 1
            worker.point = OUTSIDE
            worker.since = time.monotonic()
        elif point and point != STOPPED and worker.age > PATIENCE_SECONDS:
            # What it waits for does not happen: its plan goes to the end of the schedule.
            if self._schedule or point not in (OUTSIDE, FROZEN):
                self._schedule.append(point)
            worker.point = OUTSIDE

    def _read_hits(self) -> Counter[str]:
        path = self.plan.hits
        return Counter(path.read_text().splitlines() if path.exists() else [])

    def _count(self, worker: Worker) -> None:
        found = self._read_hits()
        if worker.point in POINTS and found[worker.point] > self.hits[worker.point]:
            self.hits[worker.point] += 1
        else:
            self.hits[OUTSIDE] += 1

    def _produce(self) -> None:
        """Send, but for quiet times."""
        producer = Producer(
            {
                "bootstrap.servers": self.faults.bootstrap,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
            }
        )
        traffic = Traffic(self.faults.seed)
        while not self._ending.is_set():
            if not is_quiet():
                for _ in range(100):
                    key, value = traffic.message()
                    producer.produce(TOPIC, value, key)
            producer.poll(0)
            self._ending.wait(100 / self.faults.rate)
        producer.flush(10)

    def _wait_drained(self) -> None:
        deadline = time.monotonic() + 60
        while not is_drained(self.plan, self.places, self.recorder.ends()):
            for worker in self.workers:
                worker.thaw_if_due()
                assert worker.process.poll() is None, worker.logs[-1].read_text()[-3000:]
            assert time.monotonic() < deadline, "it does not come to an end"
            time.sleep(0.3)

    def table(self) -> str:
        """Return the faults by kind."""
        rows = (*POINTS, REPLY_LOST, OUTSIDE, FROZEN, STOPPED)
        lines = [f"{'point':<16} hits", *(f"{point:<16} {self.hits[point]:>4}" for point in rows)]
        return "\n".join([*lines, f"{self.hits.total()} faults"])
