"""The documents point at what is there."""

import re
from pathlib import Path

import pytest

from house.tree import ROOT, files, shown

DOCUMENTS = [path for path in files() if path.suffix == ".md"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PARTS = (
    "Context",
    "Decision",
    "Drawbacks",
    "Alternatives",
    "How we would know we were wrong",
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(
    r"`((?:src|tests|docs|bench|conf|examples)/[\w./-]+"
    r"|(?:[\w-]+/)*[\w-]+\.(?:pyx|pxd|pyi|py|md|toml|build))`"
)


def _prose(path: Path) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def _anchors(path: Path) -> set[str]:
    """Return what the headings of a document can be linked by."""
    headings = re.findall(r"^#+ +(.+)$", _prose(path), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.strip().replace(" ", "-") for word in words}


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(_prose(document)):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_files_that_a_document_names_exist(document: Path) -> None:
    tops = (ROOT, ROOT / "src" / "sentinel", ROOT / "src" / "_core", document.parent)
    for name in _PATH.findall(_prose(document)):
        assert any((top / name).exists() for top in tops), name


def test_the_tour_names_the_files_that_it_walks_through() -> None:
    assert len(set(_PATH.findall(_prose(ROOT / "docs" / "tour.md")))) >= 12


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("document", DECISIONS, ids=shown)
def test_a_decision_says_what_else_was_possible_and_how_it_could_be_wrong(document: Path) -> None:
    headings = re.findall(r"^## (.+)$", _prose(document), re.MULTILINE)
    assert headings == list(PARTS)
    assert len(document.read_text().splitlines()) < 90, "a decision is one page"
