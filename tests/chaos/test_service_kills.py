"""The service under load against kill -9: it comes back as if nothing had happened."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from chaos.killing import OUTSIDE, Campaign, run_campaign
from chaos.remains import assert_as_if_nothing_had_happened
from servers.redis import RedisServer, redis_server

KILLS = int(os.environ.get("SENTINEL_CHAOS_KILLS", "13"))
KILLS_WITH_REDIS = max(KILLS, 16)
"""It has three points more."""
SEED = int(os.environ.get("SENTINEL_CHAOS_SEED", "1"))


RESTART_SECONDS = (2.0, 6.0)
"""Between two ends of Redis."""


def test_killed_again_and_again_it_loses_repeats_and_invents_nothing(tmp_path: Path) -> None:
    assert_nothing_had_happened(run_campaign(tmp_path, kills=KILLS, seed=SEED))


def test_the_same_with_the_state_in_a_redis_that_is_killed_too(tmp_path: Path) -> None:
    always = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_server(tmp_path / "redis", *always) as server, restarted(server) as restarts:
        campaign = run_campaign(tmp_path, kills=KILLS_WITH_REDIS, seed=SEED, redis=server.url)
    assert_nothing_had_happened(campaign)
    sys.stdout.write(f"Redis was killed {restarts[0]} times\n")
    assert restarts[0] > 3


@contextmanager
def restarted(server: RedisServer) -> Iterator[list[int]]:
    """Kill a Redis and start it again, now and then; gives how often."""
    random_, stop, count = Random(SEED), threading.Event(), [0]

    def run() -> None:
        while not stop.wait(random_.uniform(*RESTART_SECONDS)):
            server.kill()
            time.sleep(random_.uniform(0.0, 0.5))
            server.start()
            count[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def assert_nothing_had_happened(campaign: Campaign) -> None:
    sys.stdout.write(f"\n{campaign.table()}\n")
    callers = campaign.callers
    assert not callers.unexpected
    acknowledged: set[str] = set().union(*callers.acknowledged)
    data_dir = campaign.folder / "data"
    replayed = assert_as_if_nothing_had_happened(data_dir, campaign.logs, acknowledged)
    replayed.assert_command_agrees(data_dir)
    sys.stdout.write(
        f"{replayed.records:,} records, {len(replayed.events):,} events, "
        f"{len(replayed.anomalies):,} anomalies, {len(replayed.incidents):,} incidents, "
        f"{len(replayed.alerts):,} alerts\n"
    )
    assert len(replayed.incidents) > 3
    assert len(replayed.alerts) > 3
    least = 10 if KILLS >= 200 else 1
    points = (*campaign.points, OUTSIDE)
    assert all(campaign.hits[point] >= least for point in points), campaign.table()
