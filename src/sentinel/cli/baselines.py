"""`sentinel baselines list | export | import`."""

import argparse
import base64
import binascii
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from sentinel.checkpoints.disk import DiskCheckpoint
from sentinel.cli.configuration import add_config, settings_of
from sentinel.errors import InputError, SentinelError
from sentinel.replay.run import Replay


class _Line(Struct):
    """One exported series."""

    series: str
    """For people; the record names its series itself."""
    samples: int
    record: str
    """The series record, base64."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="one line a series")
    listing.add_argument("--json", action="store_true", help="NDJSON instead of a table")
    exporting = verbs.add_parser("export", help="write every series to a file")
    exporting.add_argument("file", metavar="FILE", help="- is standard output")
    importing = verbs.add_parser("import", help="add the series of an exported file")
    importing.add_argument("file", metavar="FILE", help="- is standard input")
    for verb in (listing, exporting, importing):
        verb.add_argument("--state", metavar="DIR", type=Path, required=True, help="state folder")
        add_config(verb)


def run(options: argparse.Namespace) -> int:
    """List, export or import baselines."""
    replay = Replay(settings_of(options))
    checkpoint = DiskCheckpoint(options.state)
    saved = checkpoint.read()
    if saved is not None:
        replay.restore(saved)
    elif options.verb != "import":
        raise InputError(f"{options.state}: no state here")
    if options.verb == "list":
        _list(replay, as_json=options.json)
    elif options.verb == "export":
        _export(replay, options.file)
    else:
        records = list(_read(options.file))
        replay.partition.adopt(records)
        checkpoint.write(replay.save())
        sys.stderr.write(f"{len(records):,} series added\n")
    return 0


def _list(replay: Replay, *, as_json: bool) -> None:
    baselines = replay.partition.baselines()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.Encoder().encode_lines(baselines))
        return
    width = max([len(b.title()) for b in baselines], default=6)
    columns = ("samples", "mean", "stddev", "median", "p95", "p99")
    sys.stdout.write(f"{'series':<{width}}" + "".join(f"{name:>12}" for name in columns) + "\n")
    for b in baselines:
        numbers = (b.mean, b.stddev, b.median, b.p95, b.p99)
        row = f"{b.title():<{width}}{b.samples:>12,}"
        sys.stdout.write(row + "".join(f"{number:>12.5g}" for number in numbers) + "\n")


def _export(replay: Replay, path: str) -> None:
    baselines = replay.partition.baselines()
    records = replay.partition.series_records()
    lines = msgspec.json.Encoder().encode_lines(
        [
            _Line(baseline.title(), baseline.samples, base64.b64encode(record).decode())
            for baseline, record in zip(baselines, records, strict=True)
        ]
    )
    if path == "-":
        sys.stdout.buffer.write(lines)
    else:
        try:
            Path(path).write_bytes(lines)
        except OSError as error:
            raise SentinelError(f"{path}: {error.strerror or error}") from error
        sys.stderr.write(f"{len(records):,} series written to {path}\n")


def _read(path: str) -> Iterator[bytes]:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        for line in msgspec.json.Decoder(_Line).decode_lines(data):
            yield base64.b64decode(line.record, validate=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error) as error:
        raise InputError(f"{path}: not exported baselines: {error}") from error
