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
    """Print one score a row: r / (1 + r), r the largest vote; from 0.5 up it is anomalous."""
    series = PlainSeries(engine_rules(settings_of(options)))
    last = -_TIME_MAX
    for rows in _in_blocks(_rows(options.file)):
        times = np.maximum.accumulate(np.array([last, *(time for time, _ in rows)], np.int64))[1:]
        last = int(times[-1])
        ratio = series.score(np.array([value for _, value in rows]), times)
        scores = ratio / (1 + ratio)
        sys.stdout.write("".join(f"{score!r}\n" for score in scores.tolist()))
    return 0


def _in_blocks(rows: Iterator[tuple[int, float]]) -> Iterator[list[tuple[int, float]]]:
    block = []
    for row in rows:
        block.append(row)
        if len(block) == _ROWS:
            yield block
            block = []
    if block:
        yield block


def _rows(path: str) -> Iterator[tuple[int, float]]:
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
                yield _row(f"{path}:{number}", row)
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: {error}") from error


def _row(place: str, row: list[str]) -> tuple[int, float]:
    if len(row) != 2:
        raise InputError(f"{place}: got {len(row)} columns, expected timestamp,value")
    try:
        value = float(row[1])
    except ValueError as error:
        raise InputError(f"{place}: value is not a number") from error
    if not np.isfinite(value):
        raise InputError(f"{place}: value is not finite")
    return _nanoseconds(place, row[0].strip()), value


def _nanoseconds(place: str, text: str) -> int:
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
    return int(scaled)
