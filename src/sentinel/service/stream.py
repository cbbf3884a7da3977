"""Live readers: incidents and anomalies as they happen, each reader with its own bound."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
from msgspec import Struct

from sentinel.service.work import Told
from sentinel.vitals.inventory import Vitals

ANOMALIES_A_SECOND = 50
QUEUE = 1_000
_encode = msgspec.json.Encoder().encode


class _Reader(Struct):
    queue: "asyncio.Queue[tuple[str, bytes]]"
    service: str | None
    second: float = 0.0
    sent: int = 0
    dropped: int = 0


class Hub:
    """Passes what the engine tells to every live reader."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._loop = asyncio.get_running_loop()
        self._readers: list[_Reader] = []

    def publish(self, told: Told) -> None:
        """Take what a round told; from the engine's thread."""
        if self._readers:
            self._loop.call_soon_threadsafe(self._distribute, told)

    async def follow(self, service: str | None) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (event name, JSON) until the reader goes."""
        reader = _Reader(asyncio.Queue(QUEUE), service)
        self._readers.append(reader)
        self._vitals.stream_clients.inc()
        try:
            while True:
                yield await reader.queue.get()
        finally:
            self._readers.remove(reader)
            self._vitals.stream_clients.dec()

    def _distribute(self, told: Told) -> None:
        for reader in self._readers:
            for event in told.incident_events:
                if reader.service in (None, event.incident.service):
                    self._offer(reader, f"incident.{event.kind}", _encode(event.incident))
            for anomaly in told.anomalies:
                if reader.service in (None, anomaly.service) and self._may_send(reader):
                    self._offer(reader, "anomaly", _encode(anomaly))

    def _may_send(self, reader: _Reader) -> bool:
        """Say whether a reader may have one anomaly more in this second."""
        now = time.monotonic()
        if now - reader.second >= 1.0:
            if reader.dropped:
                self._offer(reader, "dropped", _encode({"dropped": reader.dropped}))
            reader.second, reader.sent, reader.dropped = now, 0, 0
        if reader.sent >= ANOMALIES_A_SECOND:
            self._drop(reader)
            return False
        reader.sent += 1
        return True

    def _offer(self, reader: _Reader, name: str, data: bytes) -> None:
        try:
            reader.queue.put_nowait((name, data))
        except asyncio.QueueFull:
            self._drop(reader)

    def _drop(self, reader: _Reader) -> None:
        reader.dropped += 1
        self._vitals.stream_dropped.inc()
