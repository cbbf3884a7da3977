"""Members of a group and real brokers of Kafka, killed: as if nothing had happened.

`SENTINEL_CHAOS_KAFKA_KILLS` kills so many members, and a broker for every seven of them.
"""

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chaos.kafka_killing import FROZEN, OUTSIDE, STOPPED, Faults
from chaos.kafka_plan import POINTS, TOPIC
from chaos.kafka_report import run_and_compare
from sentinel.service.dead_letters import SUFFIX
from servers.kafka import Kafka

KILLS = int(os.environ.get("SENTINEL_CHAOS_KAFKA_KILLS", "4"))
SEED = int(os.environ.get("SENTINEL_CHAOS_SEED", "1"))
PARTITIONS = 6
DOWN_SECONDS = 3.0


def make_topics(bootstrap: str, copies: int) -> None:
    topics = [NewTopic(TOPIC, PARTITIONS, copies), NewTopic(TOPIC + SUFFIX, 1, copies)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics(topics).values():
        made.result(60)


class BrokerKiller:
    """Kills a broker now and then and starts it again, one at a time, never the controller."""

    def __init__(self, kafka: Kafka, kills: int) -> None:
        self._kafka, self._left = kafka, kills
        self._random = random.Random(SEED)
        self._next_at = time.monotonic() + 8
        self._thread: threading.Thread | None = None
        self.killed = 0

    def __call__(self) -> None:
        busy = self._thread is not None and self._thread.is_alive()
        if self._left and not busy and time.monotonic() >= self._next_at:
            self._left -= 1
            self._thread = threading.Thread(target=self._kill)
            self._thread.start()

    def _kill(self) -> None:
        broker = self._random.choice(self._kafka.brokers[1:])
        broker.kill()
        self.killed += 1
        time.sleep(DOWN_SECONDS)
        broker.start()
        self._next_at = time.monotonic() + 10

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()


def test_members_and_brokers_that_are_killed_lose_nothing(
    tmp_path: Path, kafka_brokers: Kafka
) -> None:
    make_topics(kafka_brokers.bootstrap, copies=3)
    random_ = random.Random(SEED)
    points = [point for point in POINTS if point not in ("lost", "grouping_fold")]
    wanted = Counter([FROZEN, STOPPED, *random_.choices([OUTSIDE, *points], k=KILLS)])
    killer = BrokerKiller(kafka_brokers, 1 + KILLS // 7)
    faults = Faults(
        folder=tmp_path,
        bootstrap=kafka_brokers.bootstrap,
        partitions=PARTITIONS,
        seed=SEED,
        rate=300,
        wanted=wanted,
    )
    campaign = run_and_compare(faults, killer)
    killer.wait()
    assert killer.killed > KILLS // 7
    assert campaign.hits.total() >= KILLS
