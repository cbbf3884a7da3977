"""Which partitions are held, where each starts, and what is said when something is missing."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.checkpoints.sqlite import Checkpoint
from sentinel.connections.kafka import Place, Trouble
from sentinel.engine import Judgement, Partition
from sentinel.errors import Fenced, ForeignState, StateError
from sentinel.model.batch import Batch
from sentinel.service import membership, owner
from sentinel.service.elsewhere import Elsewhere
from sentinel.service.membership import name_of
from sentinel.vitals.inventory import Vitals
from unit.service.member import PLACE, Brokers, Member, stands, until


@pytest.mark.parametrize(("reset", "start"), [("latest", 100), ("earliest", 20)])
def test_a_partition_without_state_starts_where_it_is_told(
    tmp_path: Path, reset: str, start: int
) -> None:
    member = Member(tmp_path, reset)
    assert member.assigned(Brokers(20, 100)) == start
    assert stands(tmp_path) == start, "where it starts is written down at once"
    member.end()


def test_what_was_judged_is_committed_when_a_partition_is_revoked(tmp_path: Path) -> None:
    member = Member(tmp_path, "earliest")
    member.assigned(Brokers())
    member.take(0, 30)
    member.take(30, 12)
    member.end()
    assert stands(tmp_path) == 42
    second = Member(tmp_path)
    assert second.assigned(Brokers()) == 42
    second.end()


def test_others_rest_until_what_was_taken_over_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Member(tmp_path, "earliest")
    dead.assigned(Brokers())
    dead.take(0, 42)
    until(lambda: stands(tmp_path) == 42)
    member = Member(tmp_path)
    other = Place("calls", 2)
    member.assigned(Brokers(), other)
    assert member.membership.resting() == set()
    assert member.assigned(Brokers()) == 0, "the snapshot is older than the commit"
    assert member.membership.resting() == {other}
    member.take(0, 41)
    assert member.membership.resting() == {other}
    monkeypatch.setattr(membership, "REST_SECONDS", 0.0)
    assert member.membership.resting() == set(), "not for ever"
    monkeypatch.undo()
    member.take(41, 1)
    assert member.membership.resting() == set()
    member.end()


def test_judging_and_commits_go_on_while_a_snapshot_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that failed is written again."""
    sweep, may_go_on, attempts = Checkpoint.sweep, threading.Event(), [0]

    def slow(self: Checkpoint, *rest: Any, **more: Any) -> None:
        attempts[0] += 1
        assert may_go_on.wait(10)
        if attempts[0] == 1:
            raise StateError("the disk is full")
        sweep(self, *rest, **more)

    member = Member(tmp_path, "earliest")
    member.assigned(Brokers())
    held = member.membership.held[PLACE].owner
    monkeypatch.setattr(Checkpoint, "sweep", slow)
    monkeypatch.setattr(owner, "SNAPSHOT_EVENTS", 10)
    monkeypatch.setattr(owner, "RETRY_SECONDS", 0.01)
    member.take(0, 30)
    until(lambda: attempts[0] == 1)
    member.take(30, 12)
    until(lambda: stands(tmp_path) == 42)
    assert held.snapshot_at == 0
    with capture_logs() as logs:
        may_go_on.set()
        until(lambda: held.snapshot_at == 30)
    assert "state.not_kept" in [one["event"] for one in logs]
    assert attempts[0] >= 2
    member.end()
    fresh = Member(tmp_path, "earliest")
    assert fresh.assigned(Brokers()) == 42
    fresh.end()


def test_messages_that_were_handed_over_or_are_not_ours_are_ignored(tmp_path: Path) -> None:
    member = Member(tmp_path, "earliest")
    member.take(0, 5)
    member.assigned(Brokers())
    member.take(0, 10)
    member.take(5, 8)
    held = member.membership.held[PLACE]
    assert held.next_offset == 13
    member.end()
    assert member.vitals.received._value.get() == 13


def test_a_partition_whose_state_was_wiped_is_told_loudly(tmp_path: Path) -> None:
    member = Member(tmp_path)
    with capture_logs() as logs:
        assert member.assigned(Brokers(0, 100, shown=77)) == 100
    assert [one["log_level"] for one in logs if one["event"] == "kafka.state_missing"] == ["error"]
    assert member.losses("wiped") == 1
    member.end()


def test_a_partition_that_was_added_starts_at_its_first_message_and_is_told_loudly(
    tmp_path: Path,
) -> None:
    member = Member(tmp_path, "latest", counts=1)
    with capture_logs() as logs:
        assert member.assigned(Brokers(0, 100)) == 0
    [told] = [one for one in logs if one["event"] == "kafka.partitions_added"]
    assert told["partitions_before"] == 1
    assert member.losses("partitions_added") == 1
    member.end()


def test_records_that_the_topic_no_longer_keeps_are_told_loudly(tmp_path: Path) -> None:
    first = Member(tmp_path, "earliest")
    first.assigned(Brokers())
    first.take(0, 40)
    first.end()
    member = Member(tmp_path)
    with capture_logs() as logs:
        assert member.assigned(Brokers(60, 100)) == 60
    [told] = [one for one in logs if one["event"] == "kafka.records_missing"]
    assert told["lost"] == 20
    assert member.losses("out_of_range") == 1
    member.end()


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    first = Member(tmp_path)
    first.assigned(Brokers(0, 500))
    first.end()
    member = Member(tmp_path)
    with pytest.raises(ForeignState, match="ends at 3, the state stands at 500"):
        member.assigned(Brokers(0, 3))
    member.engine.stop(5)


