"""State, position and outbox: what holds wherever they are kept."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.places import place_at
from sentinel.checkpoints.contract import Checkpoint, Checkpoints
from sentinel.checkpoints.rows import Attempt, OutboxRow, Seen, SeriesRecord
from sentinel.errors import Fenced, ForeignState, Gap


@pytest.fixture(params=["disk", "redis", "cluster"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Checkpoints]:
    where = str(tmp_path)
    if request.param != "disk":
        where = request.getfixturevalue(f"redis_{request.param.replace('redis', 'server')}").url
    with place_at(where, f"{secrets.token_hex(4)}:") as place:
        yield place


@pytest.fixture
def checkpoint(place: Checkpoints) -> Iterator[Checkpoint]:
    checkpoint = opened(place)
    yield checkpoint
    checkpoint.close()


def opened(place: Checkpoints, partition: str = "topic-0", log_id: str = "log") -> Checkpoint:
    return place.open(partition, log_id=log_id)


def alert(number: int, destination: str = "hook") -> OutboxRow:
    return OutboxRow(f"id-{number}", destination, b"body %d" % number)


def shared_of(checkpoint: Checkpoint) -> bytes | None:
    loaded = checkpoint.load()
    assert loaded is not None
    return loaded.shared


def test_nothing_is_there_before_the_first_commit(place: Checkpoints) -> None:
    checkpoint = opened(place)
    assert checkpoint.load() is None
    assert checkpoint.committed_to() == 0
    assert list(checkpoint.series()) == []
    assert checkpoint.outbox("hook", 9) == []
    assert checkpoint.attempted() is None
    assert place.look("topic-0") is None
    assert place.look("topic-1") is None


def test_what_was_kept_is_there_for_the_next_owner(place: Checkpoints) -> None:
    first = opened(place)
    first.commit(0, 10, [alert(1)])
    first.sweep([], shared=b"s1")
    first.commit(10, 25, [alert(2)])
    first.sweep([SeriesRecord(b"x\0y", 25, b"window")], shared=b"s2")
    first.close()
    second = opened(place)
    loaded = second.load()
    assert loaded is not None
    assert (loaded.next_offset, loaded.shared, loaded.epoch) == (25, b"s2", 2)
    assert list(second.series()) == [SeriesRecord(b"x\0y", 25, b"window")]
    assert second.outbox("hook", 9) == [alert(1), alert(2)]
    assert second.outbox_bytes == 12
    second.commit(25, 26)
    assert second.committed_to() == 26
    second.close()


def test_partitions_know_nothing_of_each_other(place: Checkpoints) -> None:
    first, second = opened(place, "a"), opened(place, "b", log_id="other")
    first.commit(0, 7, [alert(1)])
    first.sweep([SeriesRecord(b"x", 7, b"r")], shared=b"s")
    assert second.load() is None
    assert list(second.series()) == []
    assert second.outbox("hook", 9) == []
    second.commit(0, 3)
    assert (first.committed_to(), second.committed_to()) == (7, 3)


# The fence


def test_an_owner_whose_fence_was_raised_can_write_nothing(place: Checkpoints) -> None:
    zombie = opened(place)
    zombie.commit(0, 5, [alert(1)])
    owner = opened(place)
    owner.commit(5, 6)
    owner.sweep([], shared=b"new")
    with pytest.raises(Fenced, match="epoch is 2, ours 1"):
        zombie.commit(6, 7)
    with pytest.raises(Fenced):
        zombie.sweep([SeriesRecord(b"x", 1, b"zombie")], shared=b"zombie")
    with pytest.raises(Fenced):
        zombie.delivered(["id-1"], "hook")
    with pytest.raises(Fenced):
        zombie.attempt(6)
    assert shared_of(owner) == b"new"
    assert owner.committed_to() == 6
    assert list(owner.series()) == []
    assert owner.outbox("hook", 9) == [alert(1)]
    assert owner.attempted() is None


def test_state_of_another_log_is_refused_and_its_fence_is_not_raised(place: Checkpoints) -> None:
    owner = opened(place)
    with pytest.raises(ForeignState, match="log id is log, expected other"):
        opened(place, log_id="other")
    owner.commit(0, 1)
    assert owner.committed_to() == 1


def test_a_commit_that_does_not_start_where_the_last_one_ended_is_refused(
    checkpoint: Checkpoint,
) -> None:
    checkpoint.commit(100, 110)  # the first may start anywhere
    for base, next_offset in ((109, 120), (111, 120), (0, 5), (110, 109)):
        with pytest.raises(Gap, match="110"):
            checkpoint.commit(base, next_offset, [alert(1)])
    assert checkpoint.committed_to() == 110
    assert checkpoint.outbox("hook", 9) == []
    checkpoint.commit(110, 110, [alert(1)])  # no event, but something to tell
    assert checkpoint.outbox("hook", 9) == [alert(1)]


def test_positions_beyond_32_bits_are_kept_to_the_last_digit(checkpoint: Checkpoint) -> None:
    far = 2**53 - 1
    checkpoint.commit(0, far - 1)
    checkpoint.commit(far - 1, far)
    checkpoint.sweep([SeriesRecord(b"x", far, b"r")])
    assert checkpoint.committed_to() == far
    assert list(checkpoint.series()) == [SeriesRecord(b"x", far, b"r")]
    with pytest.raises(Gap):
        checkpoint.sweep([SeriesRecord(b"x", far + 1, b"r")])


# Shared state and series


def test_a_series_that_is_ahead_of_the_commit_is_refused(checkpoint: Checkpoint) -> None:
    """A crash would run again only what the series has not seen, and the alerts in between go."""
    with pytest.raises(Gap):
        checkpoint.sweep([SeriesRecord(b"y", 1, b"r")])
    checkpoint.commit(0, 10)
    with pytest.raises(Gap):
        checkpoint.sweep([SeriesRecord(b"x", 10, b"r"), SeriesRecord(b"y", 11, b"r")], shared=b"s")
    assert list(checkpoint.series()) == []
    assert shared_of(checkpoint) is None


def test_shared_state_stays_until_a_sweep_brings_another(checkpoint: Checkpoint) -> None:
    checkpoint.commit(0, 10)
    large = secrets.token_bytes(3 << 20)
    checkpoint.sweep([SeriesRecord(b"x", 10, b"r")], shared=large)
    checkpoint.commit(10, 30, [alert(1)])
    checkpoint.sweep([SeriesRecord(b"y", 30, b"r")])
    assert shared_of(checkpoint) == large
    checkpoint.sweep([], shared=b"")
    assert shared_of(checkpoint) == b""
    checkpoint.sweep([], shared=large[: (1 << 20) - 4])  # ends where a slice of bytes ends
    assert shared_of(checkpoint) == large[: (1 << 20) - 4]


def test_a_sweep_replaces_and_forgets(checkpoint: Checkpoint) -> None:
    checkpoint.commit(0, 50)
    names = [b"%04d" % number for number in range(1000)]
    checkpoint.sweep([SeriesRecord(name, 10 + at, b"r") for at, name in enumerate(names[:40])])
    checkpoint.sweep([SeriesRecord(name, 50, name * 1000) for name in names])
    last = [SeriesRecord(names[7], 49, b"older"), SeriesRecord(names[7], 50, b"")]
    checkpoint.sweep(last, gone=[names[0], b"never there"])
    found = list(checkpoint.series())
    assert [record.name for record in found] == names[1:]
    assert found[6] == SeriesRecord(names[7], 50, b"")
    assert found[7] == SeriesRecord(names[8], 50, names[8] * 1000)
    checkpoint.sweep([], gone=names)
    assert list(checkpoint.series()) == []
    checkpoint.sweep([SeriesRecord(names[0], 50, b"again")])
    assert [record.name for record in checkpoint.series()] == names[:1]


# Outbox


def test_the_outbox_is_kept_by_destination_in_order_until_it_is_delivered(
    checkpoint: Checkpoint,
) -> None:
    checkpoint.commit(0, 1, [alert(2), alert(1), alert(2, "mail")])
    checkpoint.commit(1, 2, [alert(2), alert(3)])  # the 2 that waits is not told twice
    assert checkpoint.outbox_bytes == 4 * 6
    assert [row.id for row in checkpoint.outbox("hook", 9)] == ["id-2", "id-1", "id-3"]
    assert checkpoint.outbox("hook", 1) == [alert(2)]
    checkpoint.delivered(["id-2", "id-3", "unknown"], "hook")
    checkpoint.delivered(["id-2"], "hook")
    assert checkpoint.outbox("hook", 9) == [alert(1)]
    assert checkpoint.outbox("mail", 9) == [alert(2, "mail")]
    assert checkpoint.outbox_bytes == 2 * 6


def test_many_rows_come_in_the_order_of_their_commits(checkpoint: Checkpoint) -> None:
    for base in range(5):
        rows = [alert(number) for number in range(base * 400, base * 400 + 400)]
        checkpoint.commit(base, base + 1, rows)
    told = []
    while rows := checkpoint.outbox("hook", 100):
        told += [row.id for row in rows]
        checkpoint.delivered([row.id for row in rows], "hook")
    assert told == [f"id-{number}" for number in range(2000)]
    assert checkpoint.outbox_bytes == 0


def test_rows_may_be_taken_by_who_does_not_own_the_state(place: Checkpoints) -> None:
    assert place.waiting("topic-0", "hook", 9) == []
    owner = opened(place)
    assert place.waiting("topic-0", "hook", 9) == []
    owner.commit(0, 1, [alert(1), alert(2), alert(3), alert(1, "mail")])
    assert place.waiting("topic-0", "hook", 2) == [alert(1), alert(2)]
    place.taken("topic-0", ["id-1", "id-2", "unknown"], "hook")
    place.taken("topic-0", ["id-1"], "hook")
    assert owner.outbox("hook", 9) == place.waiting("topic-0", "hook", 9) == [alert(3)]
    assert owner.outbox("mail", 9) == [alert(1, "mail")]
    owner.commit(1, 2, [alert(4)])
    assert owner.outbox("hook", 9) == [alert(3), alert(4)]
    owner.delivered(["id-3", "id-4"], "hook")
    owner.delivered(["id-1"], "mail")
    assert opened(place).outbox_bytes == 0


# Positions that stop the process


def test_attempts_at_a_position_are_counted_over_owners_until_a_commit_passes_it(
    place: Checkpoints,
) -> None:
    first = opened(place)
    first.commit(0, 10)
    assert first.attempt(10) == 1
    second = opened(place)
    assert second.attempted() == Attempt(10, 1)
    assert second.attempt(10) == 2
    second.commit(10, 10)  # passes nothing
    assert second.attempt(10) == 3
    assert second.attempt(12) == 1
    second.commit(10, 12)
    assert second.attempted() == Attempt(12, 1)
    second.commit(12, 13)
    assert second.attempted() is None
    assert second.attempt(13) == 1


# From outside


def test_another_sees_the_state_as_it_was_swept_and_leaves_the_fence(place: Checkpoints) -> None:
    owner = opened(place)
    owner.commit(0, 10, [alert(1)])
    assert place.look("topic-0") == Seen(next_offset=10, shared=None, series=[], epoch=1)
    records = [SeriesRecord(b"%03d" % number, 10, b"r" * number) for number in range(200)]
    owner.sweep(records, shared=b"s")
    owner.commit(10, 12)
    assert place.look("topic-0") == Seen(next_offset=12, shared=b"s", series=records, epoch=1)
    assert place.look("topic-0", series=False) == Seen(
        next_offset=12, shared=b"s", series=[], epoch=1
    )
    owner.commit(12, 13)


def test_whoever_looks_while_sweeps_go_on_sees_one_of_them_whole(place: Checkpoints) -> None:
    owner = opened(place)
    owner.commit(0, 1000)
    seen: list[Seen | None] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(place.look("topic-0"))

    onlooker = threading.Thread(target=look)
    onlooker.start()
    for at in range(1, 25):
        body = b"%d" % at
        owner.sweep([SeriesRecord(b"%03d" % n, at, body) for n in range(150)], shared=body)
        stop.wait(0.05)
    stop.set()
    onlooker.join()
    whole = [one for one in seen if one is not None and one.shared is not None]
    assert len({one.shared for one in whole}) > 3
    for one in whole:
        assert {record.record for record in one.series} == {one.shared}
        assert len(one.series) == 150


def test_threads_may_commit_sweep_and_deliver_at_once(checkpoint: Checkpoint) -> None:
    checkpoint.commit(0, 1)
    errors: list[BaseException] = []

    def run(work: str) -> None:
        for number in range(1, 60):
            if work == "commit":
                checkpoint.commit(number, number + 1, [alert(number)])
            elif work == "sweep":
                series = [SeriesRecord(b"%d" % number, 1, b"r" * 5000)]
                checkpoint.sweep(series, shared=b"%d" % number)
            elif work == "read":
                errors.extend(
                    AssertionError(record) for record in checkpoint.series() if record.offset != 1
                )
            else:
                checkpoint.delivered([row.id for row in checkpoint.outbox("hook", 5)], "hook")

    threads = [threading.Thread(target=run, args=(w,)) for w in ("commit", "sweep", "read", "send")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert checkpoint.committed_to() == 60
    assert len(list(checkpoint.series())) == 59
    checkpoint.delivered([row.id for row in checkpoint.outbox("hook", 99)], "hook")
    assert checkpoint.outbox_bytes == 0


def test_another_takes_rows_that_wait_and_leaves_the_fence(place: Checkpoints) -> None:
    assert place.waiting("topic-0", "grouping", 9) == []
    owner = opened(place)
    assert place.waiting("topic-0", "grouping", 9) == []
    rows = [alert(number, "grouping") for number in range(4)]
    owner.commit(0, 10, [rows[0], alert(0), *rows[1:]])
    assert place.waiting("topic-0", "grouping", 3) == rows[:3]
    place.taken("topic-0", [row.id for row in rows[:3]], "grouping")
    place.taken("topic-0", [rows[0].id, "unknown"], "grouping")
    assert place.waiting("topic-0", "grouping", 9) == owner.outbox("grouping", 9) == rows[3:]
    assert owner.outbox("hook", 9) == [alert(0)]
    owner.commit(10, 11, [alert(9, "grouping")])
    assert [row.id for row in place.waiting("topic-0", "grouping", 9)] == ["id-3", "id-9"]
