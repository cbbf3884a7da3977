"""Kafka, by librdkafka: a member of a consumer group, and a sender.

The only file of the service that imports confluent_kafka, and only once something is opened.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from msgspec import Struct

from sentinel.errors import BrokerError, JournalFull, SettingsError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, TopicPartition

Client = dict[str, Any]
"""Settings in librdkafka's words."""
Headers = list[tuple[str, str | bytes | None]]

ANSWER_SECONDS: Final = 10.0
"""How long a question to the brokers may take."""
LEADER_SECONDS: Final = 60.0
"""How long a partition may have no leader, when it is taken: the group is kept meanwhile."""
RETRY_SECONDS: Final = 0.2
_LOG: Final = logging.getLogger("sentinel.kafka")
"""What librdkafka says on its own goes nowhere: what matters comes as an error."""
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Chunk(Struct, frozen=True):
    """Messages of one partition that follow each other, as columns."""

    place: Place
    offsets: list[int]
    times_ms: list[int]
    """As the broker keeps them, milliseconds since 1970 UTC."""
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers | None]
    nbytes: int

    @property
    def size(self) -> int:
        """How many messages it is."""
        return len(self.offsets)

    def since(self, offset: int) -> "Chunk | None":
        """Return the messages from an offset on, if there are any."""
        if self.offsets[0] >= offset:
            return self
        first = next((i for i, at in enumerate(self.offsets) if at >= offset), None)
        return None if first is None else self.cut(first, len(self.offsets))

    def singles(self) -> "list[Chunk]":
        """Return each message by itself."""
        return [self.cut(at, at + 1) for at in range(self.size)]

    def cut(self, first: int, end: int) -> "Chunk":
        """Return some of the messages."""
        values = self.values[first:end]
        return Chunk(
            self.place,
            self.offsets[first:end],
            self.times_ms[first:end],
            self.keys[first:end],
            values,
            self.headers[first:end],
            nbytes_of(values),
        )


def nbytes_of(values: Sequence[bytes | None]) -> int:
    """Return about how much memory messages hold: a hundred bytes each beside their values."""
    return sum(map(len, filter(None, values))) + 100 * len(values)


class Rebalanced(Protocol):
    """Whom a group tells of changes; called within `consume` and `close`."""

    def assigned(self, places: list[Place]) -> dict[Place, int]:
        """Return where to start; a place that is left out is not read."""

    def revoked(self, places: list[Place]) -> None:
        """Let go in order: nobody else has them yet."""

    def lost(self, places: list[Place]) -> None:
        """Drop at once: somebody else has them."""


