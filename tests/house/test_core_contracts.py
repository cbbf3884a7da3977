"""Every C function of the core says what happens to an exception."""

import ast
import importlib
import inspect
import re

from house.cython_text import functions_of
from house.tree import CORE, PACKAGE, parsed, shown

CYTHON = sorted([*CORE.glob("*.pyx"), *CORE.glob("*.pxd")])
OBJECTS = {"object", "tuple", "list", "dict", "set", "str", "bytes", "bytearray"}
"""What a function returns that reports an exception by NULL, which needs no word."""


def test_every_cdef_function_states_noexcept_or_except() -> None:
    wrong = [
        f"{shown(path, function.line)}: {function.name}"
        for path in CYTHON
        for function in functions_of(path)
        if function.kind != "def"
        and not OBJECTS & set(function.returns.split())
        and not re.search(r"\b(noexcept|except)\b", function.after)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_stubs_name_what_the_compiled_modules_have() -> None:
    wrong = []
    for path in sorted((PACKAGE / "_core").glob("*.pyi")):
        if path.stem == "__init__":
            continue
        module = importlib.import_module(f"sentinel._core.{path.stem}")
        for node in parsed(path).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
            elif isinstance(node, ast.ClassDef | ast.FunctionDef):
                name = node.name
            else:
                continue
            if not hasattr(module, name):
                wrong.append(f"{shown(path, node.lineno)}: {name} is not in the module")
            elif isinstance(node, ast.FunctionDef):
                stub = [arg.arg for arg in node.args.args]
                real = list(inspect.signature(getattr(module, name)).parameters)
                if stub != real:
                    wrong.append(f"{shown(path, node.lineno)}: {name}{real}, stub says {stub}")
    assert not wrong, "\n".join(wrong)


def test_every_compiled_module_has_a_stub() -> None:
    modules = {path.stem for path in CORE.glob("*.pyx")}
    stubs = {path.stem for path in (PACKAGE / "_core").glob("*.pyi")} - {"__init__"}
    assert modules == stubs
