"""`sentinel schema`."""

import argparse
import json
import sys

from sentinel.settings import schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_options: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration."""
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
    return 0
