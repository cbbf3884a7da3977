"""Exported baselines: the file that `baselines export` and `replay --save-baselines` write."""

import base64
import binascii
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from sentinel.engine import Partition
from sentinel.errors import InputError, SentinelError


class _Line(Struct):
    """One exported series, or the evidence of one service and model."""

    series: str
    """For people; the record names what it is of itself."""
    samples: int
    record: str
    """The record, base64."""


def write(partition: Partition, path: str) -> None:
    """Write every series that is not idle, and its evidence; `-` is standard output.

    Raises
    ------
    SentinelError
        The file cannot be written.
    """
    records = partition.exported()
    lines = msgspec.json.Encoder().encode_lines(
        [
            _Line(title, samples, base64.b64encode(record).decode())
            for title, samples, record in records
        ]
    )
    if path == "-":
        sys.stdout.buffer.write(lines)
        return
    try:
        Path(path).write_bytes(lines)
    except OSError as error:
        raise SentinelError(f"{path}: {error.strerror or error}") from error
    sys.stderr.write(f"{len(records):,} records written to {path}\n")


def read(path: str) -> Iterator[bytes]:
    """Yield the records of a file; `-` is standard input.

    Raises
    ------
    InputError
        It is not what `write` writes.
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        for line in msgspec.json.Decoder(_Line).decode_lines(data):
            yield base64.b64decode(line.record, validate=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error) as error:
        raise InputError(f"{path}: not exported baselines: {error}") from error
