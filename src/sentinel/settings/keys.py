"""Who may ask what, and how much they may send."""

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from sentinel.settings.environment import read_secret
from sentinel.settings.fields import Name
from sentinel.settings.problems import Problems
from sentinel.settings.secret import Secret
from sentinel.settings.tree import Leaf, Row, Table, find

KEY_LENGTH_MIN: Final = 16
"""Characters of a key: with fewer it can be guessed."""

_HASH: Final = re.compile("[0-9a-f]{64}")

Scope = Literal["ingest", "read", "admin"]


class Quota(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be sent; what is said is a mean, and bursts may be ahead of it."""

    events_per_second: Annotated[
        Annotated[float, Meta(gt=0, le=1e9)] | None,
        Meta(description="Events, refused ones included; absent: any number."),
    ] = None
    bytes_per_second: Annotated[
        Annotated[float, Meta(gt=0, le=1e12)] | None,
        Meta(description="Bytes of bodies, inflated; absent: any number."),
    ] = None
    burst_secs: Annotated[
        float, Meta(ge=1, le=3600, description="Seconds of it that may come at once.")
    ] = 10.0


class ApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key, of which only the hash is known here."""

    name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_.-]{0,64}$",
            description="Required; stands in metrics and in the log.",
        ),
    ] = ""
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(description="ingest: send telemetry. read: ask. admin: both, and act."),
    ] = ("ingest",)
    key_sha256: Annotated[
        Secret | None,  # somebody will put the key itself here
        Meta(description="SHA-256 of the key in hexadecimal digits: printf %s KEY | sha256sum."),
    ] = None
    key_file: Annotated[Name | None, Meta(description="File that holds the key instead.")] = None
    quota: Annotated[Quota | None, Meta(description="Absent: that of ingestion.quota.")] = None


def fill_keys(root: Table, problems: Problems) -> None:
    """Put the hash of each key that lies in a file where `key_sha256` would stand."""
    keys = find(root, "api.keys")
    for number, one in enumerate(keys.items if isinstance(keys, Row) else []):
        file = one.entries.get("key_file") if isinstance(one, Table) else None
        if not isinstance(one, Table) or not isinstance(file, Leaf) or not file.text:
            continue
        path = f"api.keys[{number}].key_file"
        if "key_sha256" in one.entries:
            problems.add(file.place, path, "give this or key_sha256, not both")
            continue
        word = read_secret(file, path, problems)
        if word is None:
            continue
        if len(word) < KEY_LENGTH_MIN:
            problems.add(file.place, path, f"must hold at least {KEY_LENGTH_MIN} characters")
            continue
        hashed = hashlib.sha256(word.encode()).hexdigest()
        one.entries["key_sha256"] = Leaf(file.place, hashed, "")
        one.keys["key_sha256"] = file.place


def faults(keys: tuple[ApiKey, ...]) -> Iterator[str]:
    """Yield what is wrong with keys that no single word shows."""
    names: set[str] = set()
    hashes: set[Secret] = set()
    for number, key in enumerate(keys):
        if not key.name:
            yield f"key {number}: name is absent, but required"
        elif key.name in names:
            yield f"key {number}: a second key of this name"
        if key.key_sha256 is None and key.key_file is None:
            yield f"key {number}: key_sha256 or key_file is required"
        elif key.key_sha256 is not None and not _HASH.fullmatch(key.key_sha256.reveal()):
            yield f"key {number}: key_sha256 must be 64 digits of 0 to f, not the key itself"
        elif key.key_sha256 in hashes:
            yield f"key {number}: the same key as one before"
        if not key.scopes:
            yield f"key {number}: scopes must name at least one"
        names.add(key.name)
        hashes |= {key.key_sha256} if key.key_sha256 else set()
