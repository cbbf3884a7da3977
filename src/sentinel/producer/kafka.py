"""Events to Kafka: acknowledged by all replicas, one message an event, the service as its key."""

import logging
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sentinel.producer.tally import Tally
from sentinel.producer.waiting import Item, Waiting

POLL_SECONDS: Final = 0.1
SETTINGS: Final = {
    "acks": "all",
    "enable.idempotence": True,
    # As the Java and Go clients do: services are judged as wholes only where all senders agree on
    # the partition of a key.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
}


class KafkaTransport:
    """One producer of librdkafka, which retries by itself for `message.timeout.ms` (5 minutes)."""

    def __init__(
        self,
        settings: Mapping[str, str | int | float | bool],
        topic: str,
        waiting: Waiting,
        tally: Tally,
    ) -> None:
        self._topic, self._waiting, self._tally = topic, waiting, tally
        self._producer = Producer(
            {**SETTINGS, **settings, "error_cb": self._has_failed},
            logger=logging.getLogger("llm_sentinel.kafka"),
        )

    def deliver(self, batch: list[Item]) -> None:
        """Send events and wait for the brokers' word on each; what is lost is counted."""
        for item in batch:
            self._produce(item)
        while len(self._producer) and not self._waiting.is_over:
            self._producer.flush(POLL_SECONDS)
        if left := len(self._producer):
            self._tally.add_dropped("closed", left)

    def _produce(self, item: Item) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic, item.body, key=item.key, on_delivery=self._is_answered
                )
            except BufferError:  # the queue of librdkafka is full
                if self._waiting.is_over:
                    self._tally.add_dropped("closed")
                    return
                self._producer.poll(POLL_SECONDS)
            except KafkaException as error:
                self._drop(error.args[0])
                return
            else:
                return

    def _is_answered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._tally.add_sent(1)
        else:
            self._drop(error)

    def _drop(self, error: KafkaError) -> None:
        self._tally.add_dropped(f"kafka_{error.name().strip('_').lower()}", 1, error.str())

    def _has_failed(self, error: KafkaError) -> None:
        self._tally.trouble(error.str())

    def close(self) -> None:
        """Forget what is left; it has been counted."""
        self._producer.purge()
