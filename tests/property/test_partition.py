"""What is decided in position order: time, repeats, the cap, idle series; and that cuts change
nothing."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oracle.telemetry import (
    CASES_AT_CAP,
    IDLE_NS,
    LATENESS_NS,
    STALE_NS,
    Events,
    assert_same,
    cuts_of,
    new_partition,
    play,
    random_events,
    scaled,
)  # fmt: skip
from sentinel._core.partition import (
    EVENT_LATE,
    EVENT_OVERFLOWED,
    EVENT_REPEATED,
    EVENT_STALE,
    EVENT_UNJUDGED,
)  # fmt: skip

METRICS = 8
KEY = ("default", "default", "chat", "gpt-4")


def simple(n: int, **changes: Any) -> Events:
    """n events of one series, a second apart, in their own offsets."""
    time = np.arange(1, n + 1, dtype=np.int64) * 1_000_000_000 + 10 * STALE_NS
    values = np.full((n, METRICS), np.nan)
    values[:, 0] = 100.0 + np.arange(n) % 7
    columns: dict[str, Any] = {
        "keys": [KEY], "key": np.zeros(n, np.int32), "time": time, "received": time.copy(),
        "values": values, "id_high": np.zeros(n, np.uint64),
        "id_low": np.arange(1, n + 1, dtype=np.uint64), "offset": np.arange(n, dtype=np.int64),
        "index": np.zeros(n, np.int32), "finish": np.zeros(n, np.uint8),
        "user": np.zeros(n, np.uint32), "session": np.zeros(n, np.uint32),
    }  # fmt: skip
    return Events(**{**columns, **changes})


def judged(events: Events, **rules: Any) -> tuple[Any, NDArray[np.int64], NDArray[np.uint8]]:
    partition = new_partition(**rules)
    clock, state = partition.judge(*events.columns(0, len(events)))
    return partition, clock, state


@pytest.mark.parametrize("seed", range(scaled(160)))
def test_a_stream_cut_anywhere_gives_the_same_verdicts_findings_and_state(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events, rules = random_events(rng, seed)
    n = len(events)
    whole = play(events, [0, n], rules)
    assert_same(play(events, list(range(n + 1)), rules), whole, f"seed {seed}, batches of 1")
    for _ in range(6):
        cuts = cuts_of(rng, n, int(rng.integers(2, 12)))
        assert_same(play(events, cuts, rules), whole, f"seed {seed}, cuts {cuts}")


def test_the_streams_hold_everything_that_may_depend_on_a_cut() -> None:
    counts: dict[str, int] = {}
    for seed in range(60):
        events, rules = random_events(np.random.default_rng(seed), seed)
        found = play(events, [0, len(events)], rules)
        state = np.array(found.state)
        for name, bit in (("late", EVENT_LATE), ("stale", EVENT_STALE), ("repeat", EVENT_REPEATED),
                          ("overflow", EVENT_OVERFLOWED)):  # fmt: skip
            counts[name] = counts.get(name, 0) + int(np.count_nonzero(state & bit))
        counts["fired"] = counts.get("fired", 0) + len(found.fired)
        gaps = np.diff(np.maximum.accumulate(np.minimum(events.time, events.received)))
        counts["idle"] = counts.get("idle", 0) + int(np.count_nonzero(gaps > IDLE_NS))
    assert all(count > 20 for count in counts.values()), counts


def test_t_is_the_largest_of_time_and_receipt_and_never_goes_back() -> None:
    for seed in range(scaled(20)):
        events, _ = random_events(np.random.default_rng(seed), seed)
        _, clock, _ = judged(events)
        want = np.maximum.accumulate(np.minimum(events.time, events.received))
        assert (clock == want).all()


def test_an_event_from_the_future_moves_t_no_further_than_its_receipt() -> None:
    events = simple(3)
    events.time[1] += 3600 * 1_000_000_000
    _, clock, state = judged(events)
    assert clock.tolist() == events.received.tolist()
    assert state.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("behind", "state"), [
    (0, 0), (LATENESS_NS, 0), (LATENESS_NS + 1, EVENT_LATE), (STALE_NS, EVENT_LATE),
    (STALE_NS + 1, EVENT_STALE),
])  # fmt: skip
def test_lateness_and_staleness_begin_just_beyond_their_limits(behind: int, state: int) -> None:
    events = simple(2)
    events.time[1] = events.time[0] - behind
    partition, _, found = judged(events)
    assert found.tolist() == [0, state]
    assert partition.samples_of(KEY, 0) == (1 if state == EVENT_STALE else 2)


def test_an_id_that_came_before_is_judged_once() -> None:
    events = simple(6)
    events.id_low[:] = [1, 2, 1, 3, 2, 1]
    partition, _, state = judged(events)
    assert (state == EVENT_REPEATED).tolist() == [False, False, True, False, True, True]
    assert partition.samples_of(KEY, 0) == 3


def test_a_repeat_within_one_message_is_told_by_its_index() -> None:
    events = simple(3)
    events.offset[:] = 5
    events.index[:] = [0, 1, 2]
    events.id_low[:] = [8, 9, 8]
    assert judged(events)[2].tolist() == [0, 0, EVENT_REPEATED]


def test_a_log_that_is_read_again_does_not_take_itself_for_a_repeat() -> None:
    events = simple(6)
    events.id_low[:] = [1, 2, 1, 3, 2, 1]
    once = new_partition()
    _, first = once.judge(*events.columns(0, 6))
    again = new_partition()
    again.recent.load(once.recent.save())
    again.clock = once.clock
    for start in range(6):
        _, state = again.judge(*events.columns(start, 6))
        assert state.tolist() == first[start:].tolist()


def test_beyond_the_cap_a_new_series_is_judged_as_other() -> None:
    keys = [("default", "default", f"service-{i}", "m") for i in range(5)]
    events = simple(5, keys=keys, key=np.arange(5, dtype=np.int32))
    partition, _, state = judged(events, max_series=3)
    assert state.tolist() == [0, 0, 0, EVENT_OVERFLOWED, EVENT_OVERFLOWED]
    assert partition.samples_of(keys[2], 0) == 1
    assert partition.roster.slot_of(keys[3], 0) is None
    assert partition.samples_of(("default", "default", "__other__", "__other__"), 0) == 2


def test_every_tenant_has_its_own_other() -> None:
    keys = [(tenant, "default", "s", "m") for tenant in ("a", "b", "c")]
    events = simple(3, keys=keys, key=np.arange(3, dtype=np.int32))
    partition, _, state = judged(events, max_series=1)
    assert state.tolist() == [0, EVENT_OVERFLOWED, EVENT_OVERFLOWED]
    for tenant in ("b", "c"):
        assert partition.samples_of((tenant, "default", "__other__", "__other__"), 0) == 1


def test_more_tenants_than_there_is_room_for_are_not_judged_and_say_so() -> None:
    keys = [(f"tenant-{i}", "default", "s", "m") for i in range(CASES_AT_CAP)]
    events = simple(CASES_AT_CAP, keys=keys, key=np.arange(CASES_AT_CAP, dtype=np.int32))
    _, _, state = judged(events, max_series=1)
    unjudged = np.flatnonzero(state & EVENT_UNJUDGED)
    assert len(unjudged)
    assert (state[unjudged] & EVENT_OVERFLOWED).all()


def test_a_series_beyond_the_cap_takes_the_place_of_one_that_went_idle() -> None:
    keys = [("default", "default", f"service-{i}", "m") for i in range(3)]
    for batches in ([0, 3], [0, 1, 2, 3]):
        events = simple(3, keys=keys, key=np.arange(3, dtype=np.int32))
        events.time[2] += 2 * IDLE_NS
        events.received[2] = events.time[2]
        found = play(events, batches, {"max_series": 2})
        assert found.state == [0, 0, 0]
        assert [key for key, metric in found.records if metric >= 0] == [keys[2]]


def test_what_fired_keeps_its_series_when_that_goes_idle_within_the_batch() -> None:
    keys = [("default", "default", f"service-{i}", "m") for i in range(2)]
    events = simple(42, keys=keys, key=np.array([0] * 21 + [1] * 21, np.int32))
    events.values[[20, 41], 0] = 9_000.0
    events.time[21:] += 2 * IDLE_NS
    events.received[:] = events.time
    whole = play(events, [0, 42], {"max_series": 1})
    assert {(vote[0], vote[1]) for vote in whole.fired} == {(20, keys[0]), (41, keys[1])}
    assert_same(play(events, list(range(43)), {"max_series": 1}), whole, "batches of 1")


def test_a_key_given_twice_in_a_batch_is_one_series_even_at_the_cap() -> None:
    events = simple(2, keys=[KEY, KEY], key=np.array([0, 1], np.int32))
    partition, _, state = judged(events, max_series=1)
    assert state.tolist() == [0, 0]
    assert partition.samples_of(KEY, 0) == 2


def test_a_series_that_is_there_can_be_adopted_at_the_cap() -> None:
    partition, _, _ = judged(simple(1), max_series=1)
    assert partition.roster.adopt(KEY, 0) == partition.roster.slot_of(KEY, 0)
    with pytest.raises(OverflowError):
        partition.roster.adopt(KEY, 1)


def test_columns_of_different_lengths_and_foreign_keys_are_refused() -> None:
    events = simple(3)
    partition = new_partition()
    columns = list(events.columns(0, 3))
    for place in range(1, len(columns)):
        wrong = [*columns]
        wrong[place] = wrong[place][:2]
        with pytest.raises(ValueError, match="columns of one length"):
            partition.judge(*wrong)
    for key in (-1, 1, 2**31 - 1):
        events.key[1] = key
        with pytest.raises(IndexError):
            partition.judge(*events.columns(0, 3))
    with pytest.raises(ValueError, match="8 metrics"):
        partition.judge(*[*columns[:4], np.zeros((3, 7)), *columns[5:]])
