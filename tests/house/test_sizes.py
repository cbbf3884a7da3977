"""Files and functions stay small enough to be read in one go."""

import ast

from house.cython_text import functions_of
from house.tree import parsed, shown, under

FILE_LINES = 400
FUNCTION_LINES = 70
POSITIONAL = 5

PYTHON = under("src", "tests", "bench", suffixes=(".py",))
CYTHON = under("src", suffixes=(".pyx", ".pxd"))


def test_files_have_fewer_than_400_lines() -> None:
    wrong = []
    for path in [*PYTHON, *CYTHON]:
        count = len(path.read_text().splitlines())
        if count >= FILE_LINES:
            wrong.append(f"{shown(path)}: {count} lines")
    assert not wrong, "\n".join(wrong)


def test_python_functions_have_fewer_than_70_lines() -> None:
    wrong = []
    for path in PYTHON:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                count = node.end_lineno - node.lineno + 1
                if count >= FUNCTION_LINES:
                    wrong.append(f"{shown(path, node.lineno)}: {node.name}, {count} lines")
    assert not wrong, "\n".join(wrong)


def test_cython_functions_have_fewer_than_70_lines() -> None:
    wrong = [
        f"{shown(path, function.line)}: {function.name}, {function.length} lines"
        for path in CYTHON
        for function in functions_of(path)
        if function.length >= FUNCTION_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_take_at_most_5_arguments_by_position() -> None:
    wrong = []
    for path in under("src/sentinel", "bench", suffixes=(".py",)):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [arg.arg for arg in [*node.args.posonlyargs, *node.args.args]]
                count = len(names) - (names[:1] in (["self"], ["cls"]))
                if count > POSITIONAL:
                    wrong.append(f"{shown(path, node.lineno)}: {node.name} takes {count}")
    assert not wrong, "\n".join(wrong)
