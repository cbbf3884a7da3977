"""Members of a group and the Redis that holds their state, killed: as if nothing had happened.

`SENTINEL_CHAOS_KAFKA_HITS` kills so often at every named point, `SENTINEL_CHAOS_SEED` otherwise.
"""

import random
import sys
import time
from collections import Counter
from pathlib import Path

from chaos.kafka_killing import FROZEN, OUTSIDE, STOPPED, Faults
from chaos.kafka_plan import POINTS_IN_REDIS, TOPIC
from chaos.kafka_report import run_and_compare
from chaos.test_kafka_kills import HITS, PARTITIONS, RATE, SEED
from sentinel.service.dead_letters import SUFFIX
from servers.mock_kafka import mock_kafka
from servers.redis import RedisServer, redis_server

SHORT = ("commit", "committed", "stage", "switch", "apply", "assign")
RESTART_SECONDS = (3.0, 8.0)
"""Between two ends of Redis."""


class RedisKiller:
    """Kills a Redis now and then and starts it again."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._random = random.Random(SEED)
        self._next_at = time.monotonic() + 5
        self.killed = 0

    def __call__(self) -> None:
        if time.monotonic() < self._next_at:
            return
        self._server.kill()
        self.killed += 1
        time.sleep(self._random.uniform(0.0, 0.3))
        self._server.start()
        self._next_at = time.monotonic() + self._random.uniform(*RESTART_SECONDS)


def test_members_and_their_redis_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    points = SHORT if HITS == 0 else POINTS_IN_REDIS
    wanted = Counter(dict.fromkeys([*points, OUTSIDE, FROZEN, STOPPED], max(1, HITS)))
    topics = {TOPIC: PARTITIONS, TOPIC + SUFFIX: 1}
    always = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        mock_kafka(tmp_path / "mock", topics, brokers=3) as mock,
        redis_server(tmp_path / "redis", *always) as server,
    ):
        killer = RedisKiller(server)
        faults = Faults(
            folder=tmp_path,
            bootstrap=mock.bootstrap,
            partitions=PARTITIONS,
            seed=SEED,
            rate=RATE,
            wanted=wanted,
            redis=server.url,
        )
        campaign = run_and_compare(faults, killer)
    sys.stdout.write(f"Redis was killed {killer.killed} times\n")
    assert killer.killed > 1
    assert all(campaign.hits[point] >= HITS for point in points)
