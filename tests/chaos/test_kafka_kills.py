"""Members of a group against kill -9, frozen processes and rebalances: as if nothing had happened.

`SENTINEL_CHAOS_KAFKA_HITS` kills so often at every named point, `SENTINEL_CHAOS_SEED` otherwise.
"""

import os
from collections import Counter
from pathlib import Path

from chaos.kafka_killing import FROZEN, OUTSIDE, STOPPED, Faults
from chaos.kafka_plan import POINTS, REPLY_LOST, TOPIC
from chaos.kafka_report import run_and_compare
from sentinel.service.dead_letters import SUFFIX
from servers.mock_kafka import mock_kafka

HITS = int(os.environ.get("SENTINEL_CHAOS_KAFKA_HITS", "0"))
RATE = int(os.environ.get("SENTINEL_CHAOS_KAFKA_RATE", "300"))
SEED = int(os.environ.get("SENTINEL_CHAOS_SEED", "1"))
PARTITIONS = 4
SHORT = ("consumed", "assign", "revoke", "commit", "sweep", "grouping_taken", REPLY_LOST)


def wanted() -> Counter[str]:
    """Return what is to happen: every point so often, or a few of them, and each other kind."""
    points = SHORT if HITS == 0 else (*POINTS, REPLY_LOST)
    return Counter(dict.fromkeys([*points, OUTSIDE, FROZEN, STOPPED], max(1, HITS)))


def test_members_that_are_killed_lose_repeat_and_invent_nothing(tmp_path: Path) -> None:
    topics = {TOPIC: PARTITIONS, TOPIC + SUFFIX: 1}
    with mock_kafka(tmp_path / "mock", topics, brokers=3) as mock:
        faults = Faults(
            folder=tmp_path,
            bootstrap=mock.bootstrap,
            partitions=PARTITIONS,
            seed=SEED,
            rate=RATE,
            wanted=wanted(),
        )
        campaign = run_and_compare(faults)
    assert all(campaign.hits[point] >= HITS for point in (*POINTS, REPLY_LOST))