def test_an_offset_out_of_range_while_reading_makes_it_join_again(tmp_path: Path) -> None:
    member = Member(tmp_path)
    with capture_logs() as logs:
        member.membership.meet(Trouble("auto_offset_reset", PLACE, True, False))
    assert [one["event"] for one in logs] == ["kafka.offset_out_of_range"]
    assert member.rejoins == 1
    member.end()


def test_who_is_fenced_gives_the_partition_up_and_writes_nothing(tmp_path: Path) -> None:
    member = Member(tmp_path, "earliest")
    member.assigned(Brokers())
    other = FolderCheckpoints(tmp_path).open(name_of(PLACE), log_id="cluster/calls")
    member.take(0, 30)
    held = member.membership.held[PLACE]
    with pytest.raises(Fenced):
        held.checkpoint.commit(0, 1)
    for _ in range(100):
        if member.given_up:
            break
        member.engine._thread.join(0.05)
    assert member.given_up == ["Fenced"]
    assert member.engine.owners == ()
    assert other.committed_to() == 0
    member.end()


def test_a_partition_that_somebody_else_opens_meanwhile_is_left_to_the_group(
    tmp_path: Path,
) -> None:
    member = Member(tmp_path, "earliest")

    class Overtaken(Brokers):
        def bounds(self, place: Place) -> tuple[int, int]:
            FolderCheckpoints(tmp_path).open(name_of(place), log_id="cluster/calls")
            return super().bounds(place)

    group: Any = Overtaken()
    with capture_logs() as logs:
        assert member.membership.assigned(group, [PLACE]) == {}
    assert [one["event"] for one in logs] == ["partition.given_up"]
    assert (member.rejoins, member.membership.held) == (1, {})
    assert member.assigned(Brokers()) == 0, "joined again, and it is ours"
    member.end()


def test_what_another_process_has_kept_can_be_seen_and_says_of_when_it_is(tmp_path: Path) -> None:
    member = Member(tmp_path, "earliest")
    member.assigned(Brokers())
    member.take(0, 30)
    live = member.membership.held[PLACE].owner.parts.partition.baselines()
    member.end()
    elsewhere = Elsewhere(FolderCheckpoints(tmp_path), "cluster", member.membership.rules)
    nowhere, view = elsewhere.views([Place("calls", 0), PLACE])
    assert (nowhere.baselines, nowhere.incidents) == ([], [])
    assert len(view.baselines) == len(live) > 0
    assert {one.as_of for one in view.baselines} == {datetime(2023, 11, 14, 22, 13, 49, tzinfo=UTC)}
    assert {one.samples for one in view.baselines} == {30}


@pytest.mark.parametrize("key", [None, b"user-7"])
def test_a_producer_that_keys_wrongly_is_told_once(tmp_path: Path, key: bytes | None) -> None:
    member = Member(tmp_path, "earliest")
    member.assigned(Brokers())
    with capture_logs() as logs:
        member.take(0, 3, key)
        member.take(3, 3, key)
        member.end()
    told = [one for one in logs if one["event"] == "kafka.key_is_not_the_service"]
    assert [one["service"] for one in told] == ["svc"]
    assert "user-7" not in str(logs)


def test_a_service_on_two_partitions_is_told_once_and_counted() -> None:
    from sentinel.model.batch import Key
    from sentinel.service.placing import Placing

    vitals = Vitals()
    placing = Placing(vitals)
    key = Key("default", "default", "chat", "m")
    with capture_logs() as logs:
        placing.see(Place("calls", 0), [key])
        assert not placing.is_split(key)
        for _ in range(2):
            placing.see(Place("calls", 1), [key])
    assert placing.is_split(key)
    assert [one["event"] for one in logs] == ["kafka.service_split"]
    assert vitals.services_split._value.get() == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_record_that_stops_the_process_twice_is_passed_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First it is somewhere in a batch, then it is found, then it is found again, then passed."""
    judge = Partition.judge

    def stumble(self: Partition, batch: Batch) -> Judgement:
        if 17 in batch.offset.tolist():
            raise ZeroDivisionError("a broken invariant")
        return judge(self, batch)

    monkeypatch.setattr(Partition, "judge", stumble)
    stops = 0
    for _ in range(6):
        member = Member(tmp_path, "earliest")
        start = member.assigned(Brokers())
        member.take(start, 40 - start)
        if not member.failed:
            break
        stops += 1
    assert stops == 3
    [refused] = member.letters.refused
    assert (refused.offset, refused.rejection.code) == (17, "stops_us")
    member.end()
    assert stands(tmp_path) == 40
    fresh = Member(tmp_path, "earliest")
    assert fresh.assigned(Brokers()) == 40, "a snapshot lies behind it"
    fresh.end()


def test_a_state_that_is_out_of_reach_for_now_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first commit came through and its answer did not."""
    commit, lost = Checkpoint.commit, [True]

    def unanswered(self: Checkpoint, *rest: Any) -> None:
        commit(self, *rest)
        if lost:
            lost.clear()
            raise StateError("the answer was lost")

    monkeypatch.setattr(membership, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(Checkpoint, "commit", unanswered)
    member = Member(tmp_path, "latest")
    with capture_logs() as logs:
        assert member.assigned(Brokers(0, 100)) == 100
    assert [one["event"] for one in logs] == ["partition.not_opened", "partition.assigned"]
    member.end()
