"""The command line as a whole: help, exit codes, and what is said of a configuration."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel import __version__
from sentinel.cli import main
from sentinel.demo.traffic import Traffic

CONFIGS = Path(__file__).parents[2] / "configs"
SENTINEL = (sys.executable, "-m", "sentinel")
EVENT = b'{"service_name":"a","model":"b","timestamp":1740992400,"latency_ms":5}\n'


def run(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capfd.readouterr()


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "stream.ndjson"
    path.write_bytes(EVENT * 3)
    return path


def test_without_a_command_it_serves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "taken.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        config.write_text(f"{{data_dir: {tmp_path / 'data'}, api: {{bind_addr: '{address}'}}}}")
        assert main(["-c", str(config)]) == 2
    assert "api.bind_addr" in capfd.readouterr().err


def test_help_names_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    said = capfd.readouterr().out
    assert all(command in said for command in ("serve", "replay", "score", "demo", "check"))


@pytest.mark.parametrize(
    "command", ["replay", "score", "baselines", "demo", "check", "schema", "version"]
)
def test_every_command_has_its_help(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    out, told = capfd.readouterr()
    assert (left.value.code, told) == (0, "")
    assert out.startswith(f"usage: sentinel {command} ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("unknown",),
        ("replay",),
        ("replay", "x", "--batch-size", "0"),
        ("replay", "x", "--batch-size", "many"),
        ("replay", "x", "--alerts", "--incidents"),
        ("baselines",),
        ("baselines", "export"),
        ("score",),
        ("check", "--strange"),
        ("demo", "--seed", "-1"),
        ("demo", "--seconds", "nan"),
    ],
)
def test_a_call_that_cannot_be_used_exits_with_two(
    arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, told = capfd.readouterr()
    assert (left.value.code, out) == (2, "")
    assert "usage: sentinel" in told


def test_the_version_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "version")
    assert code == 0
    assert out.startswith(f"llm-sentinel {__version__} (Python 3.")


def test_the_schema_is_json(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "schema")
    assert code == 0
    assert json.loads(out)["$schema"].startswith("https://json-schema.org/")


def test_a_good_configuration_is_said_to_be_ok(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, "check") == (0, "defaults: ok\n", "")
    path = CONFIGS / "strict.good.yaml"
    assert run(capfd, "check", "-c", path) == (0, f"{path}: ok\n", "")


def test_what_is_configured_and_not_built_is_named_loudly_by_every_command(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, stream: Path
) -> None:
    path = tmp_path / "sentinel.yaml"
    path.write_text("alerting:\n  rabbitmq:\n    url: amqp://localhost\n")
    line = "sentinel: alerting.rabbitmq is configured, but this version does not have it yet\n"
    code, out, told = run(capfd, "check", "-c", path)
    assert (code, out, told) == (0, f"{path}: ok\n", line)
    code, _, told = run(capfd, "replay", stream, "-c", path)
    assert (code, told.startswith(line)) == (0, True)


@pytest.mark.parametrize("command", [("check",), ("replay", "x"), ("score", "x")])
def test_a_bad_or_absent_configuration_exits_with_two(
    command: tuple[str, ...], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for path in (CONFIGS / "threshold_zero.bad.yaml", tmp_path / "absent.yaml"):
        code, out, told = run(capfd, *command, "-c", path)
        assert (code, out) == (2, "")
        assert str(path) in told


def test_an_absent_file_is_named_before_anything_is_judged(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, stream: Path
) -> None:
    absent = tmp_path / "absent.ndjson"
    code, out, told = run(capfd, "replay", stream, absent, "--state", tmp_path / "state")
    assert (code, out, told) == (2, "", f"sentinel: {absent}: No such file or directory\n")
    assert not (tmp_path / "state").exists()


def test_a_torn_state_is_refused_and_left_as_it_is(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, stream: Path
) -> None:
    state = tmp_path / "state"
    assert run(capfd, "replay", stream, "--state", state)[0] == 0
    (file,) = state.iterdir()
    torn = file.read_bytes()[:-3]
    file.write_bytes(torn)
    for command in (("replay", stream), ("baselines", "list")):
        code, out, told = run(capfd, *command, "--state", state)
        assert (code, out) == (2, "")
        assert str(file) in told
    assert file.read_bytes() == torn


def test_a_state_folder_that_cannot_be_written_to_exits_with_two(
    capfd: pytest.CaptureFixture[str], stream: Path
) -> None:
    code, _, told = run(capfd, "replay", stream, "--state", stream)
    assert (code, "Not a directory" in told) == (2, True)


def test_incidents_are_printed_at_their_end_or_at_the_end_of_input_unless_they_are_carried(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    traffic = Traffic(7)
    live = [body for second, body in traffic.live() if second < 70]
    path = tmp_path / "stream.ndjson"
    path.write_bytes(b"".join([*traffic.history(), *live]))
    code, out, told = run(capfd, "replay", path, "--incidents")
    incidents = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    states = [incident["state"] for incident in incidents]
    resolved, still = states.count("resolved"), states.count("open")
    assert states == ["resolved"] * resolved + ["open"] * still
    assert min(resolved, still) >= 1
    assert f" {resolved + still} incidents opened, {resolved} resolved, {still} open " in told
    code, out, told = run(capfd, "replay", path, "--incidents", "--state", tmp_path / "state")
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["resolved"] * resolved
    assert f" {still} open " in told


def test_the_fields_of_an_anomaly_line_stand_in_their_order(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "stream.ndjson"
    path.write_bytes(b"".join(Traffic(7).history()))
    _, out, _ = run(capfd, "replay", path)
    names = list(json.loads(out.splitlines()[0]))
    assert names[:3] == ["id", "timestamp", "event_id"]
    wanted = ["service", "model", "metric", "detector", "value", "score", "severity"]
    assert [name for name in names if name in wanted] == wanted
    assert {"baseline_mean", "baseline_stddev"} < set(names)


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "stream.ndjson"
    path.write_bytes(b"".join(Traffic(7).history()))
    series = tmp_path / "series.csv"
    series.write_text("".join(f"{i},{i % 7}\n" for i in range(50_000)))
    for command in (("replay", str(path)), ("score", str(series))):
        with subprocess.Popen(
            [*SENTINEL, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            told = process.stderr.read()
            code = process.wait(30)
        assert b"Traceback" not in told
        assert b"Exception ignored" not in told
        assert code == 0


def test_a_full_disk_behind_the_output_is_said_and_exits_with_two(stream: Path) -> None:
    path = stream.with_name("many.ndjson")
    path.write_bytes(b"".join(Traffic(7).history()))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*SENTINEL, "replay", str(path)], stdout=full, stderr=subprocess.PIPE, timeout=30
        )
    assert done.returncode == 2
    assert done.stderr == b"sentinel: standard output: No space left on device\n"


def test_names_of_any_language_are_printed_whatever_the_terminal_can_show(
    tmp_path: Path,
) -> None:
    path, state = tmp_path / "stream.ndjson", str(tmp_path / "state")
    path.write_bytes(EVENT.replace(b'"a"', '"ж-サービス"'.encode()) * 20)
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for command in (
        ("replay", str(path), "--state", state),
        ("baselines", "list", "--state", state),
    ):
        done = subprocess.run([*SENTINEL, *command], capture_output=True, env=env, timeout=30)
        assert done.returncode == 0, done.stderr.decode()
        assert b"Traceback" not in done.stderr
