"""An application that tells LLM-Sentinel of its calls of a model; the calls are made up.

    python producer.py --brokers localhost:9092     20 ordinary calls, then 5 anomalous ones
    python producer.py --url http://127.0.0.1:8080  the same by HTTP, past Kafka
    python producer.py --continuous                 until SIGINT or SIGTERM, 1 of 20 anomalous

What matters is in `main`: make a producer, make an event after each call, send it, close.
"""

import argparse
import itertools
import logging
import math
import os
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator

from llm_sentinel import Event, TelemetryProducer

SERVICE, MODEL = "chat-api", "gpt-4"
PROMPT_USD, ANSWER_USD = 30e-6, 60e-6
"""By the token."""
KINDS = ("high_latency", "high_tokens", "high_cost", "suspicious_pattern")


def call(producer: TelemetryProducer, kind: str = "") -> Event:
    """Return the event of a call, ordinary or anomalous in one way."""
    prompt, answer = round(around(400)), round(around(150))
    latency_ms = around(300 + 12 * answer, 0.1)
    user, finish_reason = f"user-{random.randrange(200)}", "stop"
    if kind == "high_tokens":
        prompt, answer = prompt * 20, answer * 20
    if kind == "suspicious_pattern":  # somebody sends long prompts, and the filter cuts the answers
        prompt, answer, user, finish_reason = prompt * 12, 2, "user-1337", "content_filter"
    return producer.create_telemetry_event(
        service_name=SERVICE,
        model_name=MODEL,
        latency_ms=latency_ms * 15 if kind == "high_latency" else latency_ms,
        prompt_tokens=prompt,
        completion_tokens=answer,
        cost_usd=(prompt * PROMPT_USD + answer * ANSWER_USD) * (25 if kind == "high_cost" else 1),
        finish_reason=finish_reason,
        user_id=user,
        session_id=f"session-{user}",
        metadata={"example": kind or "ordinary"},
    )


def around(median: float, sigma: float = 0.2) -> float:
    """Return a number near another, lognormal as counts and times of models are."""
    return median * math.exp(random.gauss(0, sigma))


def kinds(options: argparse.Namespace) -> Iterable[str]:
    """Yield the kind of each call; "" is ordinary."""
    if options.continuous:
        anomalous = itertools.cycle(KINDS)
        yield from (
            next(anomalous) if number % 20 == 0 else "" for number in itertools.count(start=1)
        )
    yield from itertools.repeat("", options.normal_events)
    yield from itertools.islice(itertools.cycle(KINDS), options.anomalous_events)


def paced(items: Iterable[str], rate: float) -> Iterator[str]:
    """Yield items at so many a second; 0: at once."""
    began = time.monotonic()
    for number, item in enumerate(items):
        if rate:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        yield item


def stop(*_: object) -> None:
    """End the loop, and then the program in order."""
    raise KeyboardInterrupt


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="Send made-up calls of a model to LLM-Sentinel.")
    parser.add_argument("--brokers", default="localhost:9092", help="of Kafka (localhost:9092)")
    parser.add_argument("--topic", default="llm.telemetry", help="of Kafka (llm.telemetry)")
    parser.add_argument("--url", help="of the service: HTTP instead of Kafka")
    parser.add_argument("--normal-events", type=int, default=20, help="ordinary calls (20)")
    parser.add_argument("--anomalous-events", type=int, default=5, help="anomalous calls (5)")
    parser.add_argument("--continuous", action="store_true", help="until a signal")
    parser.add_argument(
        "--rate", type=float, default=100, help="calls a second, 0: all at once (100)"
    )
    return parser.parse_args()


def main() -> int:
    """Send, and say what became of it; 1 where something was dropped."""
    options = parsed()
    logging.basicConfig(format="%(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, stop)
    producer = TelemetryProducer(
        brokers=None if options.url else options.brokers.split(","),
        topic=options.topic,
        url=options.url,
        api_key=os.environ.get("SENTINEL_KEY"),
        wait_seconds=1.0,  # nobody waits for these calls
    )
    try:
        for kind in paced(kinds(options), options.rate):
            producer.send_event(call(producer, kind))
    except KeyboardInterrupt:
        pass
    producer.close()
    counts = producer.counts()
    print(f"sent {counts.sent}, dropped {sum(counts.dropped.values())}")
    return 1 if counts.dropped or counts.waiting else 0


if __name__ == "__main__":
    sys.exit(main())
