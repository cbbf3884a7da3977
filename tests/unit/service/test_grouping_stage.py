"""The stage that groups: an order that is written down, and what is told by it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from scenes.told import event
from sentinel.alerting import Grouper, GroupingRules
from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.errors import Fenced
from sentinel.model.alert import Alert
from sentinel.model.incident import IncidentEvent
from sentinel.service import grouping
from sentinel.service.grouping import NAME, ORDER, GroupingStage
from sentinel.service.outlet import GROUPING, ToGrouping
from sentinel.vitals.inventory import Vitals

PARTITIONS = ["calls-0", "calls-1"]


class Crash(Exception):
    """The process ends here."""


def go_on(_: str) -> None:
    pass


class Cluster:
    """Partitions with events in their outboxes, and a stage that starts again and again."""

    def __init__(self, folder: Path) -> None:
        self.place = FolderCheckpoints(folder)
        self._owners = {name: self.place.open(name, log_id="log") for name in PARTITIONS}
        self._ends = dict.fromkeys(PARTITIONS, 0)

    def commit(self, partition: str, *events: IncidentEvent) -> None:
        rows = ToGrouping(GroupingRules()).tell(list(events))
        base = self._ends[partition]
        self._ends[partition] += 1
        self._owners[partition].commit(base, base + 1, rows)

    def stage(
        self,
        crash_point: Callable[[str], None] = go_on,
        rules: GroupingRules | None = None,
    ) -> GroupingStage:
        return GroupingStage(
            self.place.open(NAME, log_id=NAME),
            self.place,
            Vitals(),
            rules=rules or GroupingRules(),
            destinations=["hook"],
            partitions=lambda: PARTITIONS,
            crash_point=crash_point,
        )

    def told(self) -> list[Alert]:
        rows = self.place.waiting(NAME, "hook", 1000)
        return [msgspec.json.decode(row.body, type=Alert) for row in rows]

    def waits(self) -> int:
        return sum(len(self.place.waiting(name, GROUPING, 1000)) for name in PARTITIONS)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


EVENTS = (event("open", 0), event("open", 5, "b"), event("close", 90), event("close", 95, "b"))


def outline(alerts: list[Alert]) -> list[tuple[str, str, int]]:
    return [(alert.id, alert.kind, alert.sequence) for alert in alerts]


def test_what_partitions_committed_is_told_once_and_forgotten_by_them(cluster: Cluster) -> None:
    cluster.commit("calls-0", *EVENTS[::2])
    cluster.commit("calls-1", *EVENTS[1::2])
    stage = cluster.stage()
    assert stage.turn()
    assert not stage.turn()
    assert cluster.waits() == 0
    expected = Grouper(GroupingRules()).tell([*EVENTS[::2], *EVENTS[1::2]])
    assert outline(cluster.told()) == outline(expected)


@pytest.mark.parametrize("point", ["grouping_take", "grouping_taken", "grouping_fold"])
def test_a_stage_that_dies_anywhere_tells_nothing_twice(
    cluster: Cluster, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "FOLD_EVENTS", 1)

    def crash(name: str) -> None:
        if name == point:
            raise Crash

    for number, one in enumerate(EVENTS):
        cluster.commit(PARTITIONS[number % 2], one)
        with pytest.raises(Crash):
            cluster.stage(crash).turn()
        cluster.stage().turn()
    assert cluster.waits() == 0
    assert cluster.place.waiting(NAME, ORDER, 10) == []
    assert outline(cluster.told()) == outline(Grouper(GroupingRules()).tell(list(EVENTS)))


def test_what_was_taken_is_known_after_a_start_though_a_partition_still_has_it(
    cluster: Cluster,
) -> None:
    def crash(name: str) -> None:
        if name == "grouping_taken":
            raise Crash

    cluster.commit("calls-0", EVENTS[0])
    with pytest.raises(Crash):
        cluster.stage(crash).turn()
    assert cluster.waits() == 1
    assert not cluster.stage().turn()
    assert cluster.waits() == 0
    assert len(cluster.told()) == 1


def test_other_rules_hold_from_their_place_in_the_order_on(cluster: Cluster) -> None:
    again = (event("open", 10, "c"), event("open", 20, "d"))
    cluster.commit("calls-0", EVENTS[0], again[0])
    cluster.stage().turn()
    held = len(cluster.told())
    cluster.stage(rules=GroupingRules(enabled=False)).turn()
    cluster.commit("calls-0", again[1])
    cluster.stage(rules=GroupingRules(enabled=False)).turn()
    assert held == 1, "the second is equal to the first"
    assert len(cluster.told()) == 2


def test_a_stage_whose_place_was_taken_writes_nothing(cluster: Cluster) -> None:
    first = cluster.stage()
    cluster.commit("calls-0", EVENTS[0])
    second = cluster.stage()
    with pytest.raises(Fenced):
        first.turn()
    assert cluster.waits() == 1
    assert second.turn()
