"""What the tests of the house read: the files of the repository, and what the code imports."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "sentinel"
CORE = ROOT / "src" / "_core"


class Import(NamedTuple):
    """One import: the dotted module, and where it stands."""

    module: str
    place: str


def shown(path: Path, line: int = 0) -> str:
    """Return a place as an editor understands it."""
    name = str(path.relative_to(ROOT))
    return f"{name}:{line}" if line else name


@cache
def files() -> tuple[Path, ...]:
    """Return every file of the repository that .gitignore does not name, sorted."""
    lines = (ROOT / ".gitignore").read_text().split()
    ignored = {".git", ".venv", *(line.strip("/").rpartition("/")[2] for line in lines)}
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in ignored)
        found += [Path(folder) / name for name in names if name not in ignored]
    return tuple(sorted(found))


def under(*folders: str, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files with one of these suffixes in one of these folders."""
    tops = [ROOT / folder for folder in folders]
    return [
        path
        for path in files()
        if path.suffix in suffixes and any(path.is_relative_to(top) for top in tops)
    ]


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text(), str(path))


def imports_of(path: Path) -> Iterator[Import]:
    """Yield what a Python file imports anywhere in it, also by `import_module("...")`.

    `from a import b` counts as a.b: whether b is a module or a name, it lies in a.
    """
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(name.name, shown(path, node.lineno))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{shown(path, node.lineno)}: a relative import"
            for name in node.names:
                yield Import(f"{node.module}.{name.name}", shown(path, node.lineno))
        elif isinstance(node, ast.Call) and _called(node) == "import_module":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(first.value, shown(path, node.lineno))


def _called(node: ast.Call) -> str:
    """Return the last word of what is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def room_of(path: Path) -> str:
    """Return the room of a file of the package; "" for the files that lie beside the rooms."""
    first = path.relative_to(PACKAGE).parts[0]
    return "errors" if first == "errors.py" else "" if first.endswith(".py") else first
