"""Cython sources as text: there is no parser for them that a test could call."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEAD = re.compile(r"^(?P<indent> *)(?P<kind>c?p?def)\s(?P<before>[^=(]*?)(?P<name>\w+)\(")
_NO_FUNCTION = re.compile(r"\b(class|struct|enum|extern|union)\b")


class Function(NamedTuple):
    """A function, or the declaration of one."""

    kind: str
    """def, cdef or cpdef."""
    name: str
    returns: str
    """What stands before the name."""
    after: str
    """What stands between the closing bracket and the end of the head."""
    line: int
    length: int


def functions_of(path: Path) -> Iterator[Function]:
    """Yield the functions of a .pyx or .pxd file, nested ones and methods too."""
    lines = path.read_text().splitlines()
    for at, line in enumerate(lines):
        head = _HEAD.match(line)
        if head is None or _NO_FUNCTION.search(head["before"]):
            continue
        text, last = line[head.end() :], at
        depth = 1 + _depth_of(text)
        while depth > 0:
            last += 1
            text += " " + lines[last]
            depth += _depth_of(lines[last])
        end = _end_of(lines, last, len(head["indent"]))
        after = text.rpartition(")")[2].partition("#")[0].strip()
        yield Function(head["kind"], head["name"], head["before"].strip(), after, at + 1, end - at)


def _depth_of(text: str) -> int:
    return text.count("(") - text.count(")")


def _end_of(lines: list[str], head: int, indent: int) -> int:
    """Return the number of the last line of the body that follows a head; 1 is the first line."""
    end = head + 1
    for number in range(head + 1, len(lines)):
        line = lines[number]
        if line.strip():
            if len(line) - len(line.lstrip()) <= indent:
                break
            end = number + 1
    return end
