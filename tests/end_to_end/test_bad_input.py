"""Bad input through the whole command line: refused with its reason, and the next event gets in."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sentinel.cli import main

A = b'{"service_name":"a","model":"b","timestamp":1740992400'
"""The beginning of a good event."""
GOOD = b'{"service_name":"good","model":"b","timestamp":1740992500,"latency_ms":5}'


class Refused(NamedTuple):
    """A line, and the code and the place that the summary names."""

    line: bytes
    code: str
    path: str = "$"


def event(**fields: Any) -> bytes:
    """Return an event as JSON, some of its fields changed; None drops one."""
    whole = {"service_name": "a", "model": "b", "timestamp": 1740992400} | fields
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


REFUSED = {
    "body": [
        Refused(b"garbage", "not_json"),
        Refused(b"null", "wrong_type"),
        Refused(b"5", "wrong_type"),
        Refused(b"[1]", "wrong_type"),
        Refused(b"{}", "missing_field", "$.service_name"),
        Refused(A, "not_json"),
        Refused(A + b"}{}", "not_json"),
        Refused(b"<event/>", "not_json"),
        Refused(event(prompt="hello"), "wrong_type", "$.prompt"),
        Refused(event(metadata=[]), "wrong_type", "$.metadata"),
    ],
    "encoding": [
        Refused(b"\xff", "not_utf8"),
        Refused((A + b"}").decode().encode("utf-16"), "not_utf8"),
        Refused(A + b',"provider":"\xc0\xaf"}', "not_utf8"),
        Refused(A + b',"provider":"\xed\xa0\x80"}', "not_utf8"),
        Refused(A + b',"provider":"\xe2\x82', "not_utf8"),
        Refused(A + b',"provider":"\\ud800"}', "not_json"),
        Refused(A + b',"provider":"\\x41"}', "not_json"),
    ],
    "number": [
        Refused(A + b',"latency_ms":NaN}', "bad_number", "$.latency_ms"),
        Refused(A + b',"latency_ms":-Infinity}', "bad_number", "$.latency_ms"),
        Refused(event(latency_ms=-1), "negative", "$.latency_ms"),
        Refused(event(latency_ms=True), "wrong_type", "$.latency_ms"),
        Refused(event(latency_ms="5"), "wrong_type", "$.latency_ms"),
        Refused(event(prompt={"tokens": 1.5}), "wrong_type", "$.prompt.tokens"),
        Refused(event(prompt={"tokens": 2**53 + 1}), "too_large", "$.prompt.tokens"),
        Refused(A + b',"cost_usd":1e400}', "too_large", "$.cost_usd"),
    ],
    "name": [
        Refused(event(service_name=""), "bad_name", "$.service_name"),
        Refused(event(service_name="a\0b"), "bad_name", "$.service_name"),
        Refused(event(service_name="x" * 257), "bad_name", "$.service_name"),
        Refused(event(service_name="\U0001f600" * 65), "bad_name", "$.service_name"),
        Refused(event(service_name=7), "wrong_type", "$.service_name"),
        Refused(event(model="\n"), "bad_name", "$.model"),
        Refused(event(model=None), "missing_field", "$.model"),
        Refused(event(environment="a\x1bb"), "bad_name", "$.environment"),
    ],
    "time": [
        Refused(event(timestamp=None), "no_time", "$.timestamp"),
        Refused(event(timestamp="yesterday"), "bad_time", "$.timestamp"),
        Refused(event(timestamp="2025-03-03T09:00:00"), "bad_time", "$.timestamp"),
        Refused(event(timestamp=-1), "bad_time", "$.timestamp"),
        Refused(event(timestamp="1969-12-31T23:59:59Z"), "bad_time", "$.timestamp"),
        Refused(event(timestamp="2400-01-01T00:00:00Z"), "bad_time", "$.timestamp"),
        Refused(event(timestamp=False), "wrong_type", "$.timestamp"),
    ],
    "size": [
        Refused(event(x="y" * 300_000), "too_big"),
        Refused(event(x="y" * 2_300_000), "too_big"),
        Refused(A + b" " * 300_000 + b"}", "too_big"),
        Refused(event(prompt={"text": "y" * 300_000}), "too_big"),
        Refused(A + b',"prompt":{"tokens":' + b"9" * 400 + b"}}", "too_large", "$.prompt.tokens"),
        Refused(A + b',"metadata":{"n":' + b"9" * 400 + b"}}", "too_large", "$.metadata[...]"),
    ],
    "nesting": [
        Refused(A + b',"x":' + b"[" * 33 + b"]" * 33 + b"}", "too_deep"),
        Refused(A + b',"x":' + b'{"a":' * 40 + b"1" + b"}" * 41, "too_deep"),
        Refused(A + b',"x":' + b"[" * 100_000, "too_deep"),
        Refused(A + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
        Refused(b"[" * 50_000, "too_deep"),
        Refused(event(metadata={"a": {}}), "wrong_type", "$.metadata[...]"),
    ],
}
CASES = [
    pytest.param(case, id=f"{kind}-{number}")
    for kind, cases in REFUSED.items()
    for number, case in enumerate(cases)
]

FLAGGED = [
    event(latency_ms=4e6),
    event(latency_ms=0.01),
    event(cost_usd=5000),
    event(prompt={"tokens": 20_000_000}),
]

WRONG_SETTINGS = [
    ("detection:\n  zscore:\n    threshold: 0\n", 3, "detection.zscore.threshold"),
    ("detection:\n  zscore:\n    thresold: 3\n", 3, "detection.zscore.thresold"),
    ("detection:\n  baseline:\n    window_size: many\n", 3, "detection.baseline.window_size"),
    ("detection:\n  enabled_detectors: [zscore, prophet]\n", 2, "detection.enabled_detectors"),
    ("ingestion:\n  validation:\n    max_tokens: -1\n", 3, "ingestion.validation.max_tokens"),
    ("detection:\n  time_zone: Mars/Olympus\n", 2, "detection.time_zone"),
    ("alerting:\n  deduplication: on\n", 2, "alerting.deduplication"),
]


def replay(
    data: bytes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[int, str, str]:
    """Replay standard input; return the exit code and both outputs."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code = main(["replay", "-", *options])
    return code, *capfd.readouterr()


