"""`sentinel serve`."""

import argparse
import os
import sys

from sentinel.cli.configuration import add_config, settings_of
from sentinel.service import serve
from sentinel.service.siblings import of_process
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
    # How the first process starts the others; for nobody else.
    parser.add_argument("--process", type=int, default=0, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Take telemetry by HTTP, judge it, keep it and tell, until a signal."""
    number: int = options.process
    settings = settings_of(options) if number == 0 else load(options.config)
    configure(options.log_level, as_json=options.log_json, process=number)
    return serve.run(
        of_process(settings, number),
        reload=lambda: of_process(load(options.config), number),
        number=number,
        command=lambda other: _command(options, other),
    )


def _command(options: argparse.Namespace, number: int) -> list[str]:
    """Return how another process of this command is started."""
    command = [sys.executable, "-m", "sentinel", "serve", "--process", str(number)]
    command += ["--log-level", options.log_level]
    command += ["--log-json"] if options.log_json else []
    return command + (["--config", str(options.config)] if options.config is not None else [])
