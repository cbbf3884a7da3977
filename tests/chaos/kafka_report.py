"""What came of a campaign: the faults, and the difference to one undisturbed run."""

import sys
import time
from collections.abc import Callable

from confluent_kafka import Producer

from chaos.kafka_killing import Campaign, Faults
from chaos.kafka_remains import Left, Undisturbed, alerts_of, committed_to


def run_and_compare(faults: Faults, beside: Callable[[], None] | None = None) -> Campaign:
    """Let everything happen, print what came of it, and hold it against one undisturbed run."""
    started = time.monotonic()
    campaign = Campaign(faults)
    campaign.run(beside)
    cluster_id = Producer({"bootstrap.servers": faults.bootstrap}).list_topics().cluster_id
    sys.stdout.write(f"\n{campaign.table()}\n")
    plan = campaign.plan
    undisturbed = Undisturbed(
        plan, str(cluster_id), campaign.recorder, committed_to(plan, campaign.places)
    )
    names = [worker.name for worker in campaign.workers]
    left = Left(plan, campaign.places, names, [log for w in campaign.workers for log in w.logs])
    should_be_told = {alert.id for alert in alerts_of(plan, left.order)}
    report = [
        f"{sum(campaign.recorder.ends().values()):,} records, {undisturbed.events:,} events, "
        f"{time.monotonic() - started:.0f} s",
        _difference("anomalies", left.anomalies, undisturbed.anomalies),
        _difference("incident events", set(left.rows), set(undisturbed.rows)),
        _difference("alerts", set(left.told) | left.to_tell, should_be_told),
        f"{sum(left.told.values()) - len(left.told)} alerts told again under their id",
    ]
    sys.stdout.write("\n".join(report) + "\n")
    assert not left.problems
    assert left.anomalies == undisturbed.anomalies
    assert left.rows == undisturbed.rows
    assert set(left.told) | left.to_tell == should_be_told
    accepted = plan.accepted.read_text().split() if plan.accepted.exists() else []
    assert set(accepted) <= set(campaign.recorder.event_ids())
    if campaign.callers is not None:
        sys.stdout.write(f"{campaign.callers.lines()}\n")
        campaign.callers.assert_written(campaign.recorder)
    assert len(undisturbed.anomalies) > 100
    assert len(should_be_told) > 3
    return campaign


def _difference(what: str, got: set[str], expected: set[str]) -> str:
    """Say how many are missing and how many are invented."""
    return (
        f"{what}: {len(expected):,} expected, {len(expected - got)} missing, "
        f"{len(got - expected)} invented"
    )
