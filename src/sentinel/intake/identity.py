"""Event ids: the 128 bits of one that is given, and one from the position where none is."""

from hashlib import blake2b

from sentinel._core.columns import uuid_bits
from sentinel.model.identity import field


def bits_of(event_id: str) -> tuple[int, int]:
    """Return an id as two 64-bit halves: the uuid itself, or BLAKE2b-128 of any other text."""
    bits = uuid_bits(event_id)
    if bits is None:
        digest = blake2b(event_id.encode(), digest_size=16).digest()
        bits = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
    return bits


class PositionIds:
    """Ids for the events of one partition that bring none: the same position, the same id."""

    def __init__(self, log_id: str, partition: int) -> None:
        self._stem = blake2b(
            field(log_id) + field(partition), digest_size=16, person=b"sentinel event"
        )

    def at(self, offset: int, index: int) -> str:
        """Return the id of a position, in the form of a uuid of version 8 (RFC 9562: custom)."""
        state = self._stem.copy()
        state.update(field(offset) + field(index))
        digest = bytearray(state.digest())
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        text = digest.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
