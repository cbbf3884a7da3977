"""YAML as a tree that knows where each thing stands and how it was written.

A scalar stays text: whether `8080` is a number or a password is for the type of its key to say.
Nothing that YAML can build beyond text, lists and mappings is accepted: no tags, no anchors.
"""

from collections.abc import Iterator
from typing import Final

import yaml
from msgspec import Struct

from sentinel.settings.problems import Place, Problems, show

DEPTH_MAX: Final = 20
"""The deepest known key lies five levels down; no parser's stack feels twenty."""

NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML without libyaml has only the slow one."""


class Leaf(Struct):
    """One scalar; `text` is None where YAML says null."""

    place: Place
    text: str | None
    written: str
    """For messages: as written, never what a variable holds."""


class Row(Struct):
    """A list."""

    place: Place
    items: list["Node"]


class Table(Struct):
    """A mapping."""

    place: Place
    entries: dict[str, "Node"]
    keys: dict[str, Place]
    """Where each key stands, which may be lines above its value."""


Node = Leaf | Row | Table


def parse(text: str, name: str, problems: Problems, *, lines: bool = True) -> Node | None:
    """Read one YAML document; None if it is empty.

    Parameters
    ----------
    name
        What messages call the source: a path, or an environment variable.
    lines
        Whether its line numbers mean something to the reader.

    Raises
    ------
    SettingsError
        If it is not YAML or too deep; whatever allows to read on is added to `problems` instead.
    """
    try:
        return _Reader(yaml.parse(text, Loader=_LOADER), name, problems, lines).document()
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        problems.add(Place(name, line if lines else 0), "", f"not YAML: {error.reason}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1 if mark and lines else 0)
        problems.add(place, "", f"not YAML: {error.problem or error.context}")
    except UnicodeEncodeError:  # half a surrogate pair, from an environment that is not UTF-8
        problems.add(Place(name), "", "not UTF-8")
    problems.raise_found()
    return None


class _Reader:
    """Turns the parser's events into nodes, and refuses what a configuration does not need."""

    def __init__(
        self, events: Iterator[yaml.Event], name: str, problems: Problems, lines: bool
    ) -> None:
        self._events = events
        self._name = name
        self._problems = problems
        self._lines = lines

    def document(self) -> Node | None:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        root = self._node(next(self._events), "", 1)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._problems.add(self._place(after), "", "a second document, must be one")
        return root

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._name, mark.line + 1 if mark and self._lines else 0)

    def _node(self, event: yaml.Event, path: str, depth: int) -> Node:
        place = self._place(event)
        if depth > DEPTH_MAX:
            self._problems.add(place, "", f"nested deeper than {DEPTH_MAX} levels")
            self._problems.raise_found()
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._problems.add(place, path, "anchors and aliases are not allowed, quote a & or *")
        # neither is shown: an unquoted password may begin with these signs
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            self._problems.add(place, path, "tags are not allowed, quote a !")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._row(place, path, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._table(place, path, depth)
        if not isinstance(event, yaml.ScalarEvent):
            return Leaf(place, None, "")
        plain = event.implicit[0]
        text = None if plain and event.value in NULLS else event.value
        return Leaf(place, text, event.value)

    def _row(self, place: Place, path: str, depth: int) -> Row:
        row = Row(place, [])
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            row.items.append(self._node(event, f"{path}[{len(row.items)}]", depth + 1))
        return row

    def _table(self, place: Place, path: str, depth: int) -> Table:
        table = Table(place, {}, {})
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, path, depth + 1)
            name = key.written if isinstance(key, Leaf) else ""
            inner = join(path, name)
            value = self._node(next(self._events), inner, depth + 1)
            if not isinstance(key, Leaf):
                self._problems.add(key.place, path, "a key must be one word")
            elif name in table.keys:
                first = table.keys[name]
                also = f", first in line {first.line}" if first.line else ""
                self._problems.add(key.place, inner, f"given twice{also}")
            else:
                table.entries[name] = value
                table.keys[name] = key.place
        return table


def join(path: str, key: str) -> str:
    """Return the dotted path of a key in a section.

    >>> join("", "detection"), join("detection", "mad")
    ('detection', 'detection.mad')
    """
    return f"{path}.{show(key)}" if path else show(key)


def find(root: Table, path: str) -> Node | None:
    """Return what stands at a dotted path, None if nothing does."""
    node: Node | None = root
    for key in path.split("."):
        node = node.entries.get(key) if isinstance(node, Table) else None
    return node
