"""`sentinel produce`."""

import argparse
import os
import sys
import time
from datetime import UTC, datetime

import msgspec

from sentinel.demo.traffic import LIVE_SECONDS, Traffic
from sentinel.model.event import Event
from sentinel.producer.producer import LOCAL_URL, TelemetryProducer

PATIENCE_SECONDS = 10.0
"""How long everything may stand still."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to, and how much."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", default=LOCAL_URL, help=f"of the service ({LOCAL_URL})")
    where.add_argument("--brokers", help="of Kafka instead, host:port,host:port")
    parser.add_argument("--topic", default="llm.telemetry", help="of Kafka (llm.telemetry)")
    parser.add_argument(
        "--key", default=os.environ.get("SENTINEL_KEY"), help="of the API; also SENTINEL_KEY"
    )
    parser.add_argument("--seed", type=_seed, default=7, help="other traffic, other incidents (7)")
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=float(LIVE_SECONDS),
        help=f"how long the {LIVE_SECONDS} seconds of live traffic take ({LIVE_SECONDS})",
    )
    parser.add_argument(
        "--no-history", action="store_true", help="without the ten minutes of calls before"
    )


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"got {text}, must be >= 0")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"got {text}, must be 1 to 3600")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Send the traffic of the demo; exits with 1 where some of it did not arrive."""
    pace = options.seconds / LIVE_SECONDS
    traffic = Traffic(options.seed, start=datetime.now(UTC), pace=pace)
    producer = TelemetryProducer(
        options.brokers,
        options.topic,
        url=None if options.brokers else options.url,
        api_key=options.key,
        wait_seconds=PATIENCE_SECONDS,
    )
    with producer:
        _send(producer, traffic, with_history=not options.no_history)
    counts = producer.counts()
    sys.stderr.write(f"{counts.sent:,} events sent")
    for reason, count in counts.dropped.items():
        sys.stderr.write(f" · {count:,} dropped: {reason}")
    sys.stderr.write("\n")
    return 1 if counts.dropped or counts.waiting else 0


def _send(producer: TelemetryProducer, traffic: Traffic, *, with_history: bool) -> None:
    """Send history at once and the rest when it is due; ends where nothing gets away any more."""
    decode = msgspec.json.Decoder(Event).decode_lines
    for body in traffic.history() if with_history else ():
        if not all(producer.send_event(event) for event in decode(body)):
            return
    producer.flush(PATIENCE_SECONDS)
    began = time.monotonic()
    for second, body in traffic.live():
        time.sleep(max(0.0, began + second * traffic.pace - time.monotonic()))
        if not all(producer.send_event(event) for event in decode(body)):
            return
