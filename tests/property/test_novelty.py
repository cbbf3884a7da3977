"""Novelty against the oracle, cut anywhere, and carried on from its saved state anywhere."""

import numpy as np
import pytest

from oracle.baseline import Reals
from oracle.novelty import alarms, statistics
from oracle.streams import KINDS
from oracle.telemetry import scaled
from sentinel._core.novelty import BadRecord, Novelty

NEVER = 1e9
"""A threshold at which nothing alarms, so that scores are the statistic in its unit."""


def waves(rng: np.random.Generator, n: int) -> Reals:
    """A season, noise, a level that jumps and a stretch that repeats: all streams have to speak."""
    x = 10 * np.sin(np.arange(n) / rng.uniform(3, 200)) + rng.standard_normal(n)
    x[int(rng.integers(n)) :] += rng.choice([0.0, 5.0, 50.0, 1e6])
    x[rng.integers(0, n, 3)] *= 20
    return np.asarray(x)


STREAMS = (*KINDS, waves, waves)


@pytest.mark.parametrize("number", range(len(STREAMS)))
def test_the_core_says_what_the_oracle_says(number: int) -> None:
    rng = np.random.default_rng(number)
    # Beyond 700 the memory of the finest scale is full, beyond 1,536 that of the next.
    for n in (40, 900, scaled(3_000)):
        x = STREAMS[number](rng, n)
        found = Novelty().score(x, NEVER) * NEVER
        expected = statistics(x)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_episodes_and_habit_are_those_of_the_oracle() -> None:
    raised = 0
    for seed in range(scaled(60)):
        rng = np.random.default_rng(seed)
        x = STREAMS[seed % len(STREAMS)](rng, 3_000)
        found = Novelty().score(x, NEVER) * NEVER
        for threshold in (0.03, 0.1, 0.3, 0.85):
            scores = Novelty().score(x, threshold)
            np.testing.assert_allclose(scores, alarms(found, threshold), rtol=1e-9)
            raised += int((scores >= 1).sum())
    assert raised >= scaled(60), "they had something to say"


def test_a_stream_cut_and_saved_anywhere_is_judged_as_in_one_go() -> None:
    for seed in range(scaled(200)):
        rng = np.random.default_rng(seed)
        x = STREAMS[seed % len(STREAMS)](rng, int(rng.integers(1, 4_000)))
        whole = Novelty()
        expected = whole.score(x)
        parts, series = [], Novelty()
        for part in np.split(x, np.sort(rng.integers(0, len(x) + 1, int(rng.integers(0, 6))))):
            parts.append(series.score(part))
            if rng.random() < 0.7:
                series = Novelty.load(series.save())
        assert np.concatenate(parts).tobytes() == expected.tobytes()
        assert series.save() == whole.save()


def test_a_score_depends_on_nothing_that_comes_later() -> None:
    for seed in range(scaled(40)):
        rng = np.random.default_rng(seed)
        x = STREAMS[seed % len(STREAMS)](rng, 2_000)
        cut = int(rng.integers(1, len(x)))
        other = np.concatenate([x[:cut], 1e6 * rng.standard_normal(200)])
        assert Novelty().score(other)[:cut].tobytes() == Novelty().score(x)[:cut].tobytes()


def test_a_record_that_was_cut_or_changed_is_refused() -> None:
    rng = np.random.default_rng(1)
    series = Novelty()
    series.score(waves(rng, 1_000))
    record = series.save()
    for length in (0, 11, 12, 100, len(record) - 1):
        with pytest.raises(BadRecord):
            Novelty.load(record[:length])
    with pytest.raises(BadRecord):
        Novelty.load(record + b"\0\0\0\0")
    for at in rng.integers(0, len(record), scaled(400)).tolist():
        changed = bytearray(record)
        changed[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(BadRecord):
            Novelty.load(bytes(changed))
