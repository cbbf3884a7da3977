"""Subject records: torn or changed ones are told, whatever stands in them."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest

from oracle.subject_record import (
    CHANNEL,
    COUNTS,
    FIT,
    HEAD,
    LEARNED,
    NAMES_AT,
    RATE,
    RING,
    SHARE,
    SIZES_AT,
    SPEAKERS,
    WINDOW,
    body_at,
    taken_apart,
)  # fmt: skip
from oracle.telemetry import IDLE_NS, SECOND_NS, Observed, busy_events, laws, new_partition, scaled
from sentinel._core import evidence_records
from sentinel._core.evidence import Evidence

Key = tuple[str, str, str, str | None]


def new_evidence() -> Evidence:
    return Evidence(lateness_ns=10 * SECOND_NS, idle_ns=IDLE_NS, **laws())


@cache
def spoken() -> Observed:
    """Return a partition that has seen a long stream."""
    partition = new_partition()
    events, _ = busy_events(np.random.default_rng(2), 2)
    partition.judge(*events.columns(0, len(events)))
    return partition


@cache
def kept() -> list[tuple[Key, bytes]]:
    """Return the records of some subjects: with everything, of a service, of a guest."""
    evidence = spoken().evidence
    live = sorted(evidence.subjects_live(spoken().clock), key=repr)
    return [(key, evidence_records.save(evidence, key, 9)) for key in live]


def sealed(record: bytes) -> bytes:
    """Return a record whose checksum is right."""
    checksum = zlib.crc32(record[HEAD:], zlib.crc32(record[:8]))
    return record[:8] + checksum.to_bytes(4, "little") + record[HEAD:]


def refused(record: bytes) -> None:
    """Assert that a record is refused, and that what is there still judges."""
    evidence = new_evidence()
    with pytest.raises(evidence_records.BadRecord):
        evidence_records.load(evidence, record)
    for key, good in kept()[:2]:
        evidence_records.load(evidence, good)
        assert evidence_records.save(evidence, key, 9) == good


def go_on(evidence: Evidence, key: Key) -> None:
    """Let a subject speak for a while, from where it stands."""
    n = 400
    names = (key[0], key[1], key[2], key[3] or "m")
    time = spoken().clock + np.arange(n, dtype=np.int64) * 3 * SECOND_NS
    values = np.exp(np.random.default_rng(1).normal(4, 0.5, (n, 8)))
    values[:, 7] = 0
    ones = np.ones(n, np.uint32)
    evidence.judge([names], np.zeros(n, np.int32), values, time, time, ones.astype(np.uint8), ones,
                   ones)  # fmt: skip
    evidence.findings()


def test_a_record_names_its_subject_and_gives_back_every_byte() -> None:
    for key, record in kept():
        assert evidence_records.read(record)[:2] == (key, 9)
        evidence = new_evidence()
        assert evidence_records.load(evidence, record) == 9
        assert evidence_records.save(evidence, key, 9) == record
        assert taken_apart(record)["counts"]["calls"] > 0


def test_a_subject_that_has_spoken_takes_no_record() -> None:
    key, record = kept()[0]
    evidence = new_evidence()
    evidence_records.load(evidence, record)
    with pytest.raises(evidence_records.KnownSubject):
        evidence_records.load(evidence, record)
    assert evidence_records.save(evidence, key, 9) == record


def test_a_record_cut_anywhere_is_refused() -> None:
    for _, record in kept()[:3]:
        for cut in {*range(0, len(record), 64), *range(80), len(record) - 1}:
            refused(record[:cut])
        for more in (b"\0", b"\0" * 8, record):
            refused(record + more)


def test_a_record_cut_anywhere_with_a_right_checksum_is_refused() -> None:
    for _, record in kept()[:3]:
        for cut in range(body_at(record), len(record), 64):
            refused(sealed(record[:cut]))
        refused(sealed(record + b"\0"))


def test_a_record_with_a_byte_changed_is_refused() -> None:
    rng = np.random.default_rng(1)
    for _, record in kept()[:3]:
        for place in {*range(NAMES_AT), *rng.integers(0, len(record), 300).tolist()}:
            changed = bytearray(record)
            changed[place] ^= int(rng.integers(1, 256))
            refused(bytes(changed))


def test_a_record_of_another_version_or_build_is_refused() -> None:
    _, record = kept()[0]
    for place, form, value in (
        (4, "<H", evidence_records.VERSION + 1), (4, "<H", 0), (0, "<4s", b"SNTS"),
        *((SIZES_AT + 4 * i, "<I", 8) for i in range(5)),
    ):  # fmt: skip
        changed = bytearray(record)
        struct.pack_into(form, changed, place, value)
        refused(sealed(bytes(changed)))


def places(record: bytes) -> list[tuple[str, int, Any]]:
    """Return of each field of a record its name, where it stands, and its type."""
    at, found = body_at(record), []

    def note(dtype: np.dtype[Any]) -> None:
        nonlocal at
        for name, (form, offset, *_) in (dtype.fields or {}).items():
            found.append((name, at + offset, form))
        at += dtype.itemsize

    for part in (COUNTS, LEARNED, FIT, FIT, FIT, SHARE, SHARE, RATE):
        note(part)
    for _ in range(2):
        note(SPEAKERS)
        speakers = np.frombuffer(record, SPEAKERS, 1, at - SPEAKERS.itemsize)[0]
        at += 4 * RING if speakers["n"] else 0
    for _ in range(6):
        there, n, capacity, _ = struct.unpack_from("<BHHH", record, at)
        note(WINDOW)
        if there:
            note(CHANNEL)
            at += 4 * n if capacity else 0
    assert at == len(record)
    return found


HARMFUL = {
    "i4": (-(2**31), -2, 64, 1000, 1001, 2**31 - 1),
    "i8": (-(2**63), -2, 3, 2**40, 2**63 - 1),
    "u2": (126, 999, 1000, 1001, 0xFFFF),
    "i2": (-32768, 32767),
    "f8": (float("nan"), float("inf"), -1e300, 1e300),
    "f4": (float("nan"), float("inf")),
    "u8": (2**64 - 1,),
    "u1": (0, 255),
}


def harmful(record: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield records with a right checksum in which one number is not what it can be."""
    for name, at, form in places(record):
        base = form.base
        if base.fields is not None:
            base = next(iter(base.fields.values()))[0]
        for value in HARMFUL[base.str[1:]]:
            for place in {at, at + (form.itemsize - base.itemsize if form.base.isnative else 0)}:
                changed = bytearray(record)
                changed[place : place + base.itemsize] = np.array(value, base).tobytes()
                yield name, sealed(bytes(changed))


