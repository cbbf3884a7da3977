"""What the environment adds to a configuration: variables in values, overrides, secrets."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sentinel.settings.problems import Place, Problems
from sentinel.settings.tree import NULLS, Leaf, Node, Row, Table, find, join, parse

PREFIX: Final = "SENTINEL__"

SECRETS: Final = {
    "ingestion.kafka.sasl_password": "KAFKA_SASL_PASSWORD",
    "ingestion.kafka.ssl_key_password": "KAFKA_SSL_KEY_PASSWORD",
    "privacy.key": "SENTINEL_PRIVACY_KEY",
    "storage.influxdb.token": "INFLUXDB_TOKEN",
    "storage.redis.password": "REDIS_PASSWORD",
    "alerting.rabbitmq.password": "RABBITMQ_PASSWORD",
    "alerting.webhook.secret": "WEBHOOK_SECRET",
}
"""Every secret key, and the variable that fills it where its section says nothing."""

SECRET_BYTES_MAX: Final = 65_536
"""No password is that long; a path such as /dev/zero is not read to its end."""

_REFERENCE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]{0,1024}))?\}"
    r"|(?P<broken>\{))"
)


def expand(table: Table, environ: Mapping[str, str], problems: Problems, path: str = "") -> None:
    """Put variables into the values of a tree, once: what a variable holds is not looked at again.

    `${VAR}` unset takes its whole key or item out, as if it had not been written.  As in a shell,
    `${VAR:-default}` also stands in for an empty variable; the default is taken as it stands.
    `$$` is `$`.
    """
    for key, node in list(table.entries.items()):
        kept = _expanded(node, environ, problems, join(path, key))
        if kept is None:
            del table.entries[key], table.keys[key]


def _expanded(node: Node, environ: Mapping[str, str], problems: Problems, path: str) -> Node | None:
    """Expand a node in place and return it, None if it is to go."""
    if isinstance(node, Table):
        expand(node, environ, problems, path)
    elif isinstance(node, Row):
        items = [
            _expanded(item, environ, problems, f"{path}[{index}]")
            for index, item in enumerate(node.items)
        ]
        node.items = [item for item in items if item is not None]
    elif node.text is not None and "$" in node.text:
        references = list(_REFERENCE.finditer(node.text))
        if any(reference["broken"] for reference in references):
            problems.add(node.place, path, "not a variable after ${, must be ${NAME}; $$ is a $")
        elif any(_lookup(reference, environ) is None for reference in references):
            return None
        else:
            node.text = _REFERENCE.sub(lambda found: _lookup(found, environ) or "", node.text)
    return node


def _lookup(reference: re.Match[str], environ: Mapping[str, str]) -> str | None:
    """Return what stands for one reference, None for an unset variable without a default."""
    if reference["dollar"]:
        return "$"
    value = environ.get(reference["name"])
    return value or reference["default"] if reference["default"] is not None else value


def override(root: Table, environ: Mapping[str, str], problems: Problems) -> None:
    """Put each `SENTINEL__SECTION__KEY` in the place of what the file says.

    A value that begins like a YAML list, mapping or quoted text is read as one; any other is text
    as it stands.  A secret is always text, whatever it begins with.
    """
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        *sections, key = variable.removeprefix(PREFIX).lower().split("__")
        path = ".".join([*sections, key])
        node = _valued(environ[variable], path, variable, problems)
        table: Node | None = root
        for section in sections:
            table = _section(table, section, variable)
        if isinstance(table, Table):
            table.entries[key] = node
            table.keys[key] = node.place
        else:
            problems.add(Place(variable), ".".join(sections), "not a section, has no keys")


def _valued(value: str, path: str, variable: str, problems: Problems) -> Node:
    """Return the node for one override."""
    place = Place(variable)
    if path in SECRETS:
        return Leaf(place, value or None, "")
    value = value.strip()
    if value.startswith(("[", "{", '"', "'")):
        return parse(value, variable, problems, lines=False) or Leaf(place, None, "")
    return Leaf(place, None if value in NULLS else value, value)


def _section(table: Node | None, section: str, variable: str) -> Node | None:
    """Return the table of a section, made if it is not there or empty."""
    if not isinstance(table, Table):
        return None
    found = table.entries.get(section)
    if found is None or (isinstance(found, Leaf) and found.text is None):
        found = table.entries[section] = Table(Place(variable), {}, {})
        table.keys[section] = found.place
    return found


def fill_secrets(root: Table, environ: Mapping[str, str], problems: Problems) -> None:
    """Give each configured section the secret that it leaves to a file or to the environment.

    A file that is not there is like a variable that is not set: the key is absent, and a
    configuration can be checked and replayed on a machine that has none of its secrets.
    """
    for path, variable in SECRETS.items():
        section_path, _, key = path.rpartition(".")
        section = find(root, section_path)
        if not isinstance(section, Table):
            continue
        given = _is_given(section.entries.get(key))
        file = section.entries.get(f"{key}_file")
        if isinstance(file, Leaf) and file.text:
            if given:
                problems.add(file.place, f"{path}_file", f"give this or {key}, not both")
                continue
            word = read_secret(file, f"{path}_file", problems)
            place = file.place
        elif not given:
            word, place = environ.get(variable), Place(variable)
        else:
            continue
        if word:
            section.entries[key] = Leaf(place, word, "")
            section.keys[key] = place


def _is_given(node: Node | None) -> bool:
    """Return whether a key says anything; null does not."""
    return node is not None and not (isinstance(node, Leaf) and node.text is None)


def read_secret(file: Leaf, path: str, problems: Problems) -> str | None:
    """Return what the file holds without the line end that editors leave there."""
    try:
        with Path(file.text or "").open("rb") as stream:
            content = stream.read(SECRET_BYTES_MAX + 1)
        if len(content) > SECRET_BYTES_MAX:
            problems.add(file.place, path, f"larger than {SECRET_BYTES_MAX} bytes")
        else:
            return content.decode().removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        problems.add(file.place, path, "not UTF-8")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.add(file.place, path, f"cannot be read: {reason}")
    return None