class Group:
    """A member of a consumer group; for one thread, but for `close`.

    Positions are ours: nothing is committed or stored by the client, it starts where it is told,
    and an offset that is out of range is an error and no jump.

    Raises
    ------
    SettingsError
        librdkafka refuses the settings, or is not installed.
    """

    def __init__(self, client: Client, topics: Sequence[str], told: Rebalanced) -> None:
        self._kafka = _library()
        self._told = told
        ours: Client = {
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.partition.eof": False,
            "allow.auto.create.topics": False,
            "topic.metadata.refresh.interval.ms": 30_000,
        }
        try:
            self._consumer: Consumer = self._kafka.Consumer(ours | client, logger=_LOG)
        except self._kafka.KafkaException as error:
            raise SettingsError(f"ingestion.kafka: {_text(error.args[0])}") from error
        self._consumer.subscribe(
            list(topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
        )

    def consume(self, most: int, seconds: float) -> tuple[list[Chunk], list["Trouble"]]:
        """Return messages by partition, as they come, and what went wrong.

        A chunk may be of a partition that was revoked in the same call.
        """
        found: dict[tuple[str, int], list[Any]] = {}
        message: Any
        troubles = []
        for message in self._consumer.consume(most, seconds):
            error = message.error()
            if error is not None:
                troubles.append(self._trouble(error, message))
                continue
            place = (message.topic(), message.partition())
            of_place = found.get(place)
            if of_place is None:
                found[place] = [message]
            else:
                of_place.append(message)
        return [_chunk(Place(*place), messages) for place, messages in found.items()], troubles

    def _trouble(self, error: "KafkaError", message: Any) -> "Trouble":
        out_of_range = error.code() in (
            self._kafka.KafkaError._AUTO_OFFSET_RESET,
            self._kafka.KafkaError.OFFSET_OUT_OF_RANGE,
        )
        topic, partition = message.topic(), message.partition()
        place = None if topic is None or partition is None else Place(topic, partition)
        return Trouble(error.name().strip("_").lower(), place, out_of_range, error.fatal())

    def _assign(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        start = self._told.assigned(_places(partitions))
        consumer.incremental_assign(
            [self._kafka.TopicPartition(*place, offset) for place, offset in start.items()]
        )

    def _revoke(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        self._told.revoked(_places(partitions))
        self._unassign(consumer, partitions)

    def _lose(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        self._told.lost(_places(partitions))
        self._unassign(consumer, partitions)

    def _unassign(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        held = {(one.topic, one.partition) for one in consumer.assignment()}
        consumer.incremental_unassign(
            [one for one in partitions if (one.topic, one.partition) in held]
        )

    def pause(self, places: Iterable[Place]) -> None:
        """Fetch no more of these."""
        self._consumer.pause([self._kafka.TopicPartition(*place) for place in places])

    def resume(self, places: Iterable[Place]) -> None:
        """Go on with these."""
        self._consumer.resume([self._kafka.TopicPartition(*place) for place in places])

    def show_positions(self, positions: dict[Place, int]) -> None:
        """Tell the broker where we are, for who looks at lag; it is never read back as a position.

        Whether it arrives is not known: during a rebalance it may not.
        """
        if not positions:
            return
        try:
            self._consumer.commit(
                offsets=[self._kafka.TopicPartition(*p, at) for p, at in positions.items()],
                asynchronous=True,
            )
        except self._kafka.KafkaException:
            return

    def shown_position(self, place: Place) -> int | None:
        """Return what was shown of a partition before, None where nothing was.

        Raises
        ------
        BrokerError
            The brokers do not answer.
        """
        wanted = [self._kafka.TopicPartition(*place)]
        ask = self._consumer.committed
        [found] = self._ask(place, lambda: ask(wanted, timeout=ANSWER_SECONDS))
        return found.offset if found.offset >= 0 else None

    def bounds(self, place: Place) -> tuple[int, int]:
        """Return the first offset that is kept, and the one after the last.

        Raises
        ------
        BrokerError
            The brokers do not answer.
        """
        wanted = self._kafka.TopicPartition(*place)
        ask = self._consumer.get_watermark_offsets
        low, high = self._ask(place, lambda: ask(wanted, timeout=ANSWER_SECONDS))
        return low, high

    def _ask(self, place: Place, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer: while a broker is away its partitions have no leader."""
        deadline = time.monotonic() + LEADER_SECONDS
        while True:
            try:
                return ask()
            except self._kafka.KafkaException as error:
                if time.monotonic() >= deadline:
                    raise BrokerError(f"{place}: {_text(error.args[0])}") from error
            time.sleep(RETRY_SECONDS)

    def end(self, place: Place) -> int | None:
        """Return the offset after the last message as it was last heard of; no question is sent."""
        try:
            _, high = self._consumer.get_watermark_offsets(
                self._kafka.TopicPartition(*place), cached=True
            )
        except self._kafka.KafkaException:
            return None
        return high if high >= 0 else None

    def close(self) -> None:
        """Leave the group; what is held is revoked within."""
        self._consumer.close()


class Trouble(NamedTuple):
    """Something that the client could not do."""

    reason: str
    """A word of librdkafka's closed set."""
    place: Place | None
    out_of_range: bool
    fatal: bool


class Sender:
    """Sends messages, each until all replicas have it or half a minute is over.

    Raises
    ------
    SettingsError
        librdkafka refuses the settings, or is not installed.
    """

    def __init__(self, client: Client) -> None:
        self._kafka = _library()
        ours: Client = {
            "acks": "all",
            "enable.idempotence": True,
            # As the Java and Go clients do: who sends with them agrees on the partition of a key.
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 5,
            "delivery.timeout.ms": 30_000,
        }
        try:
            self._producer = self._kafka.Producer(ours | client, logger=_LOG)
        except self._kafka.KafkaException as error:
            raise SettingsError(f"ingestion.kafka: {_text(error.args[0])}") from error
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="kafka-sender", daemon=True)
        self._thread.start()

    def cluster(self, topics: Sequence[str]) -> tuple[str, dict[str, int]]:
        """Return the cluster's id, and how many partitions each topic has; 0 where there is none.

        Raises
        ------
        BrokerError
            The brokers do not answer.
        """
        counts: dict[str, int] = {}
        cluster_id: str | None = None
        try:
            for topic in topics:
                found = self._producer.list_topics(topic, timeout=ANSWER_SECONDS)
                counts[topic] = len(found.topics[topic].partitions)
                cluster_id = found.cluster_id
        except self._kafka.KafkaException as error:
            raise BrokerError(f"kafka: {_text(error.args[0])}", "are the brokers up?") from error
        return cluster_id or "", counts

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = -1,
        headers: Headers | None = None,
        time_ms: int = 0,
        done: Callable[[BrokerError | None], None],
    ) -> None:
        """Hand over a message; `done` is told on the sender's thread, once.

        Raises
        ------
        JournalFull
            Too much waits to be sent.
        BrokerError
            It cannot be sent at all.
        """

        def delivered(error: "KafkaError | None", _: Any) -> None:
            done(None if error is None else BrokerError(f"{topic}: {_text(error)}"))

        try:
            self._producer.produce(
                topic,
                value,
                key=key,
                partition=partition,
                headers=headers,
                timestamp=time_ms,
                on_delivery=delivered,
            )
        except BufferError as error:
            raise JournalFull("too much waits for the brokers", "send again later") from error
        except self._kafka.KafkaException as error:
            raise BrokerError(f"{topic}: {_text(error.args[0])}") from error

    def _run(self) -> None:
        while not self._closing:
            self._producer.poll(0.2)

    def close(self, seconds: float = 5.0) -> None:
        """Send what waits, for so long, and end."""
        self._producer.flush(seconds)
        self._closing = True
        self._thread.join()


def _library() -> Any:
    try:
        import confluent_kafka
    except ImportError as error:
        raise SettingsError(
            "ingestion.kafka: confluent-kafka is not installed",
            "pip install 'llm-sentinel[kafka]'",
        ) from error
    return confluent_kafka


def _chunk(place: Place, messages: list[Any]) -> Chunk:
    values = [message.value() for message in messages]
    return Chunk(
        place,
        [message.offset() for message in messages],
        [message.timestamp()[1] for message in messages],
        [message.key() for message in messages],
        values,
        [message.headers() for message in messages],
        nbytes_of(values),
    )


def _places(partitions: "list[TopicPartition]") -> list[Place]:
    return [Place(one.topic, one.partition) for one in partitions]


def _text(error: Any) -> str:
    return str(error.str()) if hasattr(error, "str") else str(error)