def test_a_record_written_to_do_harm_is_refused_or_harmless() -> None:
    refusals = tried = 0
    step = 1 if scaled(100) == 100 else 7
    for key, record in kept()[:2]:
        for name, changed in islice(harmful(record), 0, None, step):
            tried += 1
            evidence = new_evidence()
            try:
                evidence_records.load(evidence, changed)
            except evidence_records.BadRecord:
                refusals += 1
                assert name != "waiting", "any level may wait"
            go_on(evidence, key)
            evidence.advance(spoken().clock + 2 * IDLE_NS)
    assert refusals > tried // 3, (refusals, tried)


def test_random_bytes_in_a_record_with_a_right_checksum_do_no_harm() -> None:
    rng = np.random.default_rng(5)
    for key, record in kept()[:2]:
        for _ in range(scaled(2_000)):
            changed = bytearray(record)
            for place in rng.integers(body_at(record), len(record), int(rng.integers(1, 9))):
                changed[place] = int(rng.integers(0, 256))
            evidence = new_evidence()
            with suppress(evidence_records.BadRecord):
                evidence_records.load(evidence, sealed(bytes(changed)))
            go_on(evidence, key)


def test_what_is_taken_up_elsewhere_keeps_what_is_usual_and_nothing_of_when() -> None:
    key = ("t", "e", "chat", "m")
    teacher = new_evidence()
    speak(teacher, key, 1_000_000, 1_500)
    taught = evidence_records.save(teacher, key, 0)
    evidence = new_evidence()
    evidence_records.load(evidence, taught, True)
    fresh = taken_apart(evidence_records.save(evidence, key, 0))
    assert fresh["counts"]["last"] == fresh["counts"]["touched"] == 0
    assert fresh["rate"]["bucket"] == -1
    assert not fresh["rate"]["counts"].any()
    for which, (_, ring) in taken_apart(taught)["channels"].items():
        assert (fresh["channels"][which][1] == ring).all()
    # Weeks later; the length of a bucket is looked at again, and is right.
    speak(evidence, key, 9_000_000, 3_000)
    after = taken_apart(evidence_records.save(evidence, key, 0))
    assert after["rate"]["length"] == fresh["rate"]["length"] == 20
    assert not evidence.findings()


def test_how_long_a_bucket_is_elsewhere_is_chosen_from_the_calls_there() -> None:
    key = ("t", "e", "chat", "m")
    teacher, evidence = new_evidence(), new_evidence()
    speak(teacher, key, 1_000_000, 1_500)
    evidence_records.load(evidence, evidence_records.save(teacher, key, 0), True)
    speak(evidence, key, 9_000_000, 200, gap=60)
    assert taken_apart(evidence_records.save(evidence, key, 0))["rate"]["length"] == 1200


def speak(evidence: Evidence, key: tuple[str, str, str, str], second: int, n: int,
          gap: int = 1) -> None:  # fmt: skip
    """Judge a call a second, or `gap` seconds."""
    time = (second + np.arange(n, dtype=np.int64) * gap) * SECOND_NS
    values = np.full((n, 8), np.nan)
    values[:, 0] = np.random.default_rng(n).normal(100, 10, n)
    nobody = np.zeros(n, np.uint32)
    evidence.judge([key], np.zeros(n, np.int32), values, time, time, np.full(n, 2, np.uint8),
                   nobody, nobody)  # fmt: skip
