"""Runs members of a group under load and kills, freezes, stops and joins them, again and again."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from confluent_kafka import Producer
from msgspec import Struct

from chaos.kafka_callers import CallersAnywhere
from chaos.kafka_plan import POINTS, POINTS_IN_REDIS, REPLY_LOST, TOPIC, Plan
from chaos.kafka_remains import Recorder, is_drained
from chaos.kafka_traffic import Traffic, is_quiet
from sentinel.connections.kafka import Place
from servers.process import free_ports

PROGRAM = Path(__file__).with_name("kafka_worker.py")
OUTSIDE, FROZEN, STOPPED = "kill -9", "SIGSTOP", "SIGTERM"
PATIENCE_SECONDS = 25.0
"""How long a worker may live without reaching its points, before it is killed from outside."""
WAIT_SECONDS = 8.0
"""How long partitions may stay where they are, before a worker is asked to let go of its own."""
FREEZE_SECONDS = 3.5
"""Beyond the session timeout: its partitions are somebody else's when it wakes."""
AT_ONCE = 5
"""Points that a worker dies at, whichever comes first."""
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
    wanted: Counter[str]
    """How often what is to happen: points at which workers kill themselves, harm from outside."""
    workers: int = 3
    redis: str = ""
    """Where the state lies; in a folder where it is empty."""
    by_http: int = 0
    """So many events at least come by HTTP, each to a door of some member, and none into the topic
    past them."""


class Worker:
    """One member, started again and again under its name."""

    def __init__(self, number: int, faults: Faults) -> None:
        self.name, self.faults = f"w{number}", faults
        self.port = free_ports(1)[0] if faults.by_http else 0
        self.logs: list[Path] = []
        self.deaths = 0
        """At points."""

    def start(self, kinds: list[str], random_: random.Random) -> None:
        """Start a process that dies at one of some points, or that is harmed from outside."""
        self.kinds = kinds
        self.was_frozen = self.is_asked = False
        self.frozen_until = 0.0
        self.lifetime = random_.uniform(0.5, 5.0)
        points = [kind for kind in kinds if kind not in (OUTSIDE, FROZEN, STOPPED)]
        self.plan = Plan(
            folder=str(self.faults.folder),
            name=self.name,
            bootstrap=self.faults.bootstrap,
            redis=self.faults.redis,
            passings={point: random_.randint(1, PASSINGS.get(point, 2)) for point in points},
            seed=random_.randrange(1, 1 << 40),
            port=self.port,
        )
        log = self.faults.folder / f"log-{self.name}-{len(self.logs):04}"
        self.logs.append(log)
        self.since = time.monotonic()
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
        return self.age > 2.5 and "partition.assigned" in self.log

    @property
    def log(self) -> str:
        return self.logs[-1].read_text(errors="replace")

    def harm(self) -> str | None:
        """Do to it what is planned; returns what was done, once it is."""
        if self.frozen_until:
            if time.monotonic() >= self.frozen_until:
                self.process.send_signal(signal.SIGCONT)
                self.frozen_until, self.since = 0.0, time.monotonic()
                return FROZEN if FROZEN in self.kinds else None
            return None
        sleeps = not {FROZEN, "lost"}.isdisjoint(self.kinds) and not self.was_frozen
        if sleeps and self.is_member:
            self.process.send_signal(signal.SIGSTOP)
            self.was_frozen, self.frozen_until = True, time.monotonic() + FREEZE_SECONDS
            return None
        leaves = STOPPED in self.kinds or (
            self.age > WAIT_SECONDS and not {"revoke", "revoked"}.isdisjoint(self.kinds)
        )
        if leaves and self.is_member and not self.is_asked:
            # Who leaves in order lets go of everything.
            self.process.send_signal(signal.SIGTERM)
            self.is_asked = True
        patience = self.lifetime if OUTSIDE in self.kinds or self.was_frozen else PATIENCE_SECONDS
        if self.kinds and self.age > patience:
            self.process.kill()
        return None


