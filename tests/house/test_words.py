"""What the files of the repository are called, and words that none of them holds."""

import re

from house.tree import ROOT, files, shown, under

BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}

# In two pieces each, so that this file does not hold them itself.
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "crates" + ".io",
    "proxy." + "golang",
)
MACHINE_PATHS = ("/work" + "/", "/root" + "/", "/home" + "/", "../" + "shared")
WORKPLACE = ("SPEC" + ".md", "PROTOCOL" + ".md", "ARCHITECTURE" + ".md", "WHAT_PEOPLE" + "_SEE")


def _lines_with(words: tuple[str, ...], *, whole: bool) -> list[str]:
    """Return where a word stands in any file that is text."""
    pattern = "|".join(map(re.escape, words))
    wanted = re.compile(rf"(?<!\w)({pattern})(?!\w)" if whole else pattern)
    found = []
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if not wanted.search(text):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if word := wanted.search(line):
                found.append(f"{shown(path, number)}: {word[0]}")
    return found


def test_no_file_has_a_name_that_says_nothing() -> None:
    wrong = [
        shown(path)
        for path in under("src", "tests", "bench", suffixes=(".py", ".pyx", ".pxd", ".pyi"))
        if path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_unfinished() -> None:
    wrong = _lines_with(UNFINISHED, whole=True)
    assert not wrong, "\n".join(wrong)


def test_no_file_names_a_registry() -> None:
    wrong = _lines_with(REGISTRIES, whole=False)
    assert not wrong, "\n".join(wrong)


def test_no_file_names_a_path_or_a_paper_of_the_machine_it_was_written_on() -> None:
    wrong = _lines_with((*MACHINE_PATHS, *WORKPLACE), whole=False)
    assert not wrong, "\n".join(wrong)


def test_the_locks_have_a_hash_for_everything_and_name_no_host() -> None:
    for path in ROOT.glob("requirements*.lock"):
        text = path.read_text()
        assert not re.search(r"://|^\s*--(?!hash=sha256:)|^\s*-[a-z]", text, re.MULTILINE), path
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            if not requirement.startswith("#"):
                assert "--hash=sha256:" in requirement, f"{path.name}: {requirement[:60]}"


def test_what_every_repository_has_is_there() -> None:
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        assert (ROOT / name).stat().st_size > 100, name
