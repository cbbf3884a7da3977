"""Who asks: keys by their hashes, and what each may do."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

from sentinel.errors import SettingsError
from sentinel.settings.keys import ApiKey, Scope


class Caller(NamedTuple):
    """Who presented a key."""

    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Say whether a request of this scope is allowed; admin may everything."""
        return scope in self.scopes or "admin" in self.scopes


class Keyring:
    """Knows keys by their hashes; the keys themselves are nowhere.

    Raises
    ------
    SettingsError
        A key lies in a file that is not there.
    """

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._known: list[tuple[bytes, Caller]] = []
        for key in keys:
            if key.key_sha256 is None:
                raise SettingsError(
                    f"api.keys: {key.name}: there is no file {key.key_file}",
                    "write the key to it, or name its hash as key_sha256",
                )
            caller = Caller(key.name, frozenset(key.scopes))
            self._known.append((bytes.fromhex(key.key_sha256.reveal()), caller))

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._known)

    def caller(self, presented: bytes) -> Caller | None:
        """Return whose key this is, in a time that tells nothing about any key."""
        digest = hashlib.sha256(presented).digest()
        found = None
        for known, caller in self._known:
            if hmac.compare_digest(known, digest):
                found = caller
        return found
