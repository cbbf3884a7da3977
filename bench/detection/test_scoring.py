"""Our scorer beside an independent one, on labelled streams that both read.

SENTINEL_EVAL names a folder with `score.py`, which has `Events`, `load_anomalies`, `evaluate` and
`summarise`, and, anywhere below it, streams as `NAME.ndjson.gz` with `NAME.labels.json` beside
them.  Without it there is nothing to compare with, and this is skipped.

Three lists of alerts a stream: what a replay tells, a thousand at random, and none.
"""

import gzip
import importlib.util
import json
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sentinel.model.instant import instant
from sentinel.replay.families import FAMILIES
from sentinel.replay.labels import Expectation, read_labels
from sentinel.replay.run import Replay
from sentinel.replay.scoring import Score, score
from sentinel.replay.witness import Told, Traffic, Witness
from sentinel.settings import Settings

EVAL = os.environ.get("SENTINEL_EVAL", "")
STREAMS = sorted(Path(EVAL).rglob("*.labels.json")) if EVAL else []
CHANCE_WITHIN = 0.05
"""Both move the same alerts, 50 and 200 times by other draws.  At a recall of 0.5, of 40 incidents
of which three are hit together, the difference has a standard error of 0.015."""
RANDOM_ALERTS = 1_000

pytestmark = [
    pytest.mark.skipif(
        not EVAL or not (Path(EVAL) / "score.py").exists(),
        reason="SENTINEL_EVAL names no folder with another scorer",
    ),
    # The other one leaves files to be closed by themselves.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def other() -> Any:
    spec = importlib.util.spec_from_file_location("score", Path(EVAL) / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replayed(stream: Path) -> Witness:
    """Return what a replay with all defaults tells of a stream."""
    replay, witness = Replay(Settings()), Witness()
    step = replay.judge(gzip.decompress(stream.read_bytes()))
    witness.see(step.batch, step.alerts)
    return witness


def at_random(expected: Expectation, traffic: Traffic, seed: str) -> list[Told]:
    """Return alerts at any time, of known and unknown metrics, services and models."""
    rng = random.Random(seed)
    metrics = [metric for metrics in FAMILIES.values() for metric in metrics]
    models = [span.model for span in expected.spans]
    times = {service: traffic.times(service, None).tolist() for service in traffic.services}
    told = []
    for number in range(RANDOM_ALERTS):
        service = rng.choice(traffic.services)
        told.append(
            Told(
                kind=rng.choice(["open", "escalate", "repeat"]),
                timestamp=instant(rng.choice(times[service]) * 1_000),
                service=rng.choice([service, service, service, "no such service"]),
                model=rng.choice([*models, None, "no such model"]),
                type="any",
                metric=rng.choice([*metrics, "no such metric"]),
                detector=f"test.{number % 5}",
                severity="info",
                title="",
                fingerprint=str(number),
            )
        )
    return told


def theirs_of(other: Any, labels: Path, events: Any, told: list[Told], folder: Path) -> Any:
    file = folder / "alerts.ndjson"
    file.write_bytes(msgspec.json.Encoder().encode_lines(told))
    found = other.load_anomalies(str(file), events)
    return other.summarise([other.evaluate(json.loads(labels.read_text()), events, found)])


def assert_equal(ours: Score, theirs: Any) -> None:
    """Compare every measure that both define, as exactly as theirs is rounded."""
    gate = theirs["gate"]
    assert ours.events == theirs["scored_events"]
    assert {"true": ours.right, "false": ours.false, "neutral": ours.neutral} == theirs["alerts"]
    assert ours.recall.all == theirs["incidents"]
    assert ours.recall.found == theirs["detected"]
    assert ours.not_scored == theirs["undetectable"]
    for name, recall in ours.recall_by_level.items():
        assert recall.share == pytest.approx(gate["recall_by_level"][name], abs=6e-4)
    assert ours.recall_by_kind.keys() == theirs["recall_by_kind"].keys()
    for name, recall in ours.recall_by_kind.items():
        assert recall.share == pytest.approx(theirs["recall_by_kind"][name], abs=6e-4)
    assert ours.false_per_10k == pytest.approx(gate["fa_per_10k"], abs=6e-3)
    assert 1e4 * ours.false_groups / ours.events == pytest.approx(theirs["fg_per_10k"], abs=6e-3)
    assert ours.excused == pytest.approx(gate["excused_share"], abs=6e-4)
    for mine, name in (
        (ours.alerts_per_thing, gate["storm_all"]),
        (ours.right_family, gate["family_exact"]),
        (ours.delay_seconds, theirs["delay_s"]),
        (ours.delay_events, theirs["delay_events"]),
    ):
        assert mine == (None if name is None else pytest.approx(name, abs=0.06))
    assert ours.chance == pytest.approx(gate["chance_recall"], abs=CHANCE_WITHIN)


@pytest.mark.parametrize("labels", STREAMS, ids=lambda path: path.name.partition(".")[0])
def test_both_scorers_agree(other: Any, labels: Path, tmp_path: Path) -> None:
    stream = labels.with_name(labels.name.replace(".labels.json", ".ndjson.gz"))
    expected, events = read_labels(labels), other.Events(str(stream))
    witness = replayed(stream)
    for told in (witness.told, at_random(expected, witness.traffic, labels.name), []):
        ours = score(expected, told, witness.traffic)
        theirs = theirs_of(other, labels, events, told, tmp_path)
        assert_equal(ours, theirs)
        print(
            f"\n{len(told)} alerts: {ours.right} right, {ours.false} false, {ours.neutral} neutral"
            f", recall {ours.recall.found}/{ours.recall.all}, by chance {ours.chance:.3f} here and"
            f" {theirs['gate']['chance_recall']} there"
        )
