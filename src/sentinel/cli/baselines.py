"""`sentinel baselines list | export | import`."""

import argparse
import sys
from pathlib import Path

import msgspec

from sentinel.checkpoints.disk import DiskCheckpoint
from sentinel.cli import exported
from sentinel.cli.configuration import add_config, settings_of
from sentinel.errors import InputError
from sentinel.replay.run import Replay


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
        exported.write(replay.partition, options.file)
    else:
        records = list(exported.read(options.file))
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