def test_there_are_enough_cases_of_each_kind() -> None:
    assert all(len(cases) >= 5 for cases in REFUSED.values())
    assert len(WRONG_SETTINGS) >= 5
    assert len(CASES) + len(FLAGGED) + len(WRONG_SETTINGS) >= 40


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_its_reason_and_the_next_event_gets_in(
    case: Refused, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = case.line + b"\n" + GOOD + b"\n"
    code, out, told = replay(data, capfd, monkeypatch, "--alerts")
    first, summary, reason = told.splitlines()
    assert (code, out) == (0, "")
    assert first.startswith("1 events ")
    assert summary == f"refused 1 of 2 inputs: {case.code} 1"
    assert reason.startswith(f"  input 0 {case.path}: ")
    assert len(reason) < 150


@pytest.mark.parametrize("line", FLAGGED)
def test_what_is_only_unlikely_is_flagged_or_refused_as_the_settings_say(
    line: bytes,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    data = line + b"\n" + GOOD + b"\n"
    code, _, told = replay(data, capfd, monkeypatch)
    assert code == 0
    # Tokens of a model that nobody has heard of have no price, which is said, too.
    said = [words for words in told.splitlines()[1:] if not words.startswith("without a price")]
    assert said == ["flagged: over_limit 1"]
    settings = tmp_path / "strict.yaml"
    settings.write_text("ingestion:\n  validation:\n    on_limit: refuse\n")
    code, _, told = replay(data, capfd, monkeypatch, "-c", str(settings))
    assert code == 0
    assert told.splitlines()[1] == "refused 1 of 2 inputs: over_limit 1"


@pytest.mark.parametrize(("text", "line", "key"), WRONG_SETTINGS)
@pytest.mark.parametrize("command", [("check",), ("replay", "-")])
def test_a_wrong_setting_is_named_with_its_file_line_and_key(
    command: tuple[str, ...],
    text: str,
    line: int,
    key: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "sentinel.yaml"
    path.write_text(text)
    code = main([*command, "-c", str(path)])
    out, told = capfd.readouterr()
    assert (code, out) == (2, "")
    assert f"{path}:{line} {key}" in told
    assert "Traceback" not in told


def test_all_of_it_at_once_in_a_process_of_its_own_leaves_the_good_events(tmp_path: Path) -> None:
    lines = [line for cases in REFUSED.values() for case in cases for line in (case.line, GOOD)]
    path = tmp_path / "all.ndjson"
    path.write_bytes(b"\n".join(lines))
    for options in ((), ("--batch-size", "1")):
        done = subprocess.run(
            [sys.executable, "-m", "sentinel", "replay", str(path), *options],
            capture_output=True,
            timeout=60,
        )
        told = done.stderr.decode()
        assert done.returncode == 0
        assert told.startswith(f"{len(CASES)} events ")
        assert f"refused {len(CASES)} of {2 * len(CASES)} inputs: " in told
        assert "Traceback" not in told
        assert "yyyy" not in told, "what was refused is never shown"
