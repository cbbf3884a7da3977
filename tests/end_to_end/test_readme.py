"""What the README shows is what a reader gets.

In a fenced `console` block a line that begins with `$ ` is a command; the lines up to the next one
are what it prints, standard error too. `...` stands for anything.
"""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST_LINES = 40


def commands() -> list[tuple[str, str]]:
    """Return the commands of the README with what they print, in order."""
    found: list[tuple[str, str]] = []
    for block in BLOCK.findall(README.read_text()):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].strip(), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def test_every_command_of_the_readme_prints_what_it_shows(tmp_path: Path) -> None:
    scripts = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    shown = commands()
    assert len(shown) > 5
    for command, expected in shown:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        if not doctest.OutputChecker().check_output(expected, done.stdout, doctest.ELLIPSIS):
            pytest.fail(f"$ {command}\nshown:\n{expected}\nprinted:\n{done.stdout}")


def test_the_readme_is_short_and_begins_with_what_it_is() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) < 150
    assert lines[0] == "# LLM-Sentinel"
    assert any("make demo" in line for line in lines[:FIRST_LINES])
    assert any("make test" in line for line in lines[:FIRST_LINES])
