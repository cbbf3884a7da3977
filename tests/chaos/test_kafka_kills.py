"""Members of a group against kill -9, frozen processes and rebalances: as if nothing had happened.

`SENTINEL_CHAOS_KAFKA_HITS` kills so often at every named point, `SENTINEL_CHAOS_SEED` otherwise.
"""

import os
import random
import sys
import time
from pathlib import Path

from confluent_kafka import Producer

from chaos.kafka_killing import FROZEN, OUTSIDE, STOPPED, Campaign, Faults
from chaos.kafka_plan import POINTS, REPLY_LOST, TOPIC
from chaos.kafka_remains import Left, Undisturbed, alerts_of, committed_to
from sentinel.service.dead_letters import SUFFIX
from servers.mock_kafka import mock_kafka

HITS = int(os.environ.get("SENTINEL_CHAOS_KAFKA_HITS", "0"))
RATE = int(os.environ.get("SENTINEL_CHAOS_KAFKA_RATE", "300"))
SEED = int(os.environ.get("SENTINEL_CHAOS_SEED", "1"))
PARTITIONS = 4
SHORT = ("consumed", "assign", "revoke", "commit", "sweep", "grouping_taken", REPLY_LOST)


def schedule_of(random_: random.Random) -> list[str]:
    """Return what is to happen: every point as often, or a few of them, and each other kind."""
    others = [OUTSIDE, FROZEN, STOPPED]
    schedule = [*SHORT, *others] if HITS == 0 else [*POINTS, REPLY_LOST, *others] * HITS
    random_.shuffle(schedule)
    return schedule


def test_members_that_are_killed_lose_repeat_and_invent_nothing(tmp_path: Path) -> None:
    random_ = random.Random(SEED)
    started = time.monotonic()
    with mock_kafka(tmp_path / "mock", {TOPIC: PARTITIONS, TOPIC + SUFFIX: 1}, brokers=3) as mock:
        faults = Faults(
            folder=tmp_path,
            bootstrap=mock.bootstrap,
            partitions=PARTITIONS,
            seed=SEED,
            rate=RATE,
            schedule=schedule_of(random_),
        )
        campaign = Campaign(faults)
        campaign.run()
        cluster_id = Producer({"bootstrap.servers": mock.bootstrap}).list_topics().cluster_id
    sys.stdout.write(f"\n{campaign.table()}\n")
    plan = campaign.plan
    undisturbed = Undisturbed(
        plan, str(cluster_id), campaign.recorder, committed_to(plan, campaign.places)
    )
    names = [worker.name for worker in campaign.workers]
    left = Left(plan, campaign.places, names, [log for w in campaign.workers for log in w.logs])
    assert not left.problems
    should_be_told = {alert.id for alert in alerts_of(plan, left.order)}
    report = [
        f"{sum(campaign.recorder.ends().values()):,} records, {undisturbed.events:,} events, "
        f"{time.monotonic() - started:.0f} s",
        difference("anomalies", left.anomalies, undisturbed.anomalies),
        difference("incident events", set(left.rows), set(undisturbed.rows)),
        difference("alerts", set(left.told) | left.to_tell, should_be_told),
        f"{sum(left.told.values()) - len(left.told)} alerts told again under their id",
    ]
    sys.stdout.write("\n".join(report) + "\n")
    assert left.anomalies == undisturbed.anomalies
    assert left.rows == undisturbed.rows
    assert set(left.told) | left.to_tell == should_be_told
    accepted = plan.accepted.read_text().split() if plan.accepted.exists() else []
    assert set(accepted) <= campaign.recorder.event_ids()
    assert len(undisturbed.anomalies) > 100
    assert len(should_be_told) > 3
    assert all(campaign.hits[point] >= HITS for point in (*POINTS, REPLY_LOST))


def difference(what: str, got: set[str], expected: set[str]) -> str:
    """Say how many are missing and how many are invented."""
    return (
        f"{what}: {len(expected):,} expected, {len(expected - got)} missing, "
        f"{len(got - expected)} invented"
    )
