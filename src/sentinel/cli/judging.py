"""What `sentinel replay` says of what was told: against labels, bounds, another configuration."""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sentinel.errors import InputError
from sentinel.replay.bounds import LeastRecall, check_names, judged_budget, judged_recall
from sentinel.replay.difference import differences
from sentinel.replay.labels import read_labels
from sentinel.replay.report import lines_of
from sentinel.replay.run import Replay, Step
from sentinel.replay.scoring import Score, score
from sentinel.replay.witness import Witness
from sentinel.settings import load
from sentinel.sources.file import Body
from sentinel.sources.segments import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add labels, bounds, and the other configuration."""
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="what was wrong in the input and when: report what of it was told",
    )
    parser.add_argument(
        "--least-recall",
        metavar="NAME=SHARE",
        type=_least_recall,
        action="append",
        default=[],
        help="exit 1 when less is found of a level, a kind or all; needs --labels",
    )
    parser.add_argument(
        "--budget",
        metavar="N/week",
        type=_budget,
        help="exit 1 when there are more alerts a service-week; with --labels, more false ones",
    )


def _least_recall(text: str) -> LeastRecall:
    name, _, share = text.rpartition("=")
    try:
        bound = LeastRecall(name, float(share))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"got {text}, expected easy=0.9") from error
    if not name or not 0 <= bound.share <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a name and a share of 0 to 1")
    return bound


def _budget(text: str) -> float:
    number = re.fullmatch(r"(\d+(?:\.\d+)?)/week", text)
    if number is None:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number a week, such as 1/week")
    return float(number[1])


def is_asked(options: argparse.Namespace) -> bool:
    """Say whether a run is to be judged at all."""
    return bool(options.labels or options.budget is not None or options.diff)


class Judge:
    """Watches one run, and the one it is compared with, and says what came of them.

    Raises
    ------
    InputError
        Labels, bounds or state cannot be used with what else is asked.
    SettingsError
        The other configuration cannot be used.
    """

    def __init__(self, options: argparse.Namespace, log_id: str) -> None:
        self._bounds, self._budget = options.least_recall, options.budget
        if self._bounds and not options.labels:
            raise InputError("--least-recall needs --labels")
        if options.diff and options.state:
            raise InputError("--diff takes no --state: both runs begin with nothing")
        self._expected = None if options.labels is None else read_labels(options.labels)
        if self._expected is not None:
            check_names(self._bounds, self._expected, str(options.labels))
        self._witness = Witness() if is_asked(options) else None
        self._rival: Replay | None = None
        self._rival_witness = Witness()
        if options.diff:
            self._rival = Replay(load(options.diff), log_id, keep_rules=True)

    def see(self, step: Step) -> None:
        """Take in a step of the run."""
        if self._witness is not None:
            self._witness.see(step.batch, step.alerts)

    def passed(self, bodies: Iterable[Body]) -> Iterator[Body]:
        """Pass bodies on, each once the other configuration has judged it."""
        for body in bodies:
            if self._rival is not None:
                self._see_rival(self._rival.judge(body.data, lines=body.lines))
            yield body

    def pass_record(self, record: Record) -> None:
        """Let the other configuration judge a record of a journal."""
        if self._rival is not None:
            self._see_rival(self._rival.judge_record(record))

    def _see_rival(self, step: Step) -> None:
        self._rival_witness.see(step.batch, step.alerts)

    def verdict(self) -> int:
        """Report; returns the exit code."""
        if self._witness is None:
            return 0
        told = self._witness.told
        if self._rival is not None:
            found, alike = differences(self._rival_witness.told, told)
            sys.stdout.buffer.write(msgspec.json.Encoder().encode_lines(found))
            sys.stdout.buffer.flush()
            counts = {
                change: sum(one.change == change for one in found)
                for change in ("appears", "vanishes", "severity")
            }
            _say(
                f"against the other configuration: {counts['appears']:,} appear, "
                f"{counts['vanishes']:,} vanish, {counts['severity']:,} change severity, "
                f"{alike:,} alike"
            )
        findings, scored = [], None
        if self._expected is not None:
            if self._rival is not None:
                other = self._rival_witness
                _report("the other configuration", score(self._expected, other.told, other.traffic))
            scored = score(self._expected, told, self._witness.traffic)
            _report("this configuration" if self._rival is not None else "labels", scored)
            findings = judged_recall(self._bounds, scored)
        if self._budget is not None:
            findings.append(judged_budget(self._budget, self._witness, scored))
        for finding in findings:
            _say(f"bound {'kept' if finding.kept else 'broken'}: {finding.text}")
        return 0 if all(finding.kept for finding in findings) else 1


def _report(title: str, scored: Score) -> None:
    _say(f"{title}:")
    for line in lines_of(scored):
        _say(f"  {line}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
