"""`sentinel check`."""

import argparse
import sys

from sentinel.cli.configuration import add_config, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration."""
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Validate a configuration; what is wrong is named with its file, line and key."""
    settings_of(options)
    sys.stdout.write(f"{options.config or 'defaults'}: ok\n")
    return 0
