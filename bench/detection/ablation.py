"""What each test is worth: the same labelled streams, with one part after the other switched off.

    python bench/detection/ablation.py FOLDER [--threshold H] [--write PAGE]

FOLDER holds streams as `NAME.ndjson.gz` with `NAME.labels.json` beside them.  Without `--threshold`
everything is at its defaults.  The table goes to standard output, or between the marks
`<!-- ablation -->` and `<!-- /ablation -->` of PAGE.
"""

import argparse
import gzip
from pathlib import Path
from statistics import fmean
from typing import Final

from msgspec.structs import replace

from sentinel.alerting import Grouper, GroupingRules
from sentinel.detectors import Incidents
from sentinel.detectors.incidents import TestName
from sentinel.engine import Partition, Rules
from sentinel.intake import Intake
from sentinel.model.batch import Batch
from sentinel.replay.labels import read_labels
from sentinel.replay.scoring import Score, score
from sentinel.replay.witness import Witness
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, intake_settings

PARTS: Final[tuple[TestName, ...]] = (
    "latency",
    "prompt",
    "response",
    "cost",
    "errors",
    "cut_off",
    "user",
    "rate",
    "shift_up",
    "shift_down",
    "cluster",
    "single",
    "surge",
    "drop",
    "silence",
)
"""What is switched off in turn; the streams have no sessions and no time to first token."""
LEVELS: Final = ("easy", "medium", "hard")
_KEY = b"of the streams of a bench"


def main() -> None:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    streams = [Stream(path) for path in sorted(options.folder.glob("*.labels.json"))]
    if not streams:
        parser.error(f"{options.folder}: no labelled stream")
    chosen = Incidents(evidence_threshold=options.threshold)
    rules = replace(engine_rules(Settings()), incidents=chosen)
    rows = [row("everything", streams, rules)]
    for part in PARTS:
        without = replace(chosen, disabled_tests=(part,))
        rows.append(row(f"without {part}", streams, replace(rules, incidents=without)))
    head = ["", *(f"recall {level}" for level in LEVELS), "false", "alerts a thing", "by chance"]
    table = "\n".join(["| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows]])
    if options.write is None:
        print(table)
        return
    page = options.write.read_text()
    before, _, rest = page.partition("<!-- ablation -->\n")
    after = rest.partition("<!-- /ablation -->")[2]
    options.write.write_text(f"{before}<!-- ablation -->\n\n{table}\n\n<!-- /ablation -->{after}")


class Stream:
    """One labelled stream, taken in once."""

    def __init__(self, labels: Path) -> None:
        self.expected = read_labels(labels)
        intake = Intake(intake_settings(Settings()), key=_KEY, log_id="replay")
        name = labels.name.removesuffix(".labels.json")
        body = gzip.decompress((labels.parent / f"{name}.ndjson.gz").read_bytes())
        self.batch: Batch = intake.take(body, offset=0, received_at=None, lines=True)[0]

    def judged(self, rules: Rules) -> Score:
        """Return how good the alerts of these rules are."""
        partition, grouper, witness = (
            Partition(rules, "replay"),
            Grouper(GroupingRules()),
            Witness(),
        )
        told = grouper.tell(partition.judge(self.batch).incident_events)
        witness.see(self.batch, told)
        return score(self.expected, witness.told, witness.traffic)


def row(name: str, streams: list[Stream], rules: Rules) -> list[str]:
    """Return one row of the table: all streams together."""
    scores = [stream.judged(rules) for stream in streams]
    cells = [name]
    for level in LEVELS:
        recalls = [s.recall_by_level[level] for s in scores if level in s.recall_by_level]
        cells.append(f"{sum(r.found for r in recalls) / max(sum(r.all for r in recalls), 1):.2f}")
    false, events = sum(s.false for s in scores), sum(s.events for s in scores)
    found = sum(s.recall.found for s in scores)
    told = sum(s.right + s.false for s in scores)
    things = found + sum(s.false_groups for s in scores)
    cells += [f"{1e4 * false / events:.2f}", f"{told / max(things, 1):.2f}"]
    return [*cells, f"{fmean(s.chance or 0.0 for s in scores):.2f}"]


if __name__ == "__main__":
    main()
