"""`sentinel serve`."""

import argparse
import os

from sentinel.cli.configuration import add_config, settings_of
from sentinel.service import serve
from sentinel.settings import load
from sentinel.vitals.logs import LEVELS, configure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration and how to log."""
    add_config(parser)
    parser.add_argument(
        "--log-level", choices=list(LEVELS), default=os.environ.get("SENTINEL_LOG_LEVEL", "info")
    )
    parser.add_argument(
        "--log-json",
        action="store_true",
        default=os.environ.get("SENTINEL_LOG_JSON", "").lower() in ("1", "true", "yes"),
        help="one JSON object a line",
    )


def run(options: argparse.Namespace) -> int:
    """Take telemetry by HTTP, judge it, keep it and tell, until a signal."""
    settings = settings_of(options)
    configure(options.log_level, as_json=options.log_json)
    return serve.run(settings, reload=lambda: load(options.config))
