"""The option that every command with a configuration has, and what is said of it."""

import argparse
import sys
from pathlib import Path

from sentinel.settings import Settings, load


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `-c FILE`."""
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help="configuration; absent: all defaults"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings, and say loudly which configured parts do not exist in this version.

    Raises
    ------
    SettingsError
        The configuration cannot be used.
    """
    settings = load(options.config)
    for part in settings.unbuilt():
        sys.stderr.write(f"sentinel: {part} is configured, but this version does not have it yet\n")
    return settings
