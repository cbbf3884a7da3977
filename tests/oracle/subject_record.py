"""Subject records, taken apart: docs/formats/subject-record.md as NumPy types."""

import struct
from typing import Any

import numpy as np

MOMENT = [("time", "<i8"), ("offset", "<i8"), ("index", "<i8")]
SUM = [("value", "<f8"), *MOMENT, ("n", "<i4"), ("hits", "<i4")]

HEIGHT = [("excess", "<f8"), ("top", "<f8"), ("peaks", "<i8")]


def reals(*names: str) -> list[tuple[str, str]]:
    """Return fields of 64-bit numbers."""
    return [(name, "<f8") for name in names]


def wholes(*names: str) -> list[tuple[str, str]]:
    """Return fields of 32-bit whole numbers."""
    return [(name, "<i4") for name in names]


CHANNEL = np.dtype([
    ("waiting", "<i2", 64), *wholes("waiting_n", "waiting_at"), ("sums", SUM, 4),
    *reals("closing", "recent", "reference", "wander", "block_sum", "pair_sum", "pair_var", "alike",
           "wander_k", "tail_at", "tail", "tail_alone", "tail_share", "record_need",
           "median", "scale", "best", "second",
           "last_second"), ("older", "<f8", 3), *reals("excess", "excess_n", "after", "after_n"),
    *wholes("epoch_n", "epochs", "blocks", "pairs", "block_n", "since_refresh", "open_for",
            "borrowed", "own", "learned_far", "far", "open"),
])  # fmt: skip
FIT = np.dtype([("theta", "<f8", 3), ("spread", "<f8", 9), ("typical", "<f8"), ("n", "<i8")])
SHARE = np.dtype([
    ("sums", SUM, 2), *reals("calls", "hits", "closing"), ("ratio_hit", "<f8", 2),
    ("ratio_miss", "<f8", 2), *reals("usual", "recent"),
    *wholes("since_refresh", "open_for", "open_hits", "open"),
])  # fmt: skip
RATE = np.dtype([
    *((name, "<i8") for name in ("length", "bucket", "since", "calls", "next_choice")),
    ("counts", "<i4", 16), ("sums", SUM, 2), ("heights", HEIGHT, 2),
    *reals("level", "recent", "over", "wander", "block_sum", "silent_calls"),
    ("silent_from", "<i8"), ("longest", "<i8", 2), ("run_calls", "<i8"), ("run_buckets", "<i8"),
    *reals("run_expected", "z", "hour_calls"), ("hour", "<i8"),
    *wholes("hour_seconds", "buckets", "blocks", "block_n", "open_for", "open"),
    ("day", "<f4", 24), ("week", "<f4", 168), ("day_n", "u1", 24), ("week_n", "u1", 168),
])  # fmt: skip
SPEAKERS = np.dtype([
    ("usual", "<f8", 2), ("who", "<u8"),
    *wholes("n", "head", "quiet_for", "hits", "hits_of", "open"),
    *reals("expected", "nats"),
])  # fmt: skip
COUNTS = np.dtype([
    ("last", "<i8"), ("touched", "<i8"), ("calls", "<i8"), *reals("week_calls", "week_seconds"),
    ("week_at", "<i8"), *wholes("week_new", "parent"), ("high", "<f8"),
])  # fmt: skip
LEARNED = np.dtype([("learned", "<i4", 11)])
WINDOW = np.dtype([("there", "u1"), ("n", "<u2"), ("capacity", "<u2"), ("head", "<u2")])
SIZES = (CHANNEL.itemsize, FIT.itemsize, SHARE.itemsize, RATE.itemsize, SPEAKERS.itemsize)
HEAD, SIZES_AT, OFFSET_AT, NAMES_AT = 12, 12, 32, 40
ABSENT = 0xFFFF
RING = 1000


class Reading:
    """A place in a record, which moves on as it is read."""

    def __init__(self, record: bytes, at: int) -> None:
        self.record, self.at = record, at

    def take(self, dtype: Any, count: int) -> Any:
        """Return the next `count` values of a type."""
        found = np.frombuffer(self.record, dtype, count, self.at)
        self.at += found.nbytes
        return found


def body_at(record: bytes) -> int:
    """Return where the names end."""
    at = NAMES_AT
    for _ in range(4):
        (length,) = struct.unpack_from("<H", record, at)
        at += 2 + (0 if length == ABSENT else length)
    return at


def taken_apart(record: bytes) -> dict[str, Any]:
    """Return what a record holds, by name; every byte of it is accounted for."""
    assert struct.unpack_from("<5I", record, SIZES_AT) == SIZES
    reading = Reading(record, body_at(record))
    found: dict[str, Any] = {
        "counts": reading.take(COUNTS, 1)[0], "learned": reading.take("<i4", 11),
        "fits": reading.take(FIT, 3),
        "shares": reading.take(SHARE, 2), "rate": reading.take(RATE, 1)[0],
        "speakers": [], "channels": {},
    }  # fmt: skip
    for _ in range(2):
        speakers = reading.take(SPEAKERS, 1)[0]
        ring = reading.take("<u4", RING) if speakers["n"] else np.zeros(0, np.uint32)
        found["speakers"].append((speakers, in_order(ring, speakers["n"], speakers["head"], RING)))
    for which in range(6):
        there, n, capacity, head = struct.unpack_from("<BHHH", record, reading.at)
        reading.at += 7
        if there:
            channel = reading.take(CHANNEL, 1)[0]
            ordered = reading.take("<i2", n if capacity else 0)
            ring = reading.take("<i2", n if capacity else 0)
            assert (np.sort(ring) == ordered).all()
            found["channels"][which] = channel, in_order(ring, n, head, RING)
    assert reading.at == len(record)
    return found


def in_order(ring: Any, n: int, head: int, room: int) -> Any:
    """Return what a ring holds, the oldest first."""
    return np.roll(ring, -head) if n == room else ring[:n]
