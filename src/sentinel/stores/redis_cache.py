"""Values that replicas share for a while.  A Redis that is away is a value that is not there."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sentinel.connections.redis import RedisConnection
from sentinel.errors import StateError
from sentinel.vitals.logs import log

ANSWER_SECONDS: Final = 0.25
"""A question to the store takes 4 to 80 ms: waiting longer for Redis is no gain."""
AWAY_SECONDS: Final = 5.0
"""After a failure nobody waits for Redis again for so long."""
VALUE_BYTES_MAX: Final = 256 << 10
WINDOW_BYTES_MAX: Final = 64 << 20
"""Put there in one lifetime of a key, so all that one process keeps there: the memory is that of
others' state, too."""


class RedisCache:
    """Keeps values in Redis under keys that expire; safe from any thread, and never raises."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        prefix: str,
        ttl_secs: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection, self._prefix, self._ttl_secs = connection, prefix, ttl_secs
        self._now = now
        self._lock = threading.Lock()
        self._away_until = self._window_began = float("-inf")
        self._window_bytes = 0

    def get(self, key: bytes) -> bytes | None:
        """Return a value; None where there is none, or Redis is away."""
        name = self._name(key)

        async def work(client: Any) -> bytes | None:
            found: bytes | None = await client.get(name)
            return found

        found: bytes | None = self._ask(work)
        return found

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value until its time is over, if there is room and Redis is there."""
        name, ttl_secs = self._name(key), self._ttl_secs
        if len(value) > VALUE_BYTES_MAX or not self._has_room(len(value)):
            return

        async def work(client: Any) -> None:
            await client.set(name, value, ex=ttl_secs)

        self._ask(work)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _name(self, key: bytes) -> str:
        return f"{self._prefix}cache:{key.hex()}"

    def _has_room(self, nbytes: int) -> bool:
        with self._lock:
            now = self._now()
            if now - self._window_began >= self._ttl_secs:
                self._window_began, self._window_bytes = now, 0
            self._window_bytes += nbytes
            return self._window_bytes <= WINDOW_BYTES_MAX

    def _ask(self, work: Callable[[Any], Any]) -> Any:
        if self._now() < self._away_until:
            return None
        try:
            return self._connection.ask(work, seconds=ANSWER_SECONDS)
        except StateError as error:
            self._away_until = self._now() + AWAY_SECONDS
            log.warning("cache.away", error=str(error), again_in_secs=AWAY_SECONDS)
            return None
