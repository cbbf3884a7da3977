"""`sentinel demo`."""

import argparse
import os

from sentinel.demo.live import Demo
from sentinel.demo.traffic import LIVE_SECONDS
from sentinel.vitals.logs import configure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add seed, pace and port."""
    parser.add_argument("--seed", type=_seed, default=7, help="other traffic, other incidents (7)")
    parser.add_argument(
        "--seconds",
        type=_pace,
        default=100.0,
        help=f"how long the {LIVE_SECONDS} seconds of traffic take (100)",
    )
    parser.add_argument("--port", type=int, default=8080, help="of the API, on this machine (8080)")


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"got {text}, must be >= 0")
    return number


def _pace(text: str) -> float:
    seconds = float(text)
    if not 5 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"got {text}, must be 5 to 3600")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Learn two weeks, watch two minutes; exits with 1 where an incident is missed or false."""
    configure(os.environ.get("SENTINEL_LOG_LEVEL", "critical"), as_json=False)
    # The lines of the demo are its log; SENTINEL_LOG_LEVEL=info shows that of the service too.
    return Demo(options.seed, options.seconds, options.port).run()
