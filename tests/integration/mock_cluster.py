"""The mock cluster of librdkafka: real brokers' answers on real ports of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Message, Producer


@contextmanager
def mock_cluster(brokers: int = 2) -> Iterator[str]:
    """Run a cluster; yields its bootstrap servers.  Topics make themselves, with 4 partitions."""
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": brokers, "log_level": 3})
    known = host.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in known)
    host.flush(1)


def consumed(servers: str, topic: str, count: int, seconds: float = 20.0) -> list[Message]:
    """Return messages from the beginning, once there are so many."""
    settings = {"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "topic.metadata.refresh.interval.ms": 200})
    consumer.subscribe([topic])
    found: list[Message] = []
    for _ in range(int(seconds / 0.2)):
        if len(found) >= count:
            break
        found += [message for message in consumer.consume(1000, 0.2) if message.error() is None]
    consumer.close()
    return found


def partition_of(key: bytes, partitions: int = 4) -> int:
    """Return where the clients of Java put a key: murmur2 with the seed 0x9747b28c."""
    scale, mask = 0x5BD1E995, 0xFFFFFFFF
    state = (0x9747B28C ^ len(key)) & mask
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * scale & mask
        state = (state * scale & mask) ^ ((word ^ word >> 24) * scale & mask)
    if rest := key[whole:]:
        state = (state ^ int.from_bytes(rest, "little")) * scale & mask
    state = (state ^ state >> 13) * scale & mask
    return ((state ^ state >> 15) & 0x7FFFFFFF) % partitions
