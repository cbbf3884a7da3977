"""Names that are hashes: the same input in the same order gives the same ids.

An id is BLAKE2b-128 over length-prefixed fields: each field as its length in four bytes and then
its bytes, text in UTF-8, whole numbers as eight bytes, all little-endian; an absent bucket start is
a field of length 0.  docs/decisions/0002-identity.md settles which fields, and in what order.
"""

from hashlib import blake2b
from struct import Struct
from typing import Final

_TWO_NUMBERS: Final = Struct("<IqIq").pack
"""Two whole numbers as fields, in one call: every anomaly has them."""

DIGEST_BYTES: Final = 16


def field(value: str | int | None) -> bytes:
    """Return one field, with its length before it.

    >>> field("ab"), field(None)
    (b'\\x02\\x00\\x00\\x00ab', b'\\x00\\x00\\x00\\x00')
    """
    if value is None:
        data = b""
    elif isinstance(value, str):
        data = value.encode()
    else:
        data = value.to_bytes(8, "little", signed=True)
    return len(data).to_bytes(4, "little") + data


def hashed(data: bytes) -> str:
    """Return the 32 hex digits of an id."""
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


Names = tuple[str, str, str, str | None]
"""A Key, or one without a model: a service as a whole."""


def series_fields(key: Names, metric: str, detector: str, bucket: int | None = None) -> bytes:
    """Return what an id says of the series and of who judged it.

    `bucket`: where the time bucket starts, nanoseconds; None: one event's sample.
    """
    names = (*key, metric, detector, bucket)
    return b"".join(field(name) for name in names)


def position_fields(log: bytes, offset: int | None, index: int | None) -> bytes:
    """Return what an id says of the position; `log` is that of log id and partition."""
    if offset is not None and index is not None:
        return log + _TWO_NUMBERS(8, offset, 8, index)
    return log + field(offset) + field(index)


def fingerprint(key: Names, incident_type: str, event_id: str) -> str:
    """Return 16 hex digits of what an incident is about, free of source and position.

    Where time brought it, and no call, the instant stands for the event id.
    """
    return hashed(b"".join(field(name) for name in (*key, incident_type, event_id)))[:16]
