"""Intake under random input: nothing escapes, nothing depends on how a stream is cut, and what
comes out goes in again unchanged."""

import re
from collections import Counter
from typing import Any

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sentinel._core.columns import FAULTS
from sentinel._core.nesting import count_lines, depth
from sentinel.intake import Intake, IntakeSettings, canonical, inflate, whole_lines
from sentinel.intake.admit import REASONS
from sentinel.intake.metadata import MetadataCleaner
from sentinel.intake.texts import PLACEHOLDER, TextCleaner
from sentinel.model.batch import Batch, Rejection

T0 = 1_740_992_400_000_000_000
CODES = {*FAULTS, *REASONS, "not_json", "not_utf8", "too_big", "too_deep"} - {""}
COLUMNS = ("time", "received", "values", "id_high", "id_low", "offset", "index", "over_limit")

names = st.one_of(st.sampled_from(["chat-api", "search", "gpt-4", "prod"]), st.text(max_size=300))
texts = st.text(max_size=40)
counts = st.one_of(st.integers(-2, 2**53 + 2), st.booleans(), st.none(), st.just(1e400))
quantities = st.one_of(st.floats(), st.integers(-1, 2**54), st.none(), texts)
identities = st.one_of(texts, st.integers(), st.none())
secrets = st.text(alphabet="password=:'\"\\ \n,[]{}RED_ABC", max_size=60)
scalars = st.one_of(texts, secrets, st.integers(), st.floats(), st.booleans(), st.none())
instants = st.one_of(
    st.sampled_from(["2025-03-03T09:00:00Z", "2025-03-03T11:00:00.5+02:00", "2025-03-03T09:00:00"]),
    st.integers(-1, 2**64),
    st.floats(),
    st.none(),
    texts,
)
sides = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "text": texts,
            "length": counts,
            "tokens": counts,
            "finish_reason": names,
            "model": names,
        },
    ),
    texts,
    st.none(),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.one_of(st.uuids().map(str), names),
    "timestamp": instants,
    "service_name": names,
    "model": names,
    "environment": names,
    "provider": names,
    "trace_id": names,
    "prompt": sides,
    "response": sides,
    "total_tokens": counts,
    "latency_ms": quantities,
    "ttft_ms": quantities,
    "cost_usd": quantities,
    "user_id": identities,
    "session_id": identities,
    "metadata": st.dictionaries(
        st.one_of(st.sampled_from(["user_id", "session_id", "environment", "secret"]), secrets),
        scalars,
        max_size=4,
    ),
    "errors": st.lists(st.one_of(texts, st.sampled_from(["timeout", "HTTP 429"])), max_size=3),
    "model_name": names,
    "prompt_tokens": counts,
    "completion_tokens": counts,
    "request_id": identities,
    "prompt_text": texts,
    "response_text": texts,
    "unknown": st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
}
good_names = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)
good_counts = st.integers(0, 2**53)
good_ids = st.one_of(texts, st.integers())
good_sides = st.fixed_dictionaries(
    {}, optional={"text": texts, "length": good_counts, "tokens": good_counts}
)
GOOD: dict[str, st.SearchStrategy[Any]] = FIELDS | {
    "event_id": st.one_of(st.uuids().map(str), good_names),
    "timestamp": st.one_of(
        st.integers(1, 17 * 10**8), st.floats(1, 1.7e9), st.just("2025-03-03T11:00:00.5+02:00")
    ),
    **dict.fromkeys(("environment", "provider", "trace_id", "model_name"), good_names),
    **dict.fromkeys(("prompt", "response"), good_sides),
    **dict.fromkeys(("total_tokens", "prompt_tokens", "completion_tokens"), good_counts),
    **dict.fromkeys(("latency_ms", "ttft_ms", "cost_usd"), st.floats(0, 1e6) | st.just(-0.0)),
    **dict.fromkeys(("user_id", "session_id"), good_ids),
    "metadata": st.dictionaries(
        st.one_of(st.sampled_from(["secret", "note", "region"]), secrets),
        st.one_of(secrets, st.integers(-(2**63), 2**63 - 1), st.floats(), st.none()),
        max_size=4,
    )
    | st.fixed_dictionaries({"user_id": good_ids, "environment": good_names}),
    "request_id": good_names,
}
NEEDED: dict[str, st.SearchStrategy[Any]] = {
    "service_name": st.sampled_from(["chat-api", "search"]),
    "model": st.sampled_from(["gpt-4", "search"]),
    "timestamp": GOOD.pop("timestamp"),
}
wild = st.fixed_dictionaries({}, optional=FIELDS)
good = st.fixed_dictionaries(
    NEEDED, optional={name: GOOD[name] for name in GOOD if name not in NEEDED}
)
lines_of = st.lists(st.one_of(good, good, wild).map(msgspec.json.encode), max_size=8)


