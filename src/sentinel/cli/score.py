"""`sentinel score`."""

import argparse
import csv
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sentinel.cli.configuration import add_config, settings_of
from sentinel.engine.plain import PlainSeries
from sentinel.errors import InputError
from sentinel.settings.middle import engine_rules

_ROWS = 4096
_SCALES = ((1e11, 1e9), (1e14, 1e6), (1e17, 1e3))
"""An epoch number below the first is in seconds, then ms, then us, else ns: as intake reads it."""
_TIME_MAX = 2**62
"""Nanoseconds, to both sides of 1970: about 146 years."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="rows of timestamp,value, a header allowed; - is standard input",
    )
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Print one score a row, r / (1 + r): from 0.5 up an alarm is raised, once an episode."""
    series = PlainSeries(engine_rules(settings_of(options)))
    for values in _in_blocks(_values(options.file)):
        ratio = series.score(np.array(values))
        scores = ratio / (1 + ratio)
        sys.stdout.write("".join(f"{score!r}\n" for score in scores.tolist()))
    return 0


def _in_blocks(values: Iterator[float]) -> Iterator[list[float]]:
    block = []
    for value in values:
        block.append(value)
        if len(block) == _ROWS:
            yield block
            block = []
    if block:
        yield block


def _values(path: str) -> Iterator[float]:
    try:
        # A byte order mark is what a spreadsheet writes.
        raw = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
        file = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    with file:
        try:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or (number == 1 and row[-1].strip().lower() == "value"):
                    continue
                yield _value(f"{path}:{number}", row)
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: {error}") from error


def _value(place: str, row: list[str]) -> float:
    if len(row) != 2:
        raise InputError(f"{place}: got {len(row)} columns, expected timestamp,value")
    try:
        value = float(row[1])
    except ValueError as error:
        raise InputError(f"{place}: value is not a number") from error
    if not np.isfinite(value):
        raise InputError(f"{place}: value is not finite")
    _check_time(place, row[0].strip())
    return value


def _check_time(place: str, text: str) -> None:
    """Refuse what is no time: rows are judged in the order given, but columns may be swapped."""
    try:
        number = float(text)
        scaled = number * next((scale for end, scale in _SCALES if abs(number) < end), 1.0)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise InputError(f"{place}: timestamp is neither a time nor a number") from error
        scaled = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e9
    if not abs(scaled) <= _TIME_MAX:
        raise InputError(f"{place}: timestamp is out of range")
