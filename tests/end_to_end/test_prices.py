"""Costs that the service works out: what is stored, what is told, and what a replay finds."""

import json
from pathlib import Path

import pytest

from end_to_end.serving import call, calls, families, serving
from sentinel.replay.run import Replay
from sentinel.settings import Settings
from sentinel.sources.journal import EVENTS
from sentinel.sources.journal_reader import read_folder

CONFIG = {
    "prices": {
        "aliases": {"chat-prod": "house-1"},
        "models": [{"model": "house-1", "input_mtok": 2.0, "output_mtok": 10.0}],
    }
}
PRICE = (1000 * 2 + 200 * 10) / 1_000_000


def test_a_cost_is_stored_as_if_it_had_been_said(tmp_path: Path) -> None:
    with serving(tmp_path, CONFIG) as service:
        service.send_and_wait(call("a", model="chat-prod"), call("a", cost_usd=0.5))
        rows = service.read("/api/v1/telemetry", service="a")["data"]
        assert sorted(row["cost_usd"] for row in rows) == [pytest.approx(PRICE), 0.5]


def test_models_without_a_price_are_told_once_and_listed(tmp_path: Path) -> None:
    with serving(tmp_path, CONFIG) as service:
        for _ in range(3):
            service.send(*calls("a", 10, model="nobody-1"), *calls("a", 2, model="house-1"))
        service.send(*[call("a", model=f"odd-{number}") for number in range(400)])
        told = service.read("/api/v1/prices/unpriced")["unpriced"]
        assert told[:2] == [
            {"model": "other", "events": 201},
            {"model": "nobody-1", "events": 30},
        ]
        logged = [line["model"] for line in service.logged("price.unknown")]
        assert len(logged) == len(set(logged)) == len(told) == 201
        counted = families(service)["sentinel_unpriced_events"].samples
        assert {sample.labels["model"]: sample.value for sample in counted} == {
            one["model"]: one["events"] for one in told
        }


def test_a_journal_has_the_costs_of_its_day_whatever_the_prices_are_now(tmp_path: Path) -> None:
    with serving(tmp_path, CONFIG) as service:
        service.send_and_wait(*calls("a", 5, model="chat-prod"), *calls("a", 5, model="gpt-0"))
        assert service.stop() == 0
    recorded = read_folder(service.data_dir / "journal")
    payloads = [record.payload for record in recorded.records if record.kind == EVENTS]
    events = [json.loads(line) for payload in payloads for line in payload.splitlines()]
    assert ["cost_usd" in event for event in events] == [True] * 5 + [False] * 5
    replay = Replay(Settings(), recorded.log_id)
    steps = [replay.judge_record(r) for r in read_folder(service.data_dir / "journal").records]
    costs = [event.cost_usd for step in steps for event in step.batch.events]
    assert costs[:5] == [event["cost_usd"] for event in events[:5]]
    assert costs[5:] == [None] * 5
