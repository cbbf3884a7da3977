"""Events and acts that come by HTTP to any of several members that are killed meanwhile.

`SENTINEL_CHAOS_KAFKA_KILLS` kills so many members, on a real broker.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.kafka_killing import FROZEN, OUTSIDE, STOPPED, Faults
from chaos.kafka_plan import TOPIC
from chaos.kafka_report import run_and_compare
from chaos.test_kafka_brokers import PARTITIONS, SEED, make_topics
from sentinel.service.dead_letters import SUFFIX
from servers.kafka import kafka
from servers.mock_kafka import mock_kafka

KILLS = int(os.environ.get("SENTINEL_CHAOS_KAFKA_KILLS", "0"))
SHORT = ("send", "sent", "committed", OUTSIDE, FROZEN, STOPPED)
LONG = ("send", "sent", "decoded", "commit", "committed", "sweep", "store", "grouping_taken")


@pytest.fixture
def bootstrap(tmp_path: Path) -> Iterator[str]:
    """Return the addresses of real brokers for a long run, of a mock cluster else."""
    if KILLS:
        with kafka(tmp_path / "kafka") as cluster:
            make_topics(cluster.bootstrap, copies=1)
            yield cluster.bootstrap
    else:
        topics = {TOPIC: PARTITIONS, TOPIC + SUFFIX: 1}
        with mock_kafka(tmp_path / "mock", topics) as mock:
            yield mock.bootstrap


def test_what_any_member_acknowledges_is_judged_once_whoever_is_killed(
    tmp_path: Path, bootstrap: str
) -> None:
    random_ = random.Random(SEED)
    harm = random_.choices([*LONG, OUTSIDE, OUTSIDE, FROZEN, STOPPED], k=KILLS) if KILLS else SHORT
    faults = Faults(
        folder=tmp_path,
        bootstrap=bootstrap,
        partitions=PARTITIONS,
        seed=SEED,
        rate=0,
        wanted=Counter(harm),
        by_http=max(3_000, 200 * KILLS),
    )
    campaign = run_and_compare(faults)
    callers = campaign.callers
    assert callers is not None
    assert len(callers.doors) == len(campaign.workers), "somebody's door was never used"
    assert {200, 202} & set(callers.acts.values()), "nobody acted"
