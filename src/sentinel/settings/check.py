"""A tree against the types of the settings: every fault is found, not only the first.

msgspec would stop at one fault and does not know lines.  What passes here it accepts; it still has
the last word when it builds the Structs.
"""

import math
import re
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.inspect import (
    BoolType,
    CustomType,
    DictType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
)

from sentinel.settings.problems import Problems, show
from sentinel.settings.secret import Secret
from sentinel.settings.tree import Leaf, Node, Row, Table, join

_WHOLE: Final = re.compile(r"[-+]?(0|[1-9][0-9_]{0,30})")
"""No leading zero: YAML 1.1 reads 010 as eight, people as ten."""

_NUMBER: Final = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?")

_BOOLEANS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
"""The words of YAML 1.1, in any case."""


class Check:
    """Reads nodes by type; what is wrong goes to `problems` and is left out."""

    def __init__(self, root: type[msgspec.Struct], problems: Problems) -> None:
        kind = msgspec.inspect.type_info(root)
        assert isinstance(kind, StructType)  # for the type checker
        self._root = kind
        self._problems = problems

    def settings(self, root: Table) -> dict[str, Any]:
        """Return what `msgspec.convert` can build the root Struct from."""
        return self._struct(root, self._root, "")

    def _struct(self, table: Table, kind: StructType, path: str) -> dict[str, Any]:
        types = {field.encode_name: field.type for field in kind.fields}
        read: dict[str, Any] = {}
        for key, node in table.entries.items():
            inner = join(path, key)
            if key not in types:
                text = f"unknown key{self._nearest_key(key, list(types))}"
                self._problems.add(table.keys[key], inner, text)
            elif not (isinstance(node, Leaf) and node.text is None):
                value = self._value(node, types[key], inner)
                if value is not UNSET:
                    read[key] = value
        return read

    def _nearest_key(self, key: str, known: list[str]) -> str:
        """Return what to say of a key that is not known here."""
        key = key[:100]  # matching is quadratic in the length
        elsewhere = _paths_of(key, self._root, "")
        if len(elsewhere) == 1:  # a right word in the wrong section
            return f", did you mean {elsewhere[0]}?"
        if near := get_close_matches(key.lower(), known, n=1):
            return f", did you mean {near[0]}?"
        return f", known here: {', '.join(known)}"

    def _value(self, node: Node, kind: Type, path: str) -> Any:
        """Return the plain value, UNSET after a problem."""
        kind = _bare(kind)
        if isinstance(node, Leaf) and not _is_unicode(node.text or ""):
            self._problems.add(node.place, path, "not UTF-8")
            return UNSET
        if isinstance(kind, StructType):
            if isinstance(node, Table):
                return self._struct(node, kind, path)
            return self._refuse(node, path, "a section with keys")
        if isinstance(kind, VarTupleType):
            if isinstance(node, Row):
                return self._items(node, kind, path)
            return self._refuse(node, path, "a list")
        if isinstance(kind, DictType):
            if isinstance(node, Table):
                return self._entries(node, kind, path)
            return self._refuse(node, path, "a section with keys")
        if isinstance(kind, CustomType):
            if isinstance(node, Leaf) and node.text is not None:
                return Secret(node.text)
            # not even the kind of what was got: only a secret can stand here
            self._problems.add(node.place, path, "must be text")
            return UNSET
        expected, value = _scalar(node, kind)
        return self._refuse(node, path, expected) if value is UNSET else value

    def _entries(self, table: Table, kind: DictType, path: str) -> dict[str, Any]:
        """Return what stands under keys that anybody may choose."""
        read = {
            key: self._value(node, kind.value_type, join(path, key))
            for key, node in table.entries.items()
        }
        return {key: value for key, value in read.items() if value is not UNSET}

    def _items(self, row: Row, kind: VarTupleType, path: str) -> Any:
        if kind.max_length is not None and len(row.items) > kind.max_length:
            text = f"got {len(row.items)} items, must be at most {kind.max_length}"
            self._problems.add(row.place, path, text)
            return UNSET
        items = []
        for index, node in enumerate(row.items):
            inner = f"{path}[{index}]"
            item = self._value(node, kind.item_type, inner)
            # words from a fixed set are a set: a repeated one is a slip
            if isinstance(_bare(kind.item_type), LiteralType) and item in items:
                self._problems.add(node.place, inner, f"{item} is given twice")
            elif item is not UNSET:
                items.append(item)
        return items

    def _refuse(self, node: Node, path: str, expected: str) -> Any:
        if isinstance(node, Leaf):
            # text in the place of a section or list may be a secret that slipped
            whole = expected.startswith("a section")
            got = "text" if whole else "nothing" if node.text is None else show(node.written)
        else:
            got = "a list" if isinstance(node, Row) else "a section"
        self._problems.add(node.place, path, f"got {got}, must be {expected}")
        return UNSET


