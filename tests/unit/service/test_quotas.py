"""Token buckets: what a sender may send, and when again."""

import pytest

from sentinel.errors import OverQuota
from sentinel.service.quotas import Quotas
from sentinel.settings.keys import Quota


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def send(quotas: Quotas, sender: str, events: int, nbytes: int = 1) -> bool:
    try:
        quotas.admit(sender)
    except OverQuota:
        return False
    quotas.charge(sender, events=events, nbytes=nbytes)
    return True


def test_a_burst_may_come_at_once_and_the_mean_after_it(clock: Clock) -> None:
    quotas = Quotas(Quota(events_per_second=10, burst_secs=5), {}, clock)
    assert [send(quotas, "", 10) for _ in range(7)] == [True] * 5 + [False] * 2
    clock.now += 1
    assert [send(quotas, "", 10) for _ in range(2)] == [True, False]
    clock.now += 1000
    assert sum(send(quotas, "", 10) for _ in range(100)) == 5


def test_over_a_long_time_nobody_gets_more_than_the_mean(clock: Clock) -> None:
    quotas = Quotas(Quota(events_per_second=100, burst_secs=10), {}, clock)
    taken = 0
    for _ in range(3600):
        clock.now += 1
        taken += 700 * send(quotas, "", 700)
    assert 100 * 3600 - 1000 <= taken <= 100 * 3600 + 1000 + 700


def test_a_body_larger_than_the_burst_is_taken_once_and_waited_for(clock: Clock) -> None:
    quotas = Quotas(Quota(bytes_per_second=100, burst_secs=1), {}, clock)
    assert send(quotas, "", 1, nbytes=1000)
    with pytest.raises(OverQuota) as raised:
        quotas.admit("")
    assert raised.value.unit == "bytes"
    assert raised.value.wait == pytest.approx(9.01)
    clock.now += 9.1
    assert send(quotas, "", 1)


def test_each_key_has_a_bucket_of_its_own(clock: Clock) -> None:
    general = Quota(events_per_second=1, burst_secs=1)
    quotas = Quotas(general, {"big": Quota(events_per_second=1000)}, clock)
    assert send(quotas, "a", 1)
    assert not send(quotas, "a", 1)
    assert send(quotas, "b", 1)
    assert [send(quotas, "big", 1000) for _ in range(3)] == [True, True, True]


def test_without_a_quota_everything_is_let_in(clock: Clock) -> None:
    quotas = Quotas(None, {"slow": Quota(events_per_second=1, burst_secs=1)}, clock)
    assert all(send(quotas, "", 10**6, 10**9) for _ in range(3))
    assert [send(quotas, "slow", 1) for _ in range(2)] == [True, False]


def test_a_clock_that_stands_still_gives_nothing(clock: Clock) -> None:
    quotas = Quotas(Quota(events_per_second=1, burst_secs=1), {}, clock)
    assert send(quotas, "", 5)
    clock.now -= 50
    assert not send(quotas, "", 1)
