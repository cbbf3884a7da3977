"""Event ids: the 128 bits of one that is given, and one from the position where none is."""

from hashlib import blake2b

from sentinel._core.columns import uuid_bits


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
        name = log_id.encode()
        # Each field goes in with its length before it, so no two lists of fields hash alike.
        self._stem = blake2b(
            b"".join((_length(name), name, *map(_number, (partition,)))),
            digest_size=16,
            person=b"sentinel event",
        )

    def at(self, offset: int, index: int) -> str:
        """Return the id of a position, in the form of a uuid of version 8 (RFC 9562: custom)."""
        state = self._stem.copy()
        state.update(_number(offset) + _number(index))
        digest = bytearray(state.digest())
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        text = digest.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _length(field: bytes) -> bytes:
    return len(field).to_bytes(4, "little")


def _number(value: int) -> bytes:
    return b"\x08\0\0\0" + value.to_bytes(8, "little", signed=True)
