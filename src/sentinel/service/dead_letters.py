"""What is not judged goes to the dead-letter topic: where it was, how long, its hash, and why.

The text itself never goes there.  A position is committed only after the brokers have every letter
below it: nothing is dropped without a trace.
"""

import threading
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from sentinel.connections.kafka import Place, Sender
from sentinel.errors import BrokerError, JournalFull
from sentinel.service.topic_reader import Refused
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

CRASH_POINTS: Final = ("dead_letter",)
"""Before a letter is sent."""
SUFFIX: Final = ".dlq"
UNCONFIRMED_MAX: Final = 10_000
"""Letters that wait for the brokers, before fetching pauses."""


class Letter(Struct, frozen=True, kw_only=True):
    """What is said of one refusal, as JSON."""

    topic: str
    partition: int
    offset: int
    size: int
    """Bytes of the message."""
    hash: str
    """BLAKE2b-128 of the message, to find it again."""
    code: str
    path: str
    reason: str


class DeadLetters:
    """The letters of one partition."""

    def __init__(
        self,
        sender: Sender,
        place: Place,
        vitals: Vitals,
        *,
        crash_point: Callable[[str], None],
    ) -> None:
        self._sender, self._place, self._vitals = sender, place, vitals
        self._topic = place.topic + SUFFIX
        self._crash_point = crash_point
        self._lock = threading.Lock()
        self._failed: list[tuple[bytes | None, Letter]] = []
        self._unconfirmed = 0
        self._is_told = False

    def write(self, refused: list[Refused]) -> None:
        """Send a letter for each."""
        for one in refused:
            letter = Letter(
                topic=self._place.topic,
                partition=self._place.partition,
                offset=one.offset,
                size=len(one.value),
                hash=blake2b(one.value, digest_size=16).hexdigest(),
                code=one.rejection.code,
                path=one.rejection.path,
                reason=one.rejection.reason,
            )
            self._vitals.kafka_dead_letters.labels(letter.code).inc()
            with self._lock:
                self._unconfirmed += 1
            self._send(one.key, letter)

    def are_safe(self) -> bool:
        """Say whether the brokers have all of them; those that failed are sent again."""
        with self._lock:
            again, self._failed = self._failed, []
        for key, letter in again:
            self._send(key, letter)
        return self._unconfirmed == 0

    @property
    def are_many(self) -> bool:
        """Whether so many wait that no more should come."""
        return self._unconfirmed >= UNCONFIRMED_MAX

    def _send(self, key: bytes | None, letter: Letter) -> None:
        def done(error: BrokerError | None) -> None:
            with self._lock:
                if error is None:
                    self._unconfirmed -= 1
                    self._is_told = False
                else:
                    self._failed.append((key, letter))
            if error is not None and not self._is_told:
                self._is_told = True
                log.error("dead_letters.not_sent", topic=self._topic, error=str(error))

        self._crash_point("dead_letter")
        try:
            self._sender.send(
                self._topic,
                msgspec.json.encode(letter),
                # The key is a name of theirs, and may be anything: so long as a name may be.
                key=key if key is None or len(key) <= 512 else None,
                headers=[("reason", letter.code.encode())],
                done=done,
            )
        except (BrokerError, JournalFull) as error:
            done(BrokerError(str(error)))
