"""`sentinel version`."""

import argparse
import platform
import sys

from sentinel import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_options: argparse.Namespace) -> int:
    """Print the version of this build and of what it runs on."""
    sys.stdout.write(
        f"llm-sentinel {__version__} (Python {platform.python_version()}, {platform.machine()})\n"
    )
    return 0
