"""From a file and the environment to `Settings`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from sentinel.settings.check import Check
from sentinel.settings.environment import expand, fill_secrets, override
from sentinel.settings.keys import fill_keys
from sentinel.settings.prices import fill_prices
from sentinel.settings.problems import Place, Problems
from sentinel.settings.schema import Settings, contradictions
from sentinel.settings.tree import Leaf, Table, find, parse

FILE_BYTES_MAX: Final = 1_048_576


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read a configuration.

    The file comes first, with the variables in its values; then what `SENTINEL__SECTION__KEY`
    says; then secrets from files and from their own variables.

    Parameters
    ----------
    path
        YAML; without a file the defaults and the environment hold.

    Raises
    ------
    SettingsError
        One line for each thing that is wrong, with file and line, or the variable's name.  A secret
        is in none of them.
    """
    problems = Problems()
    root = Table(Place(""), {}, {}) if path is None else _read(path, problems)
    expand(root, environ, problems)
    override(root, environ, problems)
    fill_secrets(root, environ, problems)
    fill_keys(root, problems)
    fill_prices(root, problems)
    plain = Check(Settings, problems).settings(root)
    settings = msgspec.convert(plain, Settings)
    for paths, text in contradictions(settings):
        if not any(problems.concern(path) for path in paths):
            problems.add(_place_of(root, paths), paths[0], text)
    problems.raise_found()
    return settings


def _read(path: Path, problems: Problems) -> Table:
    """Return the tree of a file; raise what leaves nothing to go on with."""
    name = str(path)
    root = None
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            problems.add(Place(name), "", f"larger than {FILE_BYTES_MAX} bytes")
        else:
            root = parse(content.decode("utf-8-sig"), name, problems)
    except OSError as error:
        problems.add(Place(name), "", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.add(Place(name, line), "", "not UTF-8")
    if isinstance(root, Table):
        return root
    if root is not None and not (isinstance(root, Leaf) and root.text is None):
        problems.add(root.place, "", "must be sections with keys, such as `detection:`")
    problems.raise_found()
    return Table(Place(name), {}, {})


def _place_of(root: Table, paths: tuple[str, ...]) -> Place | None:
    """Return where the first of these keys is set, None if all are defaults."""
    nodes = (find(root, path) for path in paths)
    return next((node.place for node in nodes if node is not None), None)
