"""`sentinel replay` as a judge: labels, bounds, another configuration, baselines to keep."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from scenes.judged import START, label
from sentinel.cli import main
from sentinel.replay.run import Replay
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, grouping_rules
from sentinel.sources.journal import CONTROL, EVENTS, Journal
from sentinel.sources.segments import Record

Run = Callable[..., tuple[int, str, str]]
CALLS, SLOW_FROM = 400, 300
"""A call a second; the last hundred are slow."""


@pytest.fixture
def sentinel(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return run


def calls(number: int = CALLS) -> bytes:
    lines = [
        {
            "service_name": "chat",
            "model": "m",
            "timestamp": START + second,
            "latency_ms": 800 + second * 37 % 200 + (second >= SLOW_FROM) * 4000,
        }
        for second in range(number)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "stream.ndjson"
    path.write_bytes(calls())
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Return labels of which the first is told and the second is not."""
    slow = label(SLOW_FROM, CALLS, level="easy", kind="slow disk")
    dear = label(SLOW_FROM, CALLS, level="hard", kind="dear", family="cost")
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"incidents": [slow, dear]}))
    return path


def test_labels_print_a_report_and_the_alerts(sentinel: Run, stream: Path, labels: Path) -> None:
    code, out, told = sentinel("replay", stream, "--labels", labels)
    assert code == 0
    assert "recall         0.50 (1 of 2)" in told
    assert "missed: incident 1 (dear) chat/m" in told
    assert out == sentinel("replay", stream, "--alerts")[1]
    assert len(out.splitlines()) > 0


def test_what_was_asked_to_be_printed_is_printed_with_labels_too(
    sentinel: Run, stream: Path, labels: Path
) -> None:
    asked = sentinel("replay", stream, "--labels", labels, "--incidents")[1]
    assert asked == sentinel("replay", stream, "--incidents")[1]


@pytest.mark.parametrize(
    ("bound", "code", "said"),
    [
        ("easy=1", 0, "bound kept: recall of easy is 1.000 (1 of 1), the least is 1\n"),
        ("slow disk=1", 0, "bound kept: recall of slow disk is 1.000"),
        ("hard=0.1", 1, "bound broken: recall of hard is 0.000 (0 of 1), the least is 0.1\n"),
        ("all=0.6", 1, "bound broken: recall of all is 0.500 (1 of 2), the least is 0.6\n"),
    ],
)
def test_too_little_recall_exits_with_one_and_the_bound(
    bound: str, code: int, said: str, sentinel: Run, stream: Path, labels: Path
) -> None:
    got, _, told = sentinel("replay", stream, "--labels", labels, "--least-recall", bound)
    assert (got, said in told) == (code, True), told


def test_one_broken_bound_among_kept_ones_is_enough(
    sentinel: Run, stream: Path, labels: Path
) -> None:
    bounds = ("--least-recall", "easy=1", "--least-recall", "hard=1", "--budget", "0/week")
    code, _, told = sentinel("replay", stream, "--labels", labels, *bounds)
    assert code == 1
    assert told.count("bound kept: ") == 2
    assert told.count("bound broken: ") == 1


def test_a_budget_holds_all_alerts_and_with_labels_false_ones(
    sentinel: Run, stream: Path, labels: Path
) -> None:
    code, out, told = sentinel("replay", stream, "--budget", "1/week")
    assert code == 1
    assert "bound broken: alerts a service-week are " in told
    assert out == sentinel("replay", stream, "--alerts")[1]
    code, _, told = sentinel("replay", stream, "--budget", "1/week", "--labels", labels)
    assert code == 0
    assert "bound kept: false alerts a service-week are 0.00 (0 in 0.00 service-weeks)" in told
    assert sentinel("replay", stream, "--budget", "1000000/week")[0] == 0


def test_labels_that_cannot_be_used_exit_with_two_before_anything_is_judged(
    sentinel: Run, stream: Path, labels: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"incidents": [{}]}')
    for arguments, said in (
        (("--labels", bad), f"{bad}: incidents[0]: object missing required field `start`"),
        (("--labels", tmp_path / "absent"), "absent: No such file"),
        (("--labels", labels, "--least-recall", "eazy=1"), "no incident of level or kind 'eazy'"),
        (("--least-recall", "easy=1"), "--least-recall needs --labels"),
        (("--diff", labels, "--state", tmp_path / "state"), "--diff takes no --state"),
        (("--diff", tmp_path / "absent.yaml"), "absent.yaml"),
    ):
        code, out, told = sentinel("replay", stream, *arguments)
        assert (code, out) == (2, "")
        assert said in told
        assert "events" not in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("--least-recall", "easy"),
        ("--least-recall", "=1"),
        ("--least-recall", "easy=2"),
        ("--least-recall", "easy=nan"),
        ("--budget", "1"),
        ("--budget", "-1/week"),
        ("--budget", "1/day"),
        ("--diff", "x", "--alerts"),
    ],
)
def test_a_bound_that_is_none_exits_with_two(
    arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["replay", "x", *arguments])
    assert left.value.code == 2
    assert "usage: sentinel" in capfd.readouterr().err


