"""A catalogue of bad input: each is refused with its code, and the next good event gets in."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sentinel.intake import Intake

Make = Callable[..., bytes]
T0 = 1_740_992_400_000_000_000
A = b'{"service_name":"a","model":"b","timestamp":1740992400'
"""The beginning of a good event."""


def with_text(field: str, text: str) -> bytes:
    """Return an event whose field is a text, escaped as JSON wants it."""
    nested, _, inner = field.partition(".")
    value: Any = {inner: text} if inner else text
    event = {"service_name": "a", "model": "b", "timestamp": 1740992400} | {nested: value}
    return msgspec.json.encode(event)


BODY = [
    (b"", "not_json", "$"),
    (b" \r\n\t", "not_json", "$"),
    (b"null", "wrong_type", "$"),
    (b"5", "wrong_type", "$"),
    (b'"text"', "wrong_type", "$"),
    (b"[[]]", "wrong_type", "$"),
    (b"[", "not_json", "$"),
    (b"]", "not_json", "$"),
    (b"{", "not_json", "$"),
    (b"{}", "missing_field", "$.service_name"),
    (b"{'service_name':'a'}", "not_json", "$"),
    (A, "not_json", "$"),
    (A + b",}", "not_json", "$"),
    (A + b"},", "not_json", "$"),
    (A + b"}}", "not_json", "$"),
    (A + b"}\0", "not_json", "$"),
    (A + b"}{}", "not_json", "$"),
    (b"[" + A + b"}", "not_json", "$"),
    (b"[" + A + b"},]", "not_json", "$"),
    (A + b"} // comment", "not_json", "$"),
    (A + b',"x":undefined}', "not_json", "$"),
    (A + b",\"x\":''}", "not_json", "$"),
    (b"service_name=a&model=b", "not_json", "$"),
    (b"<event/>", "not_json", "$"),
    (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "not_utf8", "$"),
    (b'{"model":"b","timestamp":1}', "missing_field", "$.service_name"),
    (b'{"service_name":null,"model":"b","timestamp":1}', "missing_field", "$.service_name"),
    (b'{"service_name":"a","timestamp":1}', "missing_field", "$.model"),
    (b'{"service_name":"a","model":null,"timestamp":1}', "missing_field", "$.model"),
    (A + b',"prompt":"hello"}', "wrong_type", "$.prompt"),
    (A + b',"response":[]}', "wrong_type", "$.response"),
    (A + b',"errors":"timeout"}', "wrong_type", "$.errors"),
    (A + b',"errors":[1]}', "wrong_type", "$.errors[0]"),
    (A + b',"metadata":[]}', "wrong_type", "$.metadata"),
    (A + b',"metadata":{"a":{}}}', "wrong_type", "$.metadata[...]"),
    (A + b',"metadata":{"user_id":false}}', "wrong_type", "$.metadata.user_id"),
    (A + b',"metadata":{"environment":1}}', "wrong_type", "$.metadata.environment"),
]

ENCODING = [
    (b"\xff", "not_utf8", "$"),
    (b"\xef\xbb\xbf" + A + b"}", "not_json", "$"),
    ((A + b"}").decode().encode("utf-16"), "not_utf8", "$"),
    ((A + b"}").decode().encode("utf-16-le"), "not_json", "$"),
    (A + b',"provider":"\xff"}', "not_utf8", "$"),
    (A + b',"unknown":"\xc0\xaf"}', "not_utf8", "$"),
    (A + b',"prompt":{"text":"caf\xe9"}}', "not_utf8", "$"),
    (A + b',"metadata":{"\x80":1}}', "not_utf8", "$"),
    (A + b',"provider":"\xed\xa0\x80"}', "not_utf8", "$"),
    (A + b',"provider":"\xf4\x90\x80\x80"}', "not_utf8", "$"),
    (A + b',"provider":"\xe2\x82', "not_utf8", "$"),
    (A + b',"provider":"\\ud800"}', "not_json", "$"),
    (A + b',"prompt":{"text":"\\udc00\\ud800"}}', "not_json", "$"),
    (A + b',"provider":"\\u12"}', "not_json", "$"),
    (A + b',"provider":"\\x41"}', "not_json", "$"),
    (A + b',"provider":"a\tb"}', "not_json", "$"),
    (A + b',"unknown":"\x01"}', "not_json", "$"),
]

NUMBER = [
    (A + b',"latency_ms":NaN}', "bad_number", "$.latency_ms"),
    (A + b',"latency_ms":Infinity}', "bad_number", "$.latency_ms"),
    (A + b',"cost_usd": -Infinity}', "bad_number", "$.cost_usd"),
    (A + b',"prompt":{"tokens":nan}}', "bad_number", "$"),
    (A + b',"metadata":{"a":NaN}}', "bad_number", "$"),
    (A + b',"unknown":[NaN]}', "bad_number", "$"),
    (A + b',"latency_ms":1e400}', "too_large", "$.latency_ms"),
    (A + b',"metadata":{"a":-1e400}}', "too_large", "$.metadata[...]"),
    (A + b',"metadata":{"a":9223372036854775808}}', "too_large", "$.metadata[...]"),
    (A + b',"metadata":{"a":-9223372036854775809}}', "too_large", "$.metadata[...]"),
    (A + b',"latency_ms":9007199254740994}', "too_large", "$.latency_ms"),
    (A + b',"total_tokens":9007199254740993}', "too_large", "$.total_tokens"),
    (A + b',"total_tokens":' + b"9" * 30 + b"}", "too_large", "$.total_tokens"),
    (A + b',"total_tokens":' + b"9" * 5000 + b"}", "too_large", "$.total_tokens"),
    (A + b',"user_id":' + b"9" * 5000 + b"}", "too_large", "$.user_id"),
    (A + b',"latency_ms":-1}', "negative", "$.latency_ms"),
    (A + b',"cost_usd":-0.01}', "negative", "$.cost_usd"),
    (A + b',"prompt":{"tokens":-1}}', "negative", "$.prompt.tokens"),
    (A + b',"completion_tokens":-1}', "negative", "$.completion_tokens"),
    (A + b',"response":{"length":-1}}', "negative", "$.response.length"),
    (A + b',"latency_ms":true}', "wrong_type", "$.latency_ms"),
    (A + b',"latency_ms":"5"}', "wrong_type", "$.latency_ms"),
    (A + b',"prompt":{"tokens":false}}', "wrong_type", "$.prompt.tokens"),
    (A + b',"prompt_tokens":5.5}', "wrong_type", "$.prompt_tokens"),
    (A + b',"cost_usd":[1]}', "wrong_type", "$.cost_usd"),
    (A + b',"user_id":1.5}', "wrong_type", "$.user_id"),
    (A + b',"latency_ms":01}', "not_json", "$"),
    (A + b',"latency_ms":.5}', "not_json", "$"),
    (A + b',"latency_ms":0x10}', "not_json", "$"),
    (A + b',"latency_ms":1_000}', "not_json", "$"),
    (A + b',"latency_ms":+1}', "not_json", "$"),
]

NAMED = (
    "service_name",
    "model",
    "environment",
    "provider",
    "event_id",
    "trace_id",
    "span_id",
    "response.finish_reason",
    "response.model",
)
NAME = [
    *((with_text(field, ""), "bad_name", f"$.{field}") for field in NAMED),
    *((with_text(field, "a\nb"), "bad_name", f"$.{field}") for field in NAMED),
    *((with_text(field, "a" * 257), "bad_name", f"$.{field}") for field in NAMED),
    (with_text("model", "\u00e9" * 129), "bad_name", "$.model"),
    (with_text("model", "\U0001f600" * 65), "bad_name", "$.model"),
    (with_text("provider", "a\0"), "bad_name", "$.provider"),
    (with_text("provider", "\x1b[31m"), "bad_name", "$.provider"),
    (with_text("provider", "a\x7f"), "bad_name", "$.provider"),
    (with_text("provider", "a\x85"), "bad_name", "$.provider"),
    (with_text("provider", "\u4e2d\x9f"), "bad_name", "$.provider"),
    (A + b',"request_id":""}', "bad_name", "$.event_id"),
    (A + b',"request_id":' + b"9" * 300 + b"}", "bad_name", "$.event_id"),
    (A + b',"metadata":{"environment":"a\\u0001"}}', "bad_name", "$.environment"),
    (A + b',"service_name":5}', "wrong_type", "$.service_name"),
    (A + b',"trace_id":5}', "wrong_type", "$.trace_id"),
]


def at(timestamp: bytes) -> bytes:
    return b'{"service_name":"a","model":"b","timestamp":' + timestamp + b"}"


TIME = [
    (at(b'"2025-03-03T09:00:00"'), "bad_time", "$.timestamp"),
    (at(b'"yesterday"'), "bad_time", "$.timestamp"),
    (at(b'""'), "bad_time", "$.timestamp"),
    (at(b'"2025-02-30T00:00:00Z"'), "bad_time", "$.timestamp"),
    (at(b'"2025-03-03T25:00:00Z"'), "bad_time", "$.timestamp"),
    (at(b'"2025-03-03T09:00:61Z"'), "bad_time", "$.timestamp"),
    (at(b'"2025-03-03"'), "bad_time", "$.timestamp"),
    (at(b'"1740992400"'), "bad_time", "$.timestamp"),
    (at(b'"1969-12-31T23:59:59.999999Z"'), "bad_time", "$.timestamp"),
    (at(b'"1970-01-01T00:30:00+01:00"'), "bad_time", "$.timestamp"),
    (at(b'"0001-01-01T00:00:00+14:00"'), "bad_time", "$.timestamp"),
    (at(b'"2200-01-01T00:00:00Z"'), "bad_time", "$.timestamp"),
    (at(b'"9999-12-31T23:59:59-14:00"'), "bad_time", "$.timestamp"),
    (at(b"-1"), "bad_time", "$.timestamp"),
    (at(b"-0.5"), "bad_time", "$.timestamp"),
    (at(b"7258118400"), "bad_time", "$.timestamp"),
    (at(b"7258118400000"), "bad_time", "$.timestamp"),
    (at(b"9223372036854775807"), "bad_time", "$.timestamp"),
    (at(b"9223372036854775808"), "bad_time", "$.timestamp"),
    (at(b"1e300"), "bad_time", "$.timestamp"),
    (at(b"1e400"), "too_large", "$.timestamp"),
    (at(b"true"), "wrong_type", "$.timestamp"),
    (at(b"[]"), "wrong_type", "$.timestamp"),
    (at(b'"2025-03-03T09:10:00.000001Z"'), "future_time", "$.timestamp"),
    (at(b'"2199-12-31T23:59:59Z"'), "future_time", "$.timestamp"),
]

SIZE = [
    (A + b',"prompt":{"text":"' + b"x" * 262_144 + b'"}}', "too_big", "$"),
    (A + b',"unknown":"' + b"x" * 262_144 + b'"}', "too_big", "$"),
    (b"[" + A + b',"unknown":"' + b"x" * 262_144 + b'"}]', "too_big", "$"),
    (b" " * 262_144 + A + b"}", "too_big", "$"),
    (b"x" * 300_000, "too_big", "$"),
    (b"\xff" * 300_000, "too_big", "$"),
    (A + b',"metadata":{' + b'"a":1,' * 50_000 + b'"a":1}}', "too_big", "$"),
    (A + b',"errors":[' + b'"e",' * 70_000 + b'"e"]}', "too_big", "$"),
]


def nested(opening: bytes, depth: int, closing: bytes) -> bytes:
    return A + b',"unknown":' + opening * depth + closing * depth + b"}"


NESTING = [
    (nested(b"[", 32, b"]"), "too_deep", "$"),
    (nested(b"[", 900, b"]"), "too_deep", "$"),
    (nested(b"[", 100_000, b"]"), "too_deep", "$"),
    (nested(b"[", 100_000, b""), "too_deep", "$"),
    (A + b',"unknown":' + b'{"a":' * 32 + b"1" + b"}" * 33, "too_deep", "$"),
    (A + b',"unknown":' + b'{"a":[' * 20_000, "too_deep", "$"),
    (A + b',"metadata":{"a":' + b"[" * 40 + b"]" * 40 + b"}}", "too_deep", "$"),
    (A + b',"prompt":{"text":' + b"[" * 40 + b"]" * 40 + b"}}", "too_deep", "$"),
    (b"[" + nested(b"[", 40, b"]") + b"]", "too_deep", "$"),
    (b"[" + nested(b"[", 100_000, b"]") + b"]", "too_deep", "$"),
    (b"[" * 100_000, "too_deep", "$"),
    (b"{" * 100_000, "too_deep", "$"),
]

CATALOGUE = {
    "body": BODY,
    "encoding": ENCODING,
    "number": NUMBER,
    "name": NAME,
    "time": TIME,
    "size": SIZE,
    "nesting": NESTING,
}


def test_the_catalogue_is_long_enough() -> None:
    assert sum(map(len, CATALOGUE.values())) >= 150
    assert min(map(len, CATALOGUE.values())) >= 6


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        pytest.param(*case, id=f"{kind}-{number}-{case[1]}")
        for kind, cases in CATALOGUE.items()
        for number, case in enumerate(cases)
    ],
)
def test_bad_input_is_refused_by_code_and_path_and_the_next_good_event_gets_in(
    intake: Intake, make: Make, body: bytes, code: str, path: str
) -> None:
    batch, rejections, held = intake.take(body, offset=7, received_at=T0)
    assert len(batch) == 0
    assert held == 1
    assert [(r.code, r.path, r.position) for r in rejections] == [(code, path, 7)]
    assert rejections[0].reason
    good, rejections, _ = intake.take(make(), offset=8, received_at=T0)
    assert (len(good), rejections) == (1, [])


@pytest.mark.parametrize("kind", CATALOGUE)
def test_among_good_lines_a_bad_one_costs_only_itself(
    intake: Intake, make: Make, kind: str
) -> None:
    for body, code, _ in CATALOGUE[kind]:
        if b"\n" in body or not body.strip() or body[:1] == b"[":
            continue
        batch, rejections, held = intake.take(
            b"\n".join((make(), body, make())), offset=0, received_at=T0, lines=True
        )
        assert held == 3
        assert batch.offset.tolist() == [0, 2]
        assert [(r.code, r.position) for r in rejections] == [(code, 1)]


@pytest.mark.parametrize(
    "body",
    [
        A + b',"prompt":{"text":"\\u0000"}}',
        A + b',"user_id":"\\u0000"}',
        A + b',"user_id":' + b"9" * 30 + b"}",
        A + b',"latency_ms":-0.0}',
        A + b',"latency_ms":1e-400}',
        A + b',"latency_ms":5e-324}',
        A + b',"total_tokens":9007199254740992}',
        A + b',"latency_ms":1,"latency_ms":2}',
        A + b',"provider":"\xe2\x80\xae right to left"}',
        A + b',"unknown":"\\u0000"}',
        A + b',"metadata":{"":""}}',
        with_text("model", "\U0001f600" * 64),
        with_text("model", "'; DROP TABLE telemetry; --"),
        with_text("service_name", "../../etc/passwd"),
        at(b"0"),
        at(b'"2025-03-03T09:00:00.123456789Z"'),
    ],
)
def test_odd_but_possible_input_is_admitted(intake: Intake, body: bytes) -> None:
    batch, rejections, _ = intake.take(body, offset=0, received_at=T0)
    assert (len(batch), rejections) == (1, [])


def test_a_replay_refuses_an_event_that_does_not_say_when(intake: Intake, make: Make) -> None:
    _, rejections, _ = intake.take(make(timestamp=None), offset=3, received_at=None)
    assert [(r.code, r.path, r.position) for r in rejections] == [("no_time", "$.timestamp", 3)]
