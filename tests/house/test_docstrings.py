"""The examples in docstrings run."""

import doctest
import importlib

import pytest

from house.tree import CORE, ROOT, under

MODULES = sorted(
    {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in under("src/sentinel", suffixes=(".py",))
        if path.name != "__main__.py"
    }
    | {f"sentinel._core.{path.stem}" for path in CORE.glob("*.pyx")}
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_there_are_examples_in_python_and_in_the_core() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in ("sentinel.model.identity", "sentinel._core.reports"):
        found = finder.find(importlib.import_module(name))
        assert sum(len(test.examples) for test in found) > 0, name