def intake_with(**changes: Any) -> Intake:
    return Intake(IntakeSettings(**changes), key=b"k" * 32, log_id="replay")


INTAKE = intake_with(max_text_length=24)


def check(rejections: list[Rejection], batch: Batch, held: int) -> None:
    assert {rejection.code for rejection in rejections} <= CODES
    assert all(rejection.path and rejection.reason for rejection in rejections)
    positions = [rejection.position for rejection in rejections]
    assert positions == sorted(positions)
    assert len(positions) + len(batch) == held
    assert sorted([*positions, *batch.offset.tolist()]) == list(range(held))
    assert not np.isinf(batch.values).any()
    assert not (batch.values < 0).any()
    assert np.signbit(batch.values).sum() == np.signbit(batch.values[np.isnan(batch.values)]).sum()
    assert all(0 <= key < len(batch.keys) for key in batch.key)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200), st.booleans())
@example(b"", False)
@example(b"[" * 5000, False)
@example(b'{"a":"' + b"\\" * 9, True)
def test_random_bytes_are_refused_and_never_raise(body: bytes, lines: bool) -> None:
    batch, rejections, held = INTAKE.take(body, offset=0, received_at=T0, lines=lines)
    check(rejections, batch, held)


@settings(max_examples=400, deadline=None)
@given(st.data(), lines_of, st.booleans())
def test_mutated_bodies_never_raise(data: st.DataObject, lines: list[bytes], ndjson: bool) -> None:
    body = bytearray(b"\n".join(lines) if ndjson else b"[" + b",".join(lines) + b"]")
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body)))
        stop = at + data.draw(st.integers(0, 3))
        body[at:stop] = data.draw(st.sampled_from([b"", b'"', b"{", b"]", b"\xff", b"\n", b"NaN,"]))
    batch, rejections, held = INTAKE.take(bytes(body), offset=0, received_at=T0, lines=ndjson)
    check(rejections, batch, held)


@settings(max_examples=500, deadline=None)
@given(lines_of)
def test_intake_of_what_intake_made_changes_nothing(lines: list[bytes]) -> None:
    first, _, _ = INTAKE.take(b"\n".join(lines), offset=0, received_at=T0, lines=True)
    kept = canonical(first.events)
    second, rejections, held = INTAKE.take(kept, offset=900, received_at=T0, lines=True)
    assert rejections == []
    assert held == len(first)
    assert canonical(second.events) == kept
    assert second.keys == first.keys
    for name in ("key", *COLUMNS):
        if name != "offset":
            np.testing.assert_array_equal(getattr(second, name), getattr(first, name))


@settings(max_examples=300, deadline=None)
@given(st.data(), lines_of, st.integers(1, 400))
def test_however_a_stream_is_cut_the_same_comes_out(
    data: st.DataObject, lines: list[bytes], chunk_bytes: int
) -> None:
    text = b"\n".join([*lines, *data.draw(st.lists(st.sampled_from([b"", b"{", b"\xff", b" "])))])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, refused, held = INTAKE.take(text, offset=0, received_at=None, lines=True)
    offset = 0
    parts: list[Batch] = []
    rejections: list[Rejection] = []
    for chunk in whole_lines(pieces, longest=262_144, chunk_bytes=chunk_bytes):
        part, more, consumed = INTAKE.take(chunk, offset=offset, received_at=None, lines=True)
        parts.append(part)
        rejections += more
        offset += consumed
    assert (offset, rejections) == (held, refused)
    assert [event for part in parts for event in part.events] == whole.events
    assert [part.keys[key] for part in parts for key in part.key] == [
        whole.keys[key] for key in whole.key
    ]
    for name in COLUMNS if parts else ():
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))


@settings(max_examples=300, deadline=None)
@given(st.data(), lines_of, st.lists(st.sampled_from([b"{", b"{\xff", b"{} {}", b'{"a":NaN}'])))
def test_messages_taken_together_are_as_if_taken_one_by_one(
    data: st.DataObject, lines: list[bytes], broken: list[bytes]
) -> None:
    bodies = data.draw(st.permutations([*lines, *broken]))
    gaps = [data.draw(st.integers(1, 5)) for _ in bodies]
    times = [data.draw(st.integers(T0, T0 + 10**12)) for _ in bodies]
    offset = 100 + np.cumsum(np.array(gaps, np.int64))
    each, refused = INTAKE.take_each(bodies, offset=offset, received_at=np.array(times, np.int64))
    ones = [
        INTAKE.take(body, offset=int(offset[i]), received_at=times[i], record=True)[:2]
        for i, body in enumerate(bodies)
    ]
    assert canonical(each.events) == b"".join(canonical(batch.events) for batch, _ in ones)
    keys = [each.keys[code] for code in each.key.tolist()]
    assert keys == [batch.keys[code] for batch, _ in ones for code in batch.key.tolist()]
    for name in COLUMNS:
        expected = np.concatenate([getattr(batch, name) for batch, _ in ones] or [[]])
        np.testing.assert_array_equal(
            getattr(each, name), expected.reshape(getattr(each, name).shape)
        )
    assert [(one.position, one.code, one.path) for one in refused] == [
        (number, one.code, one.path) for number, (_, found) in enumerate(ones) for one in found
    ]


