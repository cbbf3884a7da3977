"""Stable stand-ins for user and session ids.

`u-` and 24 hexadecimal digits: 8 bytes of keyed BLAKE2b of the id, then 4 bytes of a keyed MAC over
those.  Who has the key recognises a pseudonym and leaves it as it is, so that intake of what intake
made changes nothing; who has not can make none that passes for one.  Two ids of 2^32 share a
pseudonym with a chance of about one half (birthday bound on 64 bits).
"""

import hmac
from hashlib import blake2b
from typing import Final

CACHE_MAX: Final = 65_536
"""Pseudonyms remembered; a full table is emptied, since making one costs two microseconds."""

_DIGITS: Final = 24


class Pseudonyms:
    """Pseudonyms of one kind of id, under one key.

    `known` maps ids, and pseudonyms to themselves; it only saves time.
    """

    def __init__(self, key: bytes, *, prefix: str) -> None:
        self.known: dict[str | int, str] = {}
        self._key = key
        self._prefix = prefix + "-"
        self._person = f"sentinel {prefix}".encode()
        self._mac_person = f"sentinel {prefix} mac".encode()

    def of(self, identity: str | int) -> str:
        """Return the pseudonym of an id; a number is the same id as its digits."""
        found = self.known.get(identity)
        if found is None:
            text = str(identity)
            found = text if self.is_pseudonym(text) else self._make(text)
            if len(self.known) >= CACHE_MAX:
                self.known.clear()
            self.known[identity] = found
        return found

    def is_pseudonym(self, text: str) -> bool:
        """Tell whether a text is a pseudonym made with this key."""
        digits = text[len(self._prefix) :]
        if not text.startswith(self._prefix) or len(digits) != _DIGITS or not digits.isascii():
            return False
        try:
            digest = bytes.fromhex(digits[:16])
        except ValueError:
            return False
        # The digits have one spelling: anything else is an id like any other.
        return hmac.compare_digest(text, self._spell(digest))

    def _make(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        return self._spell(blake2b(raw, digest_size=8, key=self._key, person=self._person).digest())

    def _spell(self, digest: bytes) -> str:
        mac = blake2b(digest, digest_size=4, key=self._key, person=self._mac_person)
        return f"{self._prefix}{digest.hex()}{mac.hexdigest()}"
