"""`sentinel baselines list | export | import`."""

import argparse
import sys
from pathlib import Path

import msgspec

from sentinel.checkpoints.disk import DiskCheckpoint
from sentinel.cli import exported
from sentinel.cli.configuration import add_config, settings_of
from sentinel.engine import Partition
from sentinel.errors import InputError
from sentinel.model.baseline import BaselineSummary
from sentinel.replay.run import Replay
from sentinel.settings import Settings


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
        verb.add_argument(
            "--state",
            metavar="DIR",
            type=Path,
            help="folder of `replay --state`; absent: the data_dir of a service that is stopped",
        )
        add_config(verb)


def run(options: argparse.Namespace) -> int:
    """List, export or import baselines."""
    settings = settings_of(options)
    # Read before anything is made for it.
    records = list(exported.read(options.file)) if options.verb == "import" else []
    if options.state is not None:
        _in_state_folder(options, settings, records)
    else:
        _in_data_dir(options, settings, records)
    if options.verb == "import":
        sys.stderr.write(f"{len(records):,} records added\n")
    return 0


def _in_state_folder(options: argparse.Namespace, settings: Settings, records: list[bytes]) -> None:
    replay = Replay(settings)
    checkpoint = DiskCheckpoint(options.state)
    saved = checkpoint.read()
    if saved is not None:
        replay.restore(saved)
    elif options.verb != "import":
        raise InputError(f"{options.state}: no state here")
    if options.verb == "import":
        replay.partition.adopt(records)
        checkpoint.write(replay.save())
    else:
        _show(options, replay.partition)


def _in_data_dir(options: argparse.Namespace, settings: Settings, records: list[bytes]) -> None:
    from sentinel.service.stopped import stopped

    if options.verb != "import" and not (Path(settings.data_dir) / "journal").is_dir():
        raise InputError(f"{settings.data_dir}: no service has run here")
    with stopped(settings) as service:
        if options.verb == "import":
            service.adopt(records)
        else:
            _show(options, service.partition)


def _show(options: argparse.Namespace, partition: Partition) -> None:
    if options.verb == "list":
        _list(partition.baselines(), as_json=options.json)
    else:
        exported.write(partition, options.file)


def _list(baselines: list[BaselineSummary], *, as_json: bool) -> None:
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
