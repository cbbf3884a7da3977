"""`sentinel replay`."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sentinel.checkpoints.disk import DiskCheckpoint
from sentinel.cli import exported, judging
from sentinel.cli.configuration import add_config, settings_of
from sentinel.errors import InputError
from sentinel.replay.run import LOG_ID, Counts, Replay, Step
from sentinel.sources.file import FileReader
from sentinel.sources.journal_reader import read_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add files, what to print, and where to keep state."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="NDJSON or a JSON array, also .gz and .zst; - is standard input; "
        "several are one stream in the order given; or the folder of a journal",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--incidents", action="store_true", help="one line an incident instead of an anomaly"
    )
    what.add_argument(
        "--alerts", action="store_true", help="one line for each thing a channel would be told"
    )
    what.add_argument(
        "--diff",
        metavar="OTHER",
        type=Path,
        help="one line for each thing that is told otherwise than under this configuration",
    )
    judging.add_arguments(parser)
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help="carry on from the state in DIR, and keep it there",
    )
    parser.add_argument(
        "--save-baselines",
        metavar="FILE",
        help="write what was learned to FILE, for `sentinel baselines import`",
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=_positive, help="lines judged at a time; changes nothing"
    )
    add_config(parser)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text}, must be >= 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Replay files; results on standard output, progress and a summary on standard error."""
    journal = _journal_of(options.files)
    recorded = None if journal is None else read_folder(journal)
    log_id = LOG_ID if recorded is None else recorded.log_id
    # Who judges a configuration on a journal asks for this one, not for that of the day.
    named = options.config is not None and judging.is_asked(options)
    replay = Replay(settings_of(options), log_id, keep_rules=named)
    judge = judging.Judge(options, log_id)
    checkpoint = DiskCheckpoint(options.state) if options.state else None
    if checkpoint is not None:
        saved = checkpoint.read()
        if saved is not None:
            replay.restore(saved)
    began = time.monotonic()
    write = _Writer(options)
    if recorded is not None:
        for record in recorded.records:
            if record.offset >= replay.partition.next_offset:
                judge.pass_record(record)
                step = replay.judge_record(record)
                write.step(step)
                judge.see(step)
    else:
        with contextlib.ExitStack() as stack:
            readers = [
                stack.enter_context(FileReader(path, options.batch_size)) for path in options.files
            ]
            tick = stack.enter_context(_progress(readers))
            bodies = (body for reader in readers for body in reader.bodies())
            for step in replay.feed(judge.passed(bodies)):
                write.step(step)
                judge.see(step)
                tick(replay.counts)
    if checkpoint is not None:
        checkpoint.write(replay.save())
    elif options.incidents:
        write.lines(replay.open_incidents())
    _summarise(replay.counts, len(replay.open_incidents()), time.monotonic() - began)
    if options.save_baselines:
        exported.write(replay.partition, options.save_baselines)
    return judge.verdict()


def _journal_of(files: list[str]) -> Path | None:
    """Return the folder of a journal, if that is what is to be replayed.

    Raises
    ------
    InputError
        It is named among other files.
    """
    folders = [Path(name) for name in files if Path(name).is_dir()]
    if not folders:
        return None
    if len(files) > 1:
        raise InputError(f"{folders[0]}: a journal is a log of its own, replay it alone")
    return folders[0]


class _Writer:
    """Writes the lines that were asked for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._incidents = options.incidents
        self._differences = options.diff is not None
        # What is judged is what would be told, so that is what is shown.
        self._alerts = options.alerts or (judging.is_asked(options) and not options.incidents)
        self._encode = msgspec.json.Encoder().encode_lines

    def step(self, step: Step) -> None:
        if self._differences:
            return
        if self._alerts:
            self.lines(step.alerts)
        elif self._incidents:
            self.lines([e.incident for e in step.incident_events if e.kind == "close"])
        else:
            self.lines(step.anomalies)

    def lines(self, results: Sequence[Any]) -> None:
        if results:
            sys.stdout.buffer.write(self._encode(results))


@contextlib.contextmanager
def _progress(readers: list[FileReader]) -> Iterator[Any]:
    """Give a function that shows how far it is: a bar on a terminal, else nothing."""
    sizes = [_size_of(reader.path) for reader in readers]
    if not sys.stderr.isatty():
        yield lambda _counts: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    total = None if None in sizes else sum(size or 0 for size in sizes)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=total)

        def tick(counts: Counts) -> None:
            done = sum(reader.read_bytes() for reader in readers)
            said = f"{counts.admitted:,} events, {counts.opened:,} incidents"
            bar.update(task, completed=done, description=said)

        yield tick


def _size_of(path: str) -> int | None:
    try:
        return None if path == "-" else Path(path).stat().st_size
    except OSError:
        return None


def _summarise(counts: Counts, still_open: int, seconds: float) -> None:
    for line in _summary_lines(counts, still_open, seconds):
        sys.stderr.write(line + "\n")


def _summary_lines(counts: Counts, still_open: int, seconds: float) -> Iterable[str]:
    rate = f" · {counts.admitted / seconds:,.0f} a second" if seconds > 0.5 else ""
    yield (
        f"{counts.admitted:,} events · {counts.anomalies:,} votes · {counts.opened:,} incidents "
        f"opened, {counts.resolved:,} resolved, {still_open:,} open · {counts.alerts:,} alerts"
        f"{rate}"
    )
    refused = sum(counts.rejections.values())
    if refused:
        reasons = ", ".join(f"{code} {n:,}" for code, n in sorted(counts.rejections.items()))
        yield f"refused {refused:,} of {counts.events:,} inputs: {reasons}"
        for first in counts.first_rejections:
            yield f"  input {first.position:,} {first.path}: {first.reason}"
    if counts.unpriced:
        models = ", ".join(f"{model} {n:,}" for model, n in counts.unpriced.most_common(5))
        more = len(counts.unpriced) - 5
        rest = f" and {more:,} more models" if more > 0 else ""
        yield f"without a price: {models}{rest}"
    flagged = {"over_limit": counts.over_limit, **counts.states}
    told = ", ".join(f"{name} {n:,}" for name, n in flagged.items() if n)
    if told:
        yield f"flagged: {told}"
