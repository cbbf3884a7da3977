"""The topic as the log: what is accepted by HTTP, ticks and controls are written as messages.

A replica that takes events is not the owner of their series: it writes them under their service's
key, and whoever owns that partition judges them.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from sentinel.connections.kafka import Headers, Place, Sender
from sentinel.errors import BrokerError
from sentinel.model.batch import Batch
from sentinel.model.control import Control
from sentinel.service.topic_reader import (
    CONTROL_KIND,
    EVENTS_KIND,
    ID_HEADER,
    KIND_HEADER,
    MS,
    TENANT_HEADER,
    TICK_KIND,
)
from sentinel.sources.segments import EVENTS

CRASH_POINTS: Final = ("send", "sent", "tick")
"""Before accepted events are sent; when the brokers have them, before the answer; before a tick."""
MESSAGE_BYTES: Final = 512 * 1024
"""Of lines in one message: brokers refuse more than 1 MB unless told otherwise."""

Settle = Callable[[Any, Exception | None], None]


class TopicLog:
    """Writes to the first topic; `settle` is told, on the sender's thread, what became of a token.

    Parameters
    ----------
    places
        Returns every partition of every topic.
    """

    def __init__(
        self,
        sender: Sender,
        topic: str,
        *,
        places: Callable[[], list[Place]],
        settle: Settle,
        crash_point: Callable[[str], None],
    ) -> None:
        self._sender, self._topic, self._places = sender, topic, places
        self._settle, self._crash_point = settle, crash_point

    def append(
        self, kind: int, payload: bytes, *, received_at: int, tenant: str = "default", token: Any
    ) -> None:
        """Write the accepted events of one body, as messages by service.

        Raises
        ------
        JournalFull, BrokerError
            Nothing more can be sent for now; some of it may have been.
        """
        if kind != EVENTS:
            raise ValueError(f"a record of kind {kind}: ticks and controls have their own ways")
        headers: Headers = [(KIND_HEADER, EVENTS_KIND)]
        if tenant != "default":
            headers.append((TENANT_HEADER, tenant.encode()))
        messages = list(_by_service(token.batch, payload, tenant))
        done = _Countdown(len(messages), lambda error: self._answer(token, error))
        self._crash_point("send")
        for key, value in messages:
            self._sender.send(
                self._topic,
                value,
                key=key,
                headers=headers,
                time_ms=received_at // MS,
                done=done,
            )

    def _answer(self, token: Any, error: Exception | None) -> None:
        self._crash_point("sent")
        self._settle(token, error)

    def tick(self, place: Place, now_ns: int) -> None:
        """Let time pass in a partition.

        Raises
        ------
        JournalFull, BrokerError
            It cannot be sent for now.
        """
        self._crash_point("tick")
        self._sender.send(
            place.topic,
            None,
            partition=place.partition,
            headers=[(KIND_HEADER, TICK_KIND)],
            time_ms=now_ns // MS,
            done=lambda _: None,
        )

    def control(
        self,
        control: Control,
        now_ns: int,
        *,
        id: str,  # noqa: A002
        done: Callable[[Exception | None], None],
        places: list[Place] | None = None,
    ) -> None:
        """Write a control to every partition, or to some: what does not concern one, it ignores.

        A service whose messages are keyed wrongly lies on several, so all are asked.

        Raises
        ------
        JournalFull, BrokerError
            It cannot be written for now.
        """
        chosen = self._places() if places is None else places
        if not chosen:
            raise BrokerError("kafka: the topics have no partitions", "make them first")
        left = _Countdown(len(chosen), done)
        for place in chosen:
            self._sender.send(
                place.topic,
                msgspec.json.encode(control),
                partition=place.partition,
                headers=[(KIND_HEADER, CONTROL_KIND), (ID_HEADER, id.encode())],
                time_ms=now_ns // MS,
                done=left,
            )


class _Countdown:
    """Says once that all are done, with the first error there was."""

    def __init__(self, count: int, done: Callable[[Exception | None], None]) -> None:
        self._left, self._done = count, done
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def __call__(self, error: Exception | None) -> None:
        with self._lock:
            self._left -= 1
            self._error = self._error or error
            last = self._left == 0
        if last:
            self._done(self._error)


def _by_service(batch: Batch, payload: bytes, tenant: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and lines of one service each, in the order in which services appear."""
    prefix = b"" if tenant == "default" else tenant.encode() + b"/"
    services = [key.service for key in batch.keys]
    if len(set(services)) == 1 and len(payload) <= MESSAGE_BYTES:
        yield prefix + services[0].encode(), payload
        return
    lines: dict[str, list[bytes]] = {}
    for code, line in zip(batch.key.tolist(), payload.splitlines(keepends=True), strict=True):
        lines.setdefault(services[code], []).append(line)
    for service, of_service in lines.items():
        part: list[bytes] = []
        nbytes = 0
        for line in of_service:
            if part and nbytes + len(line) > MESSAGE_BYTES:
                yield prefix + service.encode(), b"".join(part)
                part, nbytes = [], 0
            part.append(line)
            nbytes += len(line)
        yield prefix + service.encode(), b"".join(part)
