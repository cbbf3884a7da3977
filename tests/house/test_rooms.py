"""A room imports only rooms below it, and says at its door what lives in it."""

import ast
import re
import sys
from collections import defaultdict

from house.tree import CORE, PACKAGE, imports_of, parsed, room_of, shown, under

LAYERS = (
    {"cli"},
    {"demo"},
    {"service"},
    {"api", "replay"},
    {"settings"},
    {"sources", "stores", "channels", "checkpoints"},
    {"connections"},
    {"vitals"},
    {"intake", "alerting"},
    {"engine"},
    {"detectors"},
    {"producer"},
    {"model", "errors"},
)
"""From the top; rooms of one layer do not import each other."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

MAY_IMPORT_THE_CORE = {"engine", "intake"}
FOR_PRODUCERS = {"producer", "model"}
"""What an application installs to send events must stay light."""

EVERYWHERE = {"msgspec", "numpy"}
"""What everything is made of; any other library has one owner."""

OWNING_ROOMS = {"litestar": "api", "rich": "cli"}
"""What a whole room is written in: no file of another room imports it."""

SOURCES = under("src/sentinel", suffixes=(".py",))


def test_a_room_imports_only_rooms_below_it() -> None:
    wrong = []
    for path in SOURCES:
        room = room_of(path)
        for module, place in imports_of(path):
            package, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            # `__init__` and `__main__` lie beside the rooms and start the highest; the version
            # and the core are nobody's room.
            if package != "sentinel" or other in {room, "_core", "__version__"} or not room:
                continue
            if LEVEL[other] <= LEVEL[room]:
                wrong.append(f"{place}: {room} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_every_room_has_its_place() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms <= LEVEL.keys(), f"not in LAYERS: {sorted(rooms - LEVEL.keys())}"


def test_a_producer_imports_the_model_and_nothing_else_of_ours() -> None:
    wrong = [
        place
        for path in SOURCES
        if room_of(path) == "producer"
        for module, place in imports_of(path)
        if module.startswith("sentinel.") and module.split(".")[1] not in FOR_PRODUCERS
    ]
    assert not wrong, "\n".join(wrong)


def test_only_engine_and_intake_import_the_core() -> None:
    wrong = [
        place
        for path in SOURCES
        if room_of(path) not in MAY_IMPORT_THE_CORE
        for module, place in imports_of(path)
        if f"{module}.".startswith("sentinel._core.")
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_imports_nothing_of_ours() -> None:
    wrong = []
    for path in [*CORE.glob("*.py*"), *CORE.glob("*.pxd")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r"\s*(?:from|cimport|import)\s+sentinel\b(?!\._core)", line)
            if found:
                wrong.append(f"{shown(path, number)}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def test_every_room_says_what_lives_in_it_what_never_does_and_what_it_imports() -> None:
    wrong = []
    for path in PACKAGE.glob("*/__init__.py"):
        text = ast.get_docstring(parsed(path)) or ""
        missing = [w for w in ("Lives here", "Never here", "May import") if w not in text]
        if missing:
            wrong.append(f"{shown(path)}: no {', '.join(missing)}")
    assert not wrong, "\n".join(wrong)


def test_each_third_party_library_has_one_owner() -> None:
    owners = defaultdict(set)
    for path in SOURCES:
        # What an application installs shares no client with the service: it is a house of its own.
        if room_of(path) == "producer":
            continue
        for module, _ in imports_of(path):
            library = module.partition(".")[0]
            if library not in sys.stdlib_module_names | EVERYWHERE | {"sentinel"}:
                owned = room_of(path) if library in OWNING_ROOMS else shown(path)
                owners[library].add(owned)
    wrong = [
        f"{library}: {', '.join(sorted(places))}"
        for library, places in owners.items()
        if places != {OWNING_ROOMS.get(library, min(places))}
    ]
    assert not wrong, "\n".join(wrong)