def _is_unicode(text: str) -> bool:
    """Return whether a text can be written: an environment may hold bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bare(kind: Type) -> Type:
    """Return a type without its description, and without the None that may stand beside it."""
    while True:
        if isinstance(kind, Metadata):
            kind = kind.type
        elif isinstance(kind, UnionType):
            (kind,) = (one for one in kind.types if not isinstance(one, NoneType))
        else:
            return kind


def _scalar(node: Node, kind: Type) -> tuple[str, Any]:
    """Return what is expected and the value, UNSET where it is not that."""
    text = node.text if isinstance(node, Leaf) else None
    if isinstance(kind, LiteralType):
        words = [str(word) for word in kind.values]
        return _one_of(words, text), text if text in words else UNSET
    if isinstance(kind, BoolType):
        return "true or false", UNSET if text is None else _BOOLEANS.get(text.lower(), UNSET)
    if isinstance(kind, IntType):
        if text is None or not _WHOLE.fullmatch(text):
            return "a whole number", UNSET
        return _bounded(int(text), kind)
    if isinstance(kind, FloatType):
        if text is None or not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
            return "a finite number", UNSET
        return _bounded(float(text), kind)
    if isinstance(kind, StrType):
        return _fitting(text, kind)
    raise TypeError(f"settings of type {kind} cannot be read")


def _one_of(words: list[str], text: str | None) -> str:
    near = get_close_matches((text or "")[:100].lower(), words, n=1)
    return f"one of {', '.join(words)}" + (f", did you mean {near[0]}?" if near else "")


def _bounded(value: float, kind: IntType | FloatType) -> tuple[str, Any]:
    """Return the bound that a number breaks, or the number."""
    if kind.gt is not None and not value > kind.gt:
        return f"> {kind.gt:,}".replace(",", "_"), UNSET
    if kind.ge is not None and not value >= kind.ge:
        return f">= {kind.ge:,}".replace(",", "_"), UNSET
    if kind.le is not None and not value <= kind.le:
        return f"<= {kind.le:,}".replace(",", "_"), UNSET
    return "", value


def _fitting(text: str | None, kind: StrType) -> tuple[str, Any]:
    """Return the rule that a text breaks, or the text."""
    if text is None:
        return "text", UNSET
    if kind.min_length is not None and len(text) < kind.min_length:
        return f"at least {kind.min_length} character(s) long", UNSET
    if kind.max_length is not None and len(text) > kind.max_length:
        return f"at most {kind.max_length} characters long", UNSET
    if kind.pattern is not None and not re.search(kind.pattern, text):
        return f"text that matches {kind.pattern}", UNSET
    return "", text


def _paths_of(key: str, kind: StructType, path: str) -> list[str]:
    """Return where in the whole tree a key of this name is known."""
    paths = []
    for field in kind.fields:
        inner = join(path, field.encode_name)
        if field.encode_name == key.lower():
            paths.append(inner)
        bare = _bare(field.type)
        if isinstance(bare, StructType):
            paths += _paths_of(key, bare, inner)
    return paths
