"""Fills a topic with calls without texts, as fast as it can or at a rate.

As a program: bootstrap, topic, calls, calls a second.
"""

import random
import sys
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

SERVICES = 48
AT_ONCE = 500


def make_topic(bootstrap: str, topic: str, partitions: int) -> None:
    """Make a topic, and the one of its dead letters."""
    topics = [NewTopic(topic, partitions, 1), NewTopic(f"{topic}.dlq", 1, 1)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics(topics).values():
        made.result(60)


def fill(bootstrap: str, topic: str, count: int, *, rate: float = 0.0, partitions: int = 0) -> None:
    """Write calls of 48 services; with a rate their times are now, else 2,000 a second.

    `partitions`: services take turns at so many, each with as many calls as any other; else it goes
    by key.
    """
    random_ = random.Random(1)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    begin, start = time.monotonic(), time.time()
    step = 1 / rate if rate else 1 / 2000
    first = start if rate else start - count * step
    # Ready but for id and time: who makes a load should not take the cores of who is measured.
    tails = [_tail(random_, number) for number in range(SERVICES * 100)]
    for number in range(count):
        service, tail = tails[number % len(tails)]
        value = (
            f'{{"event_id":"{number:08x}-0000-4000-8000-{number:012x}",'
            f'"timestamp":{first + number * step:.6f},{tail}'
        )
        at = number % SERVICES % partitions if partitions else -1
        producer.produce(topic, value, service, at)
        if number % AT_ONCE == 0:
            producer.poll(0)
            if rate:
                time.sleep(max(0.0, begin + number * step - time.monotonic()))
    assert producer.flush(120) == 0


def _tail(random_: random.Random, number: int) -> tuple[str, str]:
    """Return the service of a call, and all but its id and time."""
    service = f"svc-{number % SERVICES}"
    return service, (
        f'"service_name":"{service}","model":"gpt-4o",'
        f'"latency_ms":{random_.lognormvariate(6, 0.2):.1f},'
        f'"prompt_tokens":{random_.randrange(100, 900)},'
        f'"completion_tokens":{random_.randrange(50, 300)},"cost_usd":0.002,'
        f'"user_id":"user-{number % 200}"}}'
    )


if __name__ == "__main__":
    fill(sys.argv[1], sys.argv[2], int(sys.argv[3]), rate=float(sys.argv[4]))
