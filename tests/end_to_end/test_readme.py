"""What the README and the pages with commands show is what a reader gets.

In a fenced `console` block a line that begins with `$ ` is a command; the lines up to the next one
are what it prints, standard error too. `...` stands for anything.  Where port 8080 is asked, a
service of its own answers, on a free port.
"""

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from end_to_end.serving import Serving, free_port, serving, until

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
COMMANDS = ROOT / "docs" / "reference" / "command-line.md"
JUDGING = ROOT / "docs" / "how-to" / "judge-a-change.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8080"
FIRST_LINES = 40


def commands(document: Path) -> list[tuple[str, str]]:
    """Return the commands of a document with what they print, in order."""
    found: list[tuple[str, str]] = []
    for block in BLOCK.findall(document.read_text()):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].strip(), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def _has_calls(service: Serving) -> bool:
    return service.count("chat-api") >= 400


def printed(command: str, folder: Path) -> str:
    """Run a command as a reader would; return what it prints."""
    scripts = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def played(document: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each command, what it is shown to print, and what it prints."""
    with ExitStack() as stack:
        service: Serving | None = None
        for command, shown in commands(document):
            port = 8080
            if command.startswith("sentinel demo"):
                port = free_port()
                command = f"{command} --port {port}"
            elif ADDRESS in command:
                if service is None:
                    (folder / "service").mkdir()
                    service = stack.enter_context(serving(folder / "service"))
                port = service.port
                command = command.replace(ADDRESS, f"127.0.0.1:{port}")
            got = printed(command, folder).replace(f"127.0.0.1:{port}", ADDRESS)
            # Curl ends its output as the answer does, without a line feed.
            yield command, shown, got if got.endswith("\n") or not got else f"{got}\n"
            if service is not None and "api/v1/events" in command:
                # A reader is slower than the store.
                until(partial(_has_calls, service))


@pytest.mark.parametrize("document", [README, COMMANDS, JUDGING], ids=lambda path: path.name)
def test_every_command_that_is_shown_prints_what_is_shown(document: Path, tmp_path: Path) -> None:
    count = 0
    for command, shown, got in played(document, tmp_path):
        count += 1
        if not doctest.OutputChecker().check_output(shown, got, doctest.ELLIPSIS):
            pytest.fail(f"$ {command}\nshown:\n{shown}\nprinted:\n{got}")
    assert count >= 4


def test_the_readme_is_short_and_begins_with_what_it_is() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) < 150
    assert lines[0] == "# LLM-Sentinel"
    assert any("make demo" in line for line in lines[:FIRST_LINES])
    assert any("make test" in line for line in lines[:FIRST_LINES])
