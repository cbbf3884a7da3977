"""The service under load against kill -9: it comes back as if nothing had happened."""

import os
import sys
from pathlib import Path

from chaos.killing import OUTSIDE, POINTS, run_campaign
from chaos.remains import assert_as_if_nothing_had_happened

KILLS = int(os.environ.get("SENTINEL_CHAOS_KILLS", "13"))
SEED = int(os.environ.get("SENTINEL_CHAOS_SEED", "1"))


def test_killed_again_and_again_it_loses_repeats_and_invents_nothing(tmp_path: Path) -> None:
    campaign = run_campaign(tmp_path, kills=KILLS, seed=SEED)
    sys.stdout.write(f"\n{campaign.table()}\n")
    callers = campaign.callers
    assert not callers.unexpected
    acknowledged: set[str] = set().union(*callers.acknowledged)
    data_dir = tmp_path / "data"
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
    assert all(campaign.hits[point] >= least for point in (*POINTS, OUTSIDE)), campaign.table()