@settings(max_examples=300, deadline=None)
@given(lines_of)
def test_lines_and_an_array_of_the_same_events_give_the_same(lines: list[bytes]) -> None:
    if not lines:
        return
    array = b"[" + b",".join(lines) + b"]"
    one, refused_one, held_one = INTAKE.take(b"\n".join(lines), offset=3, received_at=T0)
    two, refused_two, held_two = INTAKE.take(array, offset=3, received_at=T0)
    assert (held_one, refused_one, one.events) == (held_two, refused_two, two.events)


bits = st.sampled_from(
    ["password", "api_key", "secret", "=", ":", ": ", '"', "'", "\\", " ", "\n", "a@b.co", "@",
     "12", "4111 1111 1111 1111", "+49 30 123456", "[EMAIL:3f9a]", "[SECRET:", "3f9a]", "[", "]",
     "10.1.2.3", "::1", "fe80", "sk-", "ghp_", "eyJ", ".", "-", "http://", "/", "A1b2C3d4E5", "x",
     "é", "電話"]
)  # fmt: skip
mixtures = st.lists(bits, max_size=24).map("".join)


@settings(max_examples=1500, deadline=None)
@given(secrets | mixtures, st.integers(0, 80))
@example("password=\\'x", 10)
@example('password="a\\', 80)
@example("secret=[SECRET:[EMAIL:3f9a]", 22)
def test_cleaning_a_text_twice_changes_nothing(text: str, max_length: int) -> None:
    cleaner = TextCleaner(IntakeSettings(max_text_length=max_length), b"k" * 32)
    once = cleaner.clean(text, Counter())
    if once is not None:
        assert cleaner.clean(once, Counter()) == once
        assert len(once) <= max_length


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="abcXYZ0189!#&/", min_size=4, max_size=20), st.sampled_from(["", '"', "'"]))
def test_no_value_of_a_secret_survives(value: str, quote: str) -> None:
    cleaner = TextCleaner(IntakeSettings(), b"k" * 32)
    for text in (f"password={quote}{value}{quote}", f'"API-KEY" : {quote}{value}{quote} end'):
        clean = cleaner.clean(text, Counter())
        assert clean is not None
        assert value not in PLACEHOLDER.sub("", clean)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(mixtures, mixtures | st.integers(0, 10**17), max_size=4))
def test_metadata_looked_at_at_once_is_cleaned_as_one_by_one(metadata: dict[str, Any]) -> None:
    settings = IntakeSettings()

    def cleaned(one: dict[str, Any]) -> dict[str, Any]:
        texts = TextCleaner(settings, b"k" * 32)
        cleaner = MetadataCleaner(texts, (), max_length=9_999, secrets=True, texts_kept=True)
        return cleaner.clean(one, Counter()) or {}

    apart: dict[str, Any] = {}
    for key, value in metadata.items():
        apart |= cleaned({key: value})
    assert cleaned(metadata) == apart


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='[]{}"\\a\n ', max_size=60))
def test_depth_and_lines_agree_with_the_obvious_way(text: str) -> None:
    body = text.encode()
    bare = re.sub(r'"(?:[^"\\]|\\.)*(?:"|\\?$)', "", text, flags=re.DOTALL)
    deepest = now = 0
    for character in bare:
        now += (character in "[{") - (character in "]}")
        deepest = max(deepest, now)
    assert depth(body) == deepest
    lines = [line.strip(" ") for line in text.split("\n")]
    plain = all(line[:1] == "{" and line[-1:] == "}" for line in lines if line)
    shallow = all(depth(line.encode()) <= 2 for line in lines)
    expected = sum(map(bool, lines)) if plain and shallow else -1
    assert count_lines(body, 100, 2) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18\x01\0\0\0"]),
    st.sampled_from([None, "gzip", "zstd", "identity", "br"]),
)
def test_random_compressed_bytes_never_raise(
    body: bytes, magic: bytes, encoding: str | None
) -> None:
    answer = inflate(magic + body, encoding=encoding, limit=1 << 16)
    assert isinstance(answer, bytes | Rejection)
