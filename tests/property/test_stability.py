"""The standard deviation keeps nine digits where the usual ways of sliding it lose all."""

from functools import cache

import numpy as np
import pytest

from oracle.adversarial import SIZE, USUAL, adversarial, worst_error
from oracle.baseline import Reals, baselines, tamed
from sentinel._core import reports
from sentinel._core.bank import Bank

STREAMS = adversarial(np.random.default_rng(20_240_502))
ALLOWED = 1e-9
LEAST = 10


@cache
def exact(name: str) -> Reals:
    """Return the oracle's standard deviation before each sample that is judged."""
    return baselines(tamed(STREAMS[name]), SIZE).stddev[LEAST:-1]


@cache
def usual_error(way: str, name: str) -> float:
    """Return the largest relative error of one of the usual ways."""
    found = np.array(list(USUAL[way](tamed(STREAMS[name]), SIZE)))
    return worst_error(found[LEAST:], exact(name))


def of_core(x: Reals) -> Reals:
    """Return the core's."""
    bank = Bank(voters=[15] * 8, window_size=SIZE, min_samples=LEAST)
    slot = np.full(len(x), bank.open(), np.int32)
    bank.judge(slot, x, np.arange(len(x), dtype=np.int64), True)
    return np.asarray(reports.verdicts(bank)["stddev"])


@pytest.mark.parametrize("name", STREAMS)
def test_the_standard_deviation_keeps_nine_digits(name: str) -> None:
    assert worst_error(of_core(STREAMS[name]), exact(name)) <= ALLOWED


@pytest.mark.parametrize("way", USUAL)
def test_the_usual_way_loses_them_on_most_of_these_streams(way: str) -> None:
    lost = [name for name in STREAMS if usual_error(way, name) > ALLOWED]
    assert len(lost) >= 8, lost


def test_no_stream_is_there_for_show() -> None:
    for name in STREAMS:
        assert max(usual_error(way, name) for way in USUAL) > ALLOWED, name
