"""What an application holds: events in, sent in the background, never in its way."""

import atexit
import importlib.util
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, Unpack
from urllib.parse import urlsplit

import msgspec

from sentinel.model.event import Event
from sentinel.producer.fields import Fields, event_of
from sentinel.producer.measure import Measure
from sentinel.producer.tally import Counts, Tally, log
from sentinel.producer.waiting import Item, Waiting

KafkaSettings = Mapping[str, str | int | float | bool]
LOCAL_URL: Final = "http://127.0.0.1:8080"


class Transport(Protocol):
    """A way out."""

    def deliver(self, batch: list[Item]) -> None:
        """Send events until they are answered for, or there is no more time."""

    def close(self) -> None:
        """Let go of it."""


class TelemetryProducer:
    """Sends events to LLM-Sentinel, by HTTP or through Kafka.

    No method waits for the network unless it says so.  Events wait in a queue of a bounded size;
    a thread sends them.  What finds no room is dropped, counted in `counts()` and told in the log
    `llm_sentinel`, as is everything else that does not arrive.  At exit, what waits is sent, for
    at most `close_seconds`.

    Parameters
    ----------
    brokers : str or list of str, optional
        Of Kafka, `host:port`.
    topic : str
        Of Kafka.
    url : str
        Of the service, where there are no brokers; 127.0.0.1:8080 unless it is said.
    api_key : str, optional
        For the service, with the scope `ingest`.
    kafka : mapping, optional
        More settings of librdkafka, such as `security.protocol`.
    queue_bytes_max : int
        Of the events that wait; some 15,000 for each 8 MiB.
    linger_seconds : float
        How long an event may wait for others to share its request with.
    wait_seconds : float
        How long `send_event` may wait for room.
    close_seconds : float
        How long the end of the program may be put off.

    Examples
    --------
    >>> with TelemetryProducer(url="http://127.0.0.1:9", close_seconds=0) as producer:
    ...     event = producer.create_telemetry_event(
    ...         service_name="my-chatbot", model_name="gpt-4", latency_ms=812.5, prompt_tokens=90
    ...     )
    ...     producer.counts().dropped
    {}
    """

    def __init__(
        self,
        brokers: Sequence[str] | str | None = None,
        topic: str = "llm.telemetry",
        *,
        url: str | None = None,
        api_key: str | None = None,
        kafka: KafkaSettings | None = None,
        queue_bytes_max: int = 8 << 20,
        linger_seconds: float = 0.2,
        wait_seconds: float = 0.0,
        close_seconds: float = 5.0,
    ) -> None:
        if brokers is not None and url is not None:
            raise ValueError("got brokers and url, expected one of them")
        if brokers is not None:
            if importlib.util.find_spec("confluent_kafka") is None:
                raise ModuleNotFoundError("Kafka needs `pip install 'llm-sentinel[kafka]'`")
            servers = brokers if isinstance(brokers, str) else ",".join(brokers)
            settings = {**(kafka or {}), "bootstrap.servers": servers}
            self._open: Callable[[Waiting, Tally], Transport]
            self._open = partial(_to_kafka, settings, topic)
        else:
            url = LOCAL_URL if url is None else url
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ValueError(f"url: got {url!r}, expected such as {LOCAL_URL}")
            self._open = partial(_to_service, url, api_key)
        self._bounds = queue_bytes_max, linger_seconds
        self._wait_seconds, self._close_seconds = wait_seconds, close_seconds
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self._begin()
        _PRODUCERS.add(self)
        atexit.register(self.close)

    def _begin(self) -> None:
        """Begin with nothing: what waits in a process is not its forked child's to send."""
        self._waiting = Waiting(*self._bounds)
        self._tally = Tally()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def create_telemetry_event(
        self,
        service_name: str,
        model_name: str,
        latency_ms: float | None = None,
        **fields: Unpack[Fields],
    ) -> Event:
        """Return the event of a call that has just ended, with an id; see `Fields` for the rest."""
        return event_of(service_name, model_name, latency_ms, fields)

    def send_event(self, event: Event) -> bool:
        """Put an event into the queue; false where it had to be dropped.

        Never fails: what cannot be sent is dropped and counted, and the application goes on.
        """
        try:
            body = self._encode(event)
        except (TypeError, ValueError, RecursionError) as error:
            self._tally.add_dropped("not_encodable", 1, str(error))
            return False
        if self._thread is None and not self._start():
            self._tally.add_dropped("closed")
            return False
        if self._waiting.put(Item(event.service_name, body), self._wait_seconds):
            return True
        self._tally.add_dropped("closed" if self._waiting.is_closed else "queue_full")
        return False

    def measure(
        self,
        service_name: str,
        model_name: str,
        *,
        read: Callable[[Any], Fields] | None = None,
        **fields: Unpack[Fields],
    ) -> Measure:
        """Return a timer of calls, for `with`, `async with`, or as a decorator.

        A call that raises is sent with its error, and the exception goes on.  `read` tells a
        decorator what the result of the function says: tokens, cost, finish reason.
        """
        return Measure(self.send_event, service_name, model_name, fields, read)

    def counts(self) -> Counts:
        """Return how many events wait, were sent and were dropped."""
        return self._tally.counts(self._waiting.count)

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until all that has been given is sent or dropped; false: it took longer."""
        return self._waiting.flush(seconds)

    def close(self) -> None:
        """Send what waits, for at most `close_seconds`, and count what could not be sent."""
        atexit.unregister(self.close)
        self._waiting.close()
        if self._thread is not None:
            self._thread.join(self._close_seconds)
            self._waiting.end()
            self._thread.join(0.5)  # long enough to count, too short to wait for the network
            if unanswered := self._waiting.count:
                log.warning("%d events have not been answered for", unanswered)
        self._tally.tell()

    def __enter__(self) -> "TelemetryProducer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> bool:
        """Start the sending thread; false where the interpreter is about to end."""
        with self._starting:
            if self._thread is None and not self._waiting.is_closed:
                thread = threading.Thread(
                    target=_work, args=(self._open, self._waiting, self._tally), daemon=True
                )
                thread.name = "llm_sentinel"
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread
        return True


# A way out is opened in the thread that uses it: neither survives a fork of the process.


def _to_kafka(settings: KafkaSettings, topic: str, waiting: Waiting, tally: Tally) -> Transport:
    from sentinel.producer.kafka import KafkaTransport

    return KafkaTransport(settings, topic, waiting, tally)


def _to_service(url: str, api_key: str | None, waiting: Waiting, tally: Tally) -> Transport:
    from sentinel.producer.http import HttpTransport

    return HttpTransport(url, api_key, waiting, tally)


def _work(
    open_transport: Callable[[Waiting, Tally], Transport], waiting: Waiting, tally: Tally
) -> None:
    """Send until the queue is closed and empty."""
    transport: Transport | None = None
    while batch := waiting.take():
        if waiting.is_over:
            tally.add_dropped("closed", len(batch))
        else:
            try:
                transport = transport or open_transport(waiting, tally)
                transport.deliver(batch)
            except Exception as error:  # it is somebody else's process that must go on
                log.exception("a batch could not be sent")
                tally.add_dropped("failed", len(batch), repr(error))
        waiting.settle(len(batch))
    if transport is not None:
        transport.close()


_PRODUCERS: Final = weakref.WeakSet[TelemetryProducer]()


def _begin_again() -> None:
    for producer in list(_PRODUCERS):
        producer._begin()


os.register_at_fork(after_in_child=_begin_again)  # such as servers that load, then fork workers
