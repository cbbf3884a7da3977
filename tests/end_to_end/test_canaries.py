"""One canary of each kind of personal data, in every field: found nowhere afterwards."""

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from end_to_end.serving import Serving, call, serving, until

# What is sent, and the part of it that must be found nowhere.
CANARIES = {
    "email": ("canary.bird@example.org", "canary.bird"),
    "phone": ("+49 171 5550176", "5550176"),
    "card": ("5425 2334 3010 9903", "2334 3010"),
    "iban": ("DE89 3704 0044 0532 0130 00", "0044 0532"),
    "ssn": ("536-22-8143", "22-8143"),
    "ipv4": ("203.0.113.77", "0.113.77"),
    "ipv6": ("2001:db8:7::ca4a:b17d", "ca4a:b17d"),
    "github": ("ghp_C4naryC4naryB1rdB1rd0123456789abcDEF", "C4naryC4nary"),
    "aws": ("AKIAC4NARYB2RDXYZQ34".replace("4", "5"), "C5NARYB2RD"),
    "openai": ("sk-proj-Canary0Bird1Canary2Bird3Canary4", "Canary0Bird1"),
    "jwt": (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.Canaryk2Lr8xVbN3mQpW",
        "Canaryk2Lr8",
    ),
    "pem": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIICanaryPem12345\n-----END RSA PRIVATE KEY-----",
        "CanaryPem",
    ),
    "pair": ("password=canary-hunter2", "canary-hunter2"),
    "url": ("postgres://bird:canaryPw99@db/prod", "canaryPw99"),
    "pattern": ("badge E-7311-CANARY", "7311-CANARY"),
}
PLAIN = ("a quite ordinary sentence of plaincanary words", "plaincanary")
PATTERNS = [{"name": "BADGE", "pattern": r"\bE-\d{4}-[A-Z]+\b"}]


def events_with(value: str, number: int) -> Iterator[dict[str, Any]]:
    """Yield a call for each field that can hold a text; nothing else in it is special."""
    text = f"please note: {value} and go on"
    fields: list[dict[str, Any]] = [
        {"prompt": {"text": text, "tokens": 5}},
        {"response": {"text": text, "tokens": 5}},
        {"prompt_text": text, "response_text": text},
        {"metadata": {"note": text, "n": 1}},
        {"metadata": {"user_id": value, "session_id": text}},
        {"user_id": value, "session_id": text},
        {"errors": [f"no such thing: {text}"]},
        {"unknown": {"deep": [text]}},
    ]
    if value != PLAIN[0]:  # names stay
        fields.append({"metadata": {f"{value}": "as a key", "n": 1}})
        fields += [{"event_id": f"{value} {number}"}] * ("\n" not in value)
    for place, change in enumerate(fields):
        yield call("canaries", place) | change


@pytest.fixture(scope="module", params=["redacted", "none"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """Return a service that was told all canaries and has stopped."""
    privacy = {"content": request.param, "patterns": PATTERNS}
    with serving(tmp_path_factory.mktemp("canaries"), {"privacy": privacy}) as running:
        sent = 0
        for number, (value, _) in enumerate(told(request.param).values()):
            events = list(events_with(value, number))
            running.send(*events)
            sent += len(events)
            # Refused as well, whole and cut off.
            body = json.dumps(events[0] | {"latency_ms": value}).encode()
            assert running.request("POST", "/api/v1/events", body).status == 400
            assert running.request("POST", "/api/v1/events", body[:-9]).status == 400
        until(lambda: running.count("canaries") == sent)
        paths = ("/metrics", "/api/v1/telemetry?limit=1000", "/api/v1/anomalies?limit=1000",
                 "/api/v1/incidents", "/api/v1/baselines")  # fmt: skip
        answers = b"".join(running.get(path).body for path in paths)
        (running.folder / "answers").write_bytes(answers)
        running.stop()
        yield running


def told(content: str) -> dict[str, tuple[str, str]]:
    return CANARIES | ({"plain": PLAIN} if content == "none" else {})


def everything_of(service: Serving) -> bytes:
    """Return all that the service left behind: its files as they lie there, and what is in them."""
    kept = b"".join(path.read_bytes() for path in service.folder.rglob("*") if path.is_file()
                    and path != service.config_file)  # fmt: skip
    with duckdb.connect(service.data_dir / "sentinel.duckdb", read_only=True) as store:
        for (table,) in store.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            kept += repr(store.execute(f"SELECT * FROM {table}").fetchall()).encode()
    return kept


def test_a_canary_is_in_no_file_no_log_and_no_answer(service: Serving) -> None:
    kept = everything_of(service)
    content = json.loads(service.config_file.read_text())["privacy"]["content"]
    assert b"canaries" in kept, "the calls themselves are there"
    for name, (value, part) in told(content).items():
        assert part in value
        for written in (part, json.dumps(part)[1:-1], repr(part)[1:-1]):
            assert written.encode() not in kept, name
    if content == "redacted":
        assert b"please note: [EMAIL:" in kept
        assert b"please note: badge [BADGE:" in kept
    else:
        assert b"please note" not in kept


@pytest.mark.parametrize("service", ["redacted"], indirect=True)
def test_what_was_taken_out_is_counted_by_type(service: Serving) -> None:
    answers = (service.folder / "answers").read_text()
    for kind in ("email", "phone", "card", "iban", "ssn", "ip", "api_key", "jwt", "private_key",
                 "secret", "badge", "event_id"):  # fmt: skip
        assert f'sentinel_redactions_total{{type="{kind}"}}' in answers


@pytest.mark.parametrize("shown", [[], ["--incidents"], ["--alerts"]])
def test_a_replay_prints_no_canary_and_keeps_none(tmp_path: Path, shown: list[str]) -> None:
    events = [
        event | {"timestamp": 1_772_442_000 + number, "latency_ms": 10.0 ** (number % 5)}
        for value, _ in CANARIES.values()
        for number, event in enumerate(events_with(value, 0))
    ]
    source, config = tmp_path / "calls.ndjson", tmp_path / "sentinel.yaml"
    source.write_text("\n".join(map(json.dumps, events * 4)))
    config.write_text(json.dumps({"privacy": {"patterns": PATTERNS}}))
    command = [sys.executable, "-m", "sentinel", "replay", str(source), "-c", str(config)]
    command += ["--state", str(tmp_path / "state"), *shown]
    done = subprocess.run(command, capture_output=True, check=True)
    kept = done.stdout + done.stderr
    for path in (tmp_path / "state").rglob("*"):
        kept += path.read_bytes() + _inflated(path.read_bytes()) if path.is_file() else b""
    assert done.stderr
    for name, (_, part) in CANARIES.items():
        assert part.encode() not in kept, name


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompress(data, wbits=47)
    except zlib.error:
        return b""
