"""However a stream is cut, and wherever it is saved and taken up again: the same evidence."""

from collections import Counter

import numpy as np
import pytest

from oracle.subject_record import taken_apart
from oracle.telemetry import (
    IDLE_NS,
    SCALE,
    SECOND_NS,
    Events,
    assert_same,
    at_random,
    busy_events,
    cuts_of,
    new_partition,
    play,
    scaled,
)  # fmt: skip
from sentinel._core import evidence_records
from sentinel._core.evidence import Evidence
from sentinel.detectors.channels import CHANNELS, LEVEL_TESTS, LEVELS, RATE_TESTS

OPENED, CLOSED, ACCEPTED, ALONE = 1, 2, 3, 4
SINGLE = LEVEL_TESTS.index("single")
RATE = CHANNELS.index("rate")


def random_ticks(rng: np.random.Generator, events: Events) -> dict[int, int]:
    """Return before which events a tick comes, and to which T it brings the stream."""
    clock = np.maximum.accumulate(np.minimum(events.time, events.received))
    found = {}
    for place in rng.integers(1, len(events), int(rng.integers(0, 6))).tolist():
        after = int(rng.choice([0, 5 * SECOND_NS, 700 * SECOND_NS]))
        found[place] = min(int(clock[place - 1]) + after, int(clock[place]))
    return found


@pytest.mark.parametrize("seed", range(scaled(60)))
def test_a_stream_cut_ticked_and_taken_up_anywhere_gives_the_same_evidence(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events, rules = busy_events(rng, seed)
    n = len(events)
    ticks = random_ticks(rng, events)
    fewest = [0, *sorted(ticks), n]
    whole = play(events, fewest, rules, ticks=ticks)
    if seed % 4 == 0:
        ones = play(events, list(range(n + 1)), rules, ticks=ticks)
        assert_same(ones, whole, f"seed {seed}, batches of 1")
    for turn in range(3):
        cuts = sorted({*fewest, *cuts_of(rng, n, int(rng.integers(2, 60)))})
        restarts = set(rng.choice(cuts, min(len(cuts), 8)).tolist()) if turn else set()
        got = play(events, cuts, rules, ticks=ticks, restarts=restarts)
        assert_same(got, whole, f"seed {seed}, cuts {cuts}, restarts {sorted(restarts)}")


def test_on_these_streams_every_test_opens_and_every_channel_closes_and_accepts() -> None:
    found: Counter[tuple[int, int, int]] = Counter()
    borrowed = set()
    for seed in range(scaled(60)):
        events, rules = busy_events(np.random.default_rng(seed), seed)
        outcome = play(events, [0, len(events)], rules)
        found.update((channel, test, kind) for _, channel, test, kind, _ in outcome.findings)
        assert outcome.hits
        borrowed |= {whose for *_, told in outcome.findings for whose in (1, 2)
                     if f"('borrowed', {whose})" in told}  # fmt: skip
    if SCALE < 0.5:
        return
    for channel, level in enumerate(LEVELS):
        opens = [level.up, level.down, level.up, level.singles]
        for test in np.flatnonzero(opens).tolist():
            assert found[channel, test, ALONE if test == SINGLE else OPENED], (channel, test)
    for channel in range(len(LEVELS), RATE):
        assert found[channel, 0, OPENED], channel
        assert found[channel, 0, CLOSED], channel
    for test in range(3):
        assert found[RATE, test, OPENED], test
        assert found[RATE, test, CLOSED], test
    accepted = {channel for channel, _, kind in found if kind == ACCEPTED}
    assert {0, 3, 4, RATE} <= accepted, accepted
    assert borrowed == {1, 2}


def one_call(evidence: Evidence, key: tuple[str, str, str, str], second: int) -> None:
    """Judge one call at a second."""
    values = np.full((1, 8), np.nan)
    values[:, 0] = 100.0
    time = np.full(1, second * SECOND_NS)
    nobody = np.zeros(1, np.uint32)
    evidence.judge([key], np.zeros(1, np.int32), values, time, time, np.full(1, 2, np.uint8),
                   nobody, nobody)  # fmt: skip


def test_a_service_stays_while_a_subject_of_it_that_was_read_back_has_not_spoken() -> None:
    """Its number would go to another service, and the subject would speak for that."""
    quiet, loud = ("t", "e", "chat", "quiet"), ("t", "e", "chat", "loud")
    teacher = new_partition()
    one_call(teacher.evidence, quiet, 1_000)
    record = evidence_records.save(teacher.evidence, quiet, 0)
    partition = new_partition()
    evidence_records.load(partition.evidence, record, True)
    start, idle = 2_000_000, IDLE_NS // SECOND_NS
    for step, key in enumerate((loud, ("t", "e", "other", "m"), ("t", "e", "third", "m"))):
        events = one_event(key, start + step * 3 * idle, step)
        partition.judge(*events.columns(0, 1))
    third = ("t", "e", "third", None)
    before = evidence_records.save(partition.evidence, third, 0)
    events = one_event(quiet, start + 6 * idle + 1, 9)
    partition.judge(*events.columns(0, 1))
    assert evidence_records.save(partition.evidence, third, 0) == before
    whole = evidence_records.save(partition.evidence, ("t", "e", "chat", None), 0)
    assert taken_apart(whole)["counts"]["calls"] == 1


def one_event(key: tuple[str, str, str, str], second: int, number: int) -> Events:
    """Return one event of a key at a second."""
    rng = np.random.default_rng(0)
    values = np.full((1, 8), 100.0)
    events = at_random(rng, [key], np.zeros(1, np.int32), np.ones(1, np.int64), values)
    events.time[:] = events.received[:] = second * SECOND_NS
    events.id_low[:] = events.offset[:] = number
    return events


def test_a_silence_that_was_accepted_is_passed_the_same_however_it_is_cut() -> None:
    """One subject speaks every second, then only the other does, for less than the idle time."""
    rng = np.random.default_rng(3)
    keys = [("t", "e", "chat", "m"), ("t", "e", "other", "m")]
    key = np.repeat(np.array([0, 1], np.int32), [1500, 400])
    steps = np.repeat(np.array([1, 7], np.int64), [1500, 400]) * SECOND_NS
    events = at_random(rng, keys, key, steps, np.full((1900, 8), 100.0))
    events.time[:] = events.received
    events.id_low[:] = np.arange(1900)
    whole = play(events, [0, 1900], {})
    told = [found[1:4] for found in whole.findings if found[1] == RATE]
    # As a drop: that had its evidence first.
    assert (RATE, RATE_TESTS.index("drop"), ACCEPTED) in told
    for stop in (1893, 1896, 1899, 1900):
        whole = play(events, [0, stop], {})
        assert_same(play(events, list(range(stop + 1)), {}), whole, f"batches of 1 to {stop}")
