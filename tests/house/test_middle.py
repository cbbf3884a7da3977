"""The middle thinks and never looks: no clock, no chance, no socket, no file, no log."""

import ast
import re

from house.tree import CORE, imports_of, parsed, room_of, shown, under

MIDDLE = {"intake", "engine", "alerting", "detectors", "model"}

BANNED = (
    "time",
    "random",
    "os",
    "socket",
    "asyncio",
    "logging",
    "structlog",
    "secrets",
    "threading",
    "uuid.uuid1",
    "uuid.uuid4",
    "numpy.random",
)

BANNED_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "urandom", "default_rng"}
BANNED_BUILTINS = {"open", "print", "input"}


def _is_banned(module: str) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in BANNED)


def test_the_middle_imports_no_clock_no_chance_no_socket_and_no_log() -> None:
    wrong = [
        f"{place}: {module}"
        for path in under("src/sentinel", suffixes=(".py",))
        if room_of(path) in MIDDLE
        for module, place in imports_of(path)
        if _is_banned(module)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_middle_asks_for_no_time_and_opens_nothing() -> None:
    wrong = []
    for path in under("src/sentinel", suffixes=(".py",)):
        if room_of(path) not in MIDDLE:
            continue
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if (isinstance(called, ast.Attribute) and called.attr in BANNED_CALLS) or (
                isinstance(called, ast.Name) and called.id in BANNED_BUILTINS | BANNED_CALLS
            ):
                wrong.append(f"{shown(path, node.lineno)}: {ast.unparse(called)}()")
    assert not wrong, "\n".join(wrong)


def test_the_core_is_as_pure_as_the_middle() -> None:
    wrong = []
    for path in [*CORE.glob("*.pyx"), *CORE.glob("*.pxd")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r"\s*(?:from|cimport|import)\s+([\w.]+)", line)
            if found and (_is_banned(found[1]) or found[1] in {"libc.time", "libc.stdio"}):
                wrong.append(f"{shown(path, number)}: {line.strip()}")
    assert not wrong, "\n".join(wrong)
