"""What is kept in memory for a while: by life, by reading, by number and by bytes."""

import pytest

from sentinel.stores.memory_cache import MemoryCache


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def cache_of(clock: Clock, capacity: int = 3, bytes_max: int = 1000) -> MemoryCache:
    return MemoryCache(capacity=capacity, tti_secs=60, bytes_max=bytes_max, now=clock)


def test_a_value_dies_when_its_life_is_over_however_often_it_is_read(clock: Clock) -> None:
    cache = cache_of(clock)
    cache.put(b"k", b"v", ttl_secs=100)
    for _ in range(3):
        clock.time += 33
        assert cache.get(b"k") == b"v"
    clock.time += 1
    assert cache.get(b"k") is None
    assert len(cache) == 0


def test_a_value_that_nobody_reads_dies_before(clock: Clock) -> None:
    cache = cache_of(clock)
    cache.put(b"k", b"v", ttl_secs=300)
    clock.time += 59
    assert cache.get(b"k") == b"v"
    clock.time += 60
    assert len(cache) == 0
    assert cache.get(b"k") is None


def test_what_was_not_read_for_longest_makes_room(clock: Clock) -> None:
    cache = cache_of(clock)
    for name in (b"a", b"b", b"c"):
        cache.put(name, b"v", ttl_secs=300)
    assert cache.get(b"a") == b"v"
    cache.put(b"d", b"v", ttl_secs=300)
    assert [cache.get(name) for name in (b"a", b"b", b"c", b"d")] == [b"v", None, b"v", b"v"]
    assert len(cache) == 3


def test_bytes_are_bounded_too(clock: Clock) -> None:
    cache = cache_of(clock, capacity=100)
    cache.put(b"a", bytes(600), ttl_secs=300)
    cache.put(b"b", bytes(300), ttl_secs=300)
    cache.put(b"a", bytes(200), ttl_secs=300)  # in the place of the 600
    cache.put(b"c", bytes(500), ttl_secs=300)
    assert len(cache) == 3
    cache.put(b"d", bytes(1), ttl_secs=300)
    assert cache.get(b"b") is None
    cache.put(b"e", bytes(1001), ttl_secs=300)
    assert cache.get(b"e") is None
    assert cache.get(b"c") == bytes(500)