class Campaign:
    """The faults, while producers go on."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.places = [Place(TOPIC, number) for number in range(faults.partitions)]
        self._outside: Counter[str] = Counter()
        self._random = random.Random(faults.seed)
        self._ending = threading.Event()
        self.recorder = Recorder(faults.bootstrap, self.places)
        self.workers = [Worker(number, faults) for number in range(faults.workers)]
        ports = [worker.port for worker in self.workers]
        self.callers = CallersAnywhere(ports, faults.seed) if faults.by_http else None

    @property
    def plan(self) -> Plan:
        return self.workers[0].plan

    @property
    def hits(self) -> Counter[str]:
        """What has happened, how often."""
        path = self.faults.folder / "hits"
        lines = path.read_text().splitlines() if path.exists() else []
        return self._outside + Counter(line.partition(" ")[2] for line in lines)

    def run(self, beside: Callable[[], None] | None = None) -> None:
        """Let everything happen, then let the workers come to an end of their work.

        `beside` is called again and again as long as there are faults.
        """
        producing = threading.Thread(target=self._produce)
        try:
            for worker in self.workers:
                worker.start(self._draw(), self._random)
            producing.start()
            while any(worker.kinds for worker in self.workers) or self._wants_more:
                time.sleep(0.03)
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
                assert worker.process.wait(60) == 0, worker.log[-3000:]
        finally:
            self._ending.set()
            for worker in self.workers:
                worker.process.kill()
                worker.process.wait()
            self.recorder.stop()

    @property
    def _wants_more(self) -> bool:
        return self.callers is not None and len(self.callers.acknowledged) < self.faults.by_http

    def _draw(self) -> list[str]:
        """Return what is to become of the next process: harm, or points of which one is reached."""
        left = list((self.faults.wanted - self.hits).elements())
        if not left:
            return []
        first = self._random.choice(left)
        alone = (OUTSIDE, FROZEN, STOPPED, "lost")
        if first in alone:
            return [first]
        points = sorted({point for point in left if point not in alone} - {first})
        return [first, *self._random.sample(points, min(AT_ONCE - 1, len(points)))]

    def _look_after(self, worker: Worker) -> None:
        """Do to a worker what is planned, and start it again where it is dead."""
        code = worker.process.poll()
        if code is None:
            done = worker.harm()
            if done is not None:
                self._outside[done] += 1
            return
        assert code == -signal.SIGKILL or (worker.is_asked and code == 0), (
            f"{worker.name} ended by itself: {code}\n{worker.log[-3000:]}"
        )
        if code == 0:
            self._outside[STOPPED] += 1
        elif not self._died_at_a_point(worker):
            self._outside[OUTSIDE] += 1
        worker.start(self._draw(), self._random)

    def _died_at_a_point(self, worker: Worker) -> bool:
        path = self.faults.folder / "hits"
        lines = path.read_text().splitlines() if path.exists() else []
        points = [
            line
            for line in lines
            if line.startswith(f"{worker.name} ") and not line.endswith(REPLY_LOST)
        ]
        died = len(points) > worker.deaths
        worker.deaths = len(points)
        return died

    def _produce(self) -> None:
        """Send, but for quiet times."""
        if self.callers is not None:
            self.callers.run(self._ending)
            return
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
        deadline = time.monotonic() + 90
        while not all(worker.is_member for worker in self.workers) or not is_drained(
            self.plan, self.places, self.recorder.ends()
        ):
            for worker in self.workers:
                worker.harm()
                assert worker.process.poll() is None, worker.log[-3000:]
            assert time.monotonic() < deadline, "it does not come to an end"
            time.sleep(0.3)

    def table(self) -> str:
        """Return the faults by kind."""
        points = POINTS_IN_REDIS if self.faults.redis else (*POINTS, REPLY_LOST)
        rows = (*points, OUTSIDE, FROZEN, STOPPED)
        lines = [f"{'point':<16} hits", *(f"{point:<16} {self.hits[point]:>4}" for point in rows)]
        return "\n".join([*lines, f"{self.hits.total()} faults"])
