"""State in Redis against what happens to Redis: it is away, frozen, restarted, wiped, set back."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.places import place_at
from sentinel.checkpoints.contract import Checkpoint, Checkpoints
from sentinel.checkpoints.rows import OutboxRow, SeriesRecord
from sentinel.connections.redis import RedisConnection
from sentinel.errors import Fenced, Gap, SentinelError, StateError, TornState
from servers.proxy import proxy
from servers.redis import RedisPair, RedisServer, redis_server

STAND, STAGED, SERIES = "s:{p}:stand", "s:{p}:staged", "s:{p}:series"


@contextmanager
def opened(url: str) -> Iterator[tuple[Checkpoints, Checkpoint]]:
    with place_at(url, "s:") as place:
        yield place, place.open("p", log_id="log")


def row(number: int) -> OutboxRow:
    return OutboxRow(f"id-{number}", "hook", b"%d" % number)


def rows(first: int, beyond: int) -> list[OutboxRow]:
    return [row(number) for number in range(first, beyond)]


def for_now(error: pytest.ExceptionInfo[SentinelError]) -> bool:
    """Say whether the error is one that passes: the engine tries again after no other."""
    return type(error.value) is StateError


def refusal_of(write: Callable[[], None]) -> StateError | None:
    try:
        write()
    except StateError as error:
        return error
    return None


# Answers that are lost


def test_a_lost_answer_changes_nothing(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as server,
        proxy(server.port) as way,
        opened(f"redis://127.0.0.1:{way.port}") as (_, checkpoint),
    ):
        for number in range(6):
            way.cuts = 1 + number % 3
            checkpoint.commit(number, number + 1, [row(number)])
            way.cuts = 1 + number % 2
            checkpoint.sweep(
                [SeriesRecord(b"x", number, b"r"), SeriesRecord(b"%d" % number, 1, b"r")],
                shared=b"%d" % number * 600_000,
            )
            way.cuts = 1
            assert checkpoint.attempt(number + 1) == 1
            way.cuts = 0
        assert checkpoint.outbox("hook", 99) == rows(0, 6)
        way.cuts = 1
        checkpoint.delivered(["id-0", "id-1"], "hook")
        assert checkpoint.outbox("hook", 99) == rows(2, 6)
        assert checkpoint.outbox_bytes == sum(len(one.body) for one in rows(2, 6))
        assert len(list(checkpoint.series())) == 7
        assert checkpoint.load().shared == b"5" * 600_000  # type: ignore[union-attr]


def test_a_commit_that_was_done_and_never_answered_is_gone_on_from(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as server,
        proxy(server.port) as way,
        opened(f"redis://127.0.0.1:{way.port}") as (_, checkpoint),
    ):
        checkpoint.commit(0, 1, [row(0)])
        way.cuts = 1_000
        with pytest.raises(StateError) as away:
            checkpoint.commit(1, 2, [row(1)])
        assert for_now(away)
        assert server.ask("HGET", STAND, "next_offset") == "2", "it was done"
        way.cuts = 0
        checkpoint.delivered(["id-0", "id-1"], "hook")  # told before the owner knew
        # The owner tries again, with what came since.
        checkpoint.commit(1, 5, rows(1, 5))
        assert checkpoint.outbox("hook", 99) == rows(2, 5)
        checkpoint.commit(5, 6)
        assert checkpoint.committed_to() == 6


def test_a_frozen_redis_that_wakes_does_what_it_was_asked_once(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, opened(server.url) as (_, checkpoint):
        checkpoint.commit(0, 1, [row(0)])
        server.freeze()
        try:
            began = time.monotonic()
            with pytest.raises(StateError, match="no answer in time") as away:
                checkpoint.commit(1, 2, [row(1)])
            assert for_now(away)
            assert time.monotonic() - began < 5, "the engine judges nothing meanwhile"
            with pytest.raises(StateError):
                checkpoint.commit(1, 3, rows(1, 3))
        finally:
            server.thaw()
        checkpoint.commit(1, 4, rows(1, 4))
        assert checkpoint.outbox("hook", 99) == rows(0, 4)
        assert checkpoint.committed_to() == 4


def test_what_a_frozen_redis_does_late_is_refused(tmp_path: Path) -> None:
    """A request of before may be done after those that came later: it finds another position."""
    with redis_server(tmp_path) as server, opened(server.url) as (place, checkpoint):
        checkpoint.commit(0, 1)
        server.freeze()
        try:
            with pytest.raises(StateError):
                checkpoint.commit(1, 2, [row(1)])
        finally:
            server.thaw()
        owner = place.open("p", log_id="log")
        stands = owner.committed_to()
        assert stands in (1, 2)
        owner.commit(stands, 3)
        with pytest.raises(Fenced):
            checkpoint.commit(1, 2, [row(1)])
        assert owner.committed_to() == 3


# Redis ends and comes back


def test_a_redis_that_is_restarted_has_everything(tmp_path: Path) -> None:
    always = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_server(tmp_path, *always) as server, opened(server.url) as (_, checkpoint):
        for number in range(2):
            checkpoint.commit(number, number + 1, [row(number)])
            checkpoint.sweep([SeriesRecord(b"x", number, b"%d" % number)], shared=b"%d" % number)
            server.kill()
            with pytest.raises(StateError) as away:
                checkpoint.commit(number + 1, number + 2, [row(number + 1)])
            assert for_now(away)
            server.start()
        checkpoint.commit(2, 3)
        assert checkpoint.outbox("hook", 9) == rows(0, 2)
        assert list(checkpoint.series()) == [SeriesRecord(b"x", 1, b"1")]


def test_an_owner_whose_redis_was_emptied_ends_and_the_next_starts_cold(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, opened(server.url) as (place, checkpoint):
        checkpoint.commit(0, 5, [row(0)])
        server.ask("FLUSHALL")
        with pytest.raises(Gap, match="the state is gone"):
            checkpoint.commit(5, 6)
        with pytest.raises(Gap, match="the state is gone"):
            checkpoint.sweep([], shared=b"s")
        assert place.open("p", log_id="log").load() is None


def test_an_owner_is_fenced_also_by_one_of_its_own_epoch(tmp_path: Path) -> None:
    """A Redis that lost its last second gives an epoch twice; its state is as it was then."""
    with redis_server(tmp_path) as server, opened(server.url) as (place, first):
        first.commit(0, 5, [row(0)])
        first.sweep([SeriesRecord(b"x", 5, b"old")], shared=b"old")
        server.ask("SAVE")
        shutil.copy(tmp_path / "dump.rdb", tmp_path / "kept.rdb")
        second = place.open("p", log_id="log")
        second.commit(5, 9, [row(1)])
        second.sweep([SeriesRecord(b"x", 9, b"new")], shared=b"new")
        server.kill()
        shutil.copy(tmp_path / "kept.rdb", tmp_path / "dump.rdb")
        server.start()
        third = place.open("p", log_id="log")
        assert third.epoch == second.epoch == 2
        with pytest.raises(Fenced):
            second.commit(9, 10)
        loaded = third.load()
        assert loaded is not None
        assert (loaded.next_offset, loaded.shared) == (5, b"old")
        assert list(third.series()) == [SeriesRecord(b"x", 5, b"old")]
        assert third.outbox("hook", 9) == [row(0)]


def test_commits_go_on_after_a_fail_over(redis_pair: RedisPair) -> None:
    with opened(redis_pair.url) as (place, checkpoint):
        checkpoint.commit(0, 1, [row(0)])
        checkpoint.sweep([SeriesRecord(b"x", 1, b"r")], shared=b"s")
        primary = redis_pair.primary
        assert primary.ask("WAIT", 1, 5000) == "1"
        primary.kill()
        began = time.monotonic()
        while away := refusal_of(lambda: checkpoint.commit(1, 2, [row(1)])):
            assert type(away) is StateError
            assert time.monotonic() - began < 30
        assert redis_pair.primary is not primary
        assert checkpoint.outbox("hook", 9) == rows(0, 2)
        seen = place.look("p")
        assert seen is not None
        assert (seen.next_offset, seen.shared) == (2, b"s")


# A Redis that cannot be used


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_would_throw_state_away_is_refused(tmp_path: Path, policy: str) -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", policy)
    with redis_server(tmp_path, *options) as server, place_at(server.url) as place:
        with pytest.raises(StateError, match=f"maxmemory-policy is {policy}"):
            place.open("p", log_id="log")
        assert server.ask("DBSIZE") == "0"


def test_a_full_redis_refuses_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, opened(server.url) as (_, checkpoint):
        checkpoint.commit(0, 1, [row(0)])
        series = [SeriesRecord(b"%d" % number, 1, bytes(10_000)) for number in range(100)]
        checkpoint.sweep(series, shared=b"before")
        server.ask("SET", "ballast", bytes(5_000_000))
        server.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StateError, match=r"OOM|maxmemory") as full:
            checkpoint.commit(1, 2, [row(1)])
        assert for_now(full)
        with pytest.raises(StateError, match=r"OOM|maxmemory") as full:
            checkpoint.sweep(series[:50], shared=b"after")
        assert for_now(full)
        checkpoint.delivered(["id-0"], "hook")  # frees memory, so it is not refused
        server.ask("CONFIG", "SET", "maxmemory", "0")
        checkpoint.commit(1, 2, rows(1, 2))
        checkpoint.sweep(series[:50], shared=b"after")
        assert checkpoint.outbox("hook", 9) == [row(1)]
        assert checkpoint.load().shared == b"after"  # type: ignore[union-attr]


def test_a_wrong_password_and_a_missing_one_are_told(tmp_path: Path) -> None:
    from sentinel.checkpoints.redis_place import RedisCheckpoints
    from sentinel.connections.redis import RedisAddress

    with redis_server(tmp_path, "--requirepass", "right") as server:
        for password, ok in (("right", True), ("wrong", False), (None, False)):
            connection = RedisConnection(RedisAddress.parse(server.url), password=password)
            place = RedisCheckpoints(connection, prefix="s:")
            if ok:
                place.open("p", log_id="log").commit(0, 1)
            else:
                with pytest.raises(StateError, match=r"(?i)auth|password"):
                    place.open("p", log_id="log")
            place.close()


# Damage


def test_a_changed_blob_is_not_handed_out(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, opened(server.url) as (place, checkpoint):
        checkpoint.commit(0, 1, [row(1)])
        checkpoint.sweep([SeriesRecord(n, 1, n * 9) for n in (b"x", b"y", b"z")], shared=b"s")
        assert len(list(checkpoint.series())) == 3  # the sweep has moved all of them
        server.ask("HSET", SERIES, "y", "too short")
        torn: list[bytes] = []
        assert [record.name for record in checkpoint.series(torn.append)] == [b"x", b"z"]
        assert torn == [b"y"]
        with pytest.raises(TornState, match="series b'y'"):
            list(checkpoint.series())
        seen = place.look("p")
        assert seen is not None
        assert [record.name for record in seen.series] == [b"x", b"z"]
        server.ask("SETRANGE", "s:{p}:shared", 4, "S")
        with pytest.raises(TornState, match="shared state"):
            checkpoint.load()
        server.ask("HSET", "s:{p}:bodies:hook", "id-1", "1234changed")
        with pytest.raises(TornState, match="outbox row id-1"):
            checkpoint.outbox("hook", 9)


def test_slices_that_a_fail_over_lost_are_staged_again(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, place_at(server.url, "s:") as place:
        losses = [("HDEL", STAGED, "a"), ("DEL", STAGED), ("DEL", "s:{p}:staged-shared")]

        def crash_point(name: str) -> None:
            if name == "switch" and losses:
                server.ask(*losses.pop())

        checkpoint = place.open("p", log_id="log", crash_point=crash_point)
        checkpoint.commit(0, 1)
        with pytest.raises(StateError, match="again and again") as lost:
            checkpoint.sweep([SeriesRecord(b"a", 1, b"r")], shared=b"s")
        assert for_now(lost)
        assert list(checkpoint.series()) == []
        checkpoint.sweep([SeriesRecord(b"a", 1, b"r")], shared=b"s")
        assert list(checkpoint.series()) == [SeriesRecord(b"a", 1, b"r")]


def test_what_was_switched_and_not_moved_is_moved_by_the_next_owner(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, place_at(server.url, "s:") as place:
        armed = [False]

        def crash_point(name: str) -> None:
            if name == "apply" and armed[0]:
                raise OSError("gone")

        first = place.open("p", log_id="log", crash_point=crash_point)
        first.commit(0, 1)
        first.sweep([SeriesRecord(b"%03d" % n, 1, b"old" * 99) for n in range(300)], shared=b"old")
        first.close()  # waits until all of it is moved
        armed[0] = True
        new = [SeriesRecord(b"%03d" % n, 1, b"new" * 99) for n in range(1, 400)]
        first.sweep(new, [b"000"], shared=b"new")
        first.close()
        assert server.ask("HGET", STAND, "pending") != ""
        seen = place.look("p")
        assert seen is not None
        assert (seen.series, seen.shared) == (new, b"new")
        assert list(place.open("p", log_id="log").series()) == new
        assert server.ask("HGET", STAND, "pending") == ""
        assert server.ask("EXISTS", STAGED) == "0"


def test_a_key_in_the_way_is_told(redis_server: RedisServer) -> None:
    redis_server.ask("SET", "odd:{p}:stand", "not a hash")
    with place_at(redis_server.url, "odd:") as place, pytest.raises(StateError, match="WrongType"):
        place.open("p", log_id="log")
