"""A shared cache whose Redis is away is a miss, and nobody waits for it for long."""

import time
from pathlib import Path

from sentinel.connections.redis import RedisAddress, RedisConnection
from sentinel.stores.redis_cache import AWAY_SECONDS, RedisCache
from servers.redis import redis_server


def test_a_redis_that_is_away_is_a_miss_and_is_asked_again_later(tmp_path: Path) -> None:
    seconds = 0.0
    with redis_server(tmp_path) as server:
        connection = RedisConnection(RedisAddress.parse(server.url))
        cache = RedisCache(connection, prefix="p:", ttl_secs=300, now=lambda: seconds)
        cache.put(b"k", b"v")
        assert cache.get(b"k") == b"v"
        for harm, mend in ((server.freeze, server.thaw), (server.kill, server.start)):
            harm()
            began = time.monotonic()
            for _ in range(1000):
                assert cache.get(b"k") is None
                cache.put(b"k", b"v")
            assert time.monotonic() - began < 1.5, "one of them waits, the others do not"
            mend()
            assert cache.get(b"k") is None
            seconds += AWAY_SECONDS
            cache.put(b"k", b"v")
            assert cache.get(b"k") == b"v"
        cache.close()