# Another configuration


@pytest.fixture
def deaf(tmp_path: Path) -> Path:
    """Return a configuration under which every latency counts as absent, so nothing opens."""
    path = tmp_path / "deaf.yaml"
    path.write_text("ingestion: {validation: {min_latency_ms: 3000000}}")
    return path


@pytest.fixture
def same(tmp_path: Path) -> Path:
    """Return a configuration that changes nothing."""
    path = tmp_path / "same.yaml"
    path.write_text("")
    return path


def test_a_difference_says_what_appears_and_what_vanishes(
    sentinel: Run, stream: Path, deaf: Path, same: Path
) -> None:
    alerts = [json.loads(line) for line in sentinel("replay", stream, "--alerts")[1].splitlines()]
    worst = alerts[-1]["severity"]
    for arguments, change, severities, said in (
        (("--diff", deaf), "appears", (None, worst), "1 appear, 0 vanish"),
        (("-c", deaf, "--diff", same), "vanishes", (worst, None), "0 appear, 1 vanish"),
    ):
        code, out, told = sentinel("replay", stream, *arguments)
        assert code == 0
        (line,) = map(json.loads, out.splitlines())
        assert (line["change"], line["fingerprint"]) == (change, alerts[0]["fingerprint"])
        assert (line["severity_before"], line["severity_after"]) == severities
        assert (line["service"], line["title"]) == ("chat", alerts[0]["title"])
        assert f"against the other configuration: {said}, 0 change severity, 0 alike" in told


def test_the_same_configuration_makes_no_difference(
    sentinel: Run, stream: Path, same: Path
) -> None:
    code, out, told = sentinel("replay", stream, "--diff", same)
    assert (code, out) == (0, "")
    assert "0 appear, 0 vanish, 0 change severity, 1 alike" in told


def test_both_configurations_are_held_against_labels_and_bounds_hold_the_first(
    sentinel: Run, stream: Path, labels: Path, deaf: Path
) -> None:
    asked = ("--labels", labels, "--least-recall", "easy=1")
    code, _, told = sentinel("replay", stream, *asked, "--diff", deaf)
    other, _, this = told.partition("this configuration:")
    assert code == 0
    assert "0.00 (0 of 2)" in other
    assert "0.50 (1 of 2)" in this
    assert sentinel("replay", stream, *asked, "-c", deaf)[0] == 1


def test_a_configuration_that_is_judged_holds_whatever_rules_stand_in_a_journal() -> None:
    of_the_day = msgspec.convert({"detection": {"enabled_detectors": ["mad"]}}, Settings)
    control = {
        "kind": "configure",
        "rules": engine_rules(of_the_day),
        "grouping": grouping_rules(of_the_day),
    }
    records = [
        Record(0, CONTROL, START * 10**9, "default", msgspec.json.encode(control)),
        Record(1, EVENTS, (START + CALLS) * 10**9, "default", calls()),
    ]
    for keep_rules, judged_by in ((False, of_the_day), (True, Settings())):
        replay = Replay(Settings(), "a log", keep_rules=keep_rules)
        for record in records:
            replay.judge_record(record)
        assert replay.partition.rules == engine_rules(judged_by)
        assert replay.counts.admitted == CALLS
        assert replay.partition.next_offset == 2


def test_a_journal_is_judged_by_two_configurations(
    sentinel: Run, same: Path, labels: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    journal = Journal.open(
        folder, on_durable=lambda _: None, on_failed=lambda *_: None, on_broken=lambda _: None
    )
    journal.start()
    journal.append(EVENTS, calls(), received_at=(START + CALLS) * 10**9, token=None)
    journal.close()
    code, out, told = sentinel("replay", folder, "--labels", labels, "--diff", same)
    assert (code, out) == (0, "")
    assert "1 alike" in told
    assert told.count("0.50 (1 of 2)") == 2


# Baselines to keep


def test_what_a_replay_learned_can_be_kept_and_imported(
    sentinel: Run, stream: Path, tmp_path: Path
) -> None:
    kept, exported, state = tmp_path / "kept", tmp_path / "exported", tmp_path / "state"
    code, _, told = sentinel("replay", stream, "--save-baselines", kept, "--state", state)
    assert (code, f" records written to {kept}" in told) == (0, True)
    sentinel("baselines", "export", exported, "--state", state)
    assert kept.read_bytes() == exported.read_bytes()
    code, _, told = sentinel("baselines", "import", kept, "--state", tmp_path / "other")
    assert (code, told) == (0, f"{len(kept.read_bytes().splitlines())} records added\n")
    nowhere = tmp_path / "no" / "where"
    assert sentinel("replay", stream, "--save-baselines", nowhere)[0] == 2
