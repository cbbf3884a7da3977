"""Bad requests of every kind: each is refused with its reason, and the next good one gets in.

No case is answered with a 5xx or not at all.  What is no HTTP is refused by the server before any
route sees it: a status in the 4xx, and no body.
"""

import contextlib
import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import zstandard

from end_to_end.serving import SECONDS, Answer, Serving, call, serving, until

EVENTS = "/api/v1/events"
BODY_BYTES_MAX = 2 << 20
A = b'{"service_name":"a","model":"b"'
"""The beginning of a good event."""


class Bad(NamedTuple):
    """A request, and how it is refused: the status, and the word after `urn:sentinel:`."""

    status: int
    code: str
    method: str = "GET"
    path: str = EVENTS
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Raw(NamedTuple):
    """Bytes of a connection, and how they are refused; no code: the server speaks, not a route."""

    data: bytes
    status: int
    code: str = ""
    ends: bool = False
    """Whether the client says that no more comes."""


def body(code: str, text: bytes, *, status: int = 400, coding: str = "") -> Bad:
    """Return a refused body of events."""
    headers = (("Content-Encoding", coding),) if coding else ()
    return Bad(status, code, "POST", EVENTS, text, headers)


def event(**fields: Any) -> bytes:
    """Return a body of one event, some of its fields changed."""
    return json.dumps({"service_name": "a", "model": "b"} | fields).encode()


def asked(query: str, code: str = "bad_parameter", resource: str = "telemetry") -> Bad:
    """Return a refused question."""
    return Bad(400, code, path=f"/api/v1/{resource}?{query}")


def raw(head: bytes, text: bytes = b"", *, line: bytes = b"POST /api/v1/events HTTP/1.1") -> bytes:
    """Return a request as bytes; `head` are header lines without their ends."""
    lines = [line, b"Host: localhost", *([head] if head else []), b"", text]
    return b"\r\n".join(lines)


def bomb(nbytes: int) -> bytes:
    """Return gzip that is small and inflates to this much."""
    deflate = zlib.compressobj(9, wbits=31)
    blocks = [deflate.compress(bytes(1 << 20)) for _ in range(nbytes >> 20)]
    return b"".join(blocks) + deflate.flush()


GOOD = A + b"}"
CHUNKED = b"Transfer-Encoding: chunked"

BAD: dict[str, list[Bad | Raw]] = {
    "body": [
        body("not_json", b""),
        body("not_json", b"  \n\n "),
        body("not_json", b"garbage"),
        body("not_json", A),
        body("not_json", GOOD + b"{}"),
        body("not_json", b"<event/>"),
        body("not_json", b"[" + GOOD),
        body("empty", b"[]"),
        body("wrong_type", b"null"),
        body("wrong_type", b"[1]"),
        body("missing_field", b"{}"),
        body("missing_field", b'{"service_name":"a"}'),
        body("wrong_type", event(prompt="hello")),
        body("wrong_type", event(metadata={"a": []})),
        Bad(400, "bad_request", "POST", "/api/v1/incidents/x/resolve", b"{"),
        Bad(400, "bad_parameter", "POST", "/api/v1/incidents/x/resolve", b'{"by":5}'),
        Bad(400, "bad_parameter", "POST", "/api/v1/incidents/x/resolve", b'{"bye":"ann"}'),
        Raw(raw(b"Content-Length: 3200", GOOD), 400, "incomplete_body", ends=True),
    ],
    "encoding": [
        body("not_utf8", b"\xff"),
        body("not_utf8", GOOD.decode().encode("utf-16")),
        body("not_utf8", A + b',"provider":"\xc0\xaf"}'),
        body("not_json", A + b',"provider":"\\ud800"}'),
        body("content_encoding", GOOD, status=415, coding="br"),
        body("content_encoding", gzip.compress(GOOD), status=415, coding="gzip, gzip"),
        body("bad_compression", GOOD, coding="gzip"),
        body("bad_compression", GOOD, coding="zstd"),
        body("bad_compression", gzip.compress(GOOD)[:-9], coding="gzip"),
        body("bad_compression", gzip.compress(GOOD)[:-4] + b"\0\0\0\0", coding="gzip"),
        body("bad_compression", zstandard.compress(GOOD)[:-3], coding="zstd"),
        body("bad_compression", zlib.compress(GOOD), coding="gzip"),
    ],
    "number": [
        body("bad_number", A + b',"latency_ms":NaN}'),
        body("bad_number", A + b',"latency_ms":-Infinity}'),
        body("too_large", A + b',"latency_ms":1e400}'),
        body("too_large", event(latency_ms=2**54)),
        body("negative", event(latency_ms=-1)),
        body("negative", event(cost_usd=-0.01)),
        body("wrong_type", event(latency_ms=True)),
        body("wrong_type", event(latency_ms="5")),
        body("wrong_type", event(prompt={"tokens": 1.5})),
        body("not_json", A + b',"latency_ms":+5}'),
        body("not_json", A + b',"latency_ms":0x5}'),
    ],
    "name": [
        body("bad_name", event(service_name="")),
        body("bad_name", event(service_name="a\nb")),
        body("bad_name", event(model="m\u0000")),
        body("bad_name", event(model="m" * 257)),
        body("bad_name", event(environment="\u001b[31m")),
        body("bad_name", event(event_id="e" * 300)),
        body("wrong_type", event(service_name=5)),
        body("missing_field", event(service_name=None)),
    ],
    "time": [
        body("bad_time", event(timestamp="yesterday")),
        body("bad_time", event(timestamp="2026-03-02T09:00:00")),
        body("bad_time", event(timestamp="2026-13-02T09:00:00Z")),
        body("bad_time", event(timestamp=-1)),
        body("bad_time", event(timestamp="1969-12-31T23:59:59Z")),
        body("future_time", event(timestamp="2190-01-01T00:00:00Z")),
        body("wrong_type", event(timestamp=[])),
    ],
    "query": [
        asked("limit=0"),
        asked("limit=1001"),
        asked("limit=ten"),
        asked("hours=0"),
        asked("hours=nan"),
        asked("hours=1e9"),
        asked("service="),
        asked("service=" + "s" * 257),
        asked("start=yesterday"),
        asked("start=2026-01-01T00:00:00", "query"),
        asked("end=0001-01-01T00:00:00Z", "query"),
        asked("start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "query"),
        asked("start=0001-01-01T00:00:00%2B23:59", "query"),
        asked("cursor=x", "query"),
        asked("cursor=" + "A" * 300, "query"),
        asked("cursor=" + "A" * 600),
        asked("severity=loud", resource="anomalies"),
        asked("state=ajar", resource="incidents"),
        asked("cursor=ktelemetry", "query", resource="incidents"),
    ],
    "size": [
        body("too_big", b" " * (BODY_BYTES_MAX + 1), status=413),
        body("too_big", event(model="b" * 300_000), status=413),
        body("too_big", bomb(64 << 20), status=413, coding="gzip"),
        body("not_utf8", gzip.compress(bomb(64 << 20)), coding="gzip"),
        body("too_big", zstandard.compress(bytes(64 << 20)), status=413, coding="zstd"),
        Raw(raw(b"Content-Length: 999999999999", GOOD), 413, "too_big"),
        Raw(raw(CHUNKED, (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") * 3), 413, "too_big"),
    ],
    "nesting": [
        body("too_deep", A + b',"metadata":' + b"[" * 40 + b"]" * 40 + b"}"),
        body("too_deep", A + b',"metadata":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}"),
        body("too_deep", b"[" * 100_000 + b"]" * 100_000),
        body("too_deep", b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
        body("too_deep", A + b',"prompt":{"text":' + b"[" * 99 + b"]" * 99 + b"}}"),
        Bad(400, "too_deep", "POST", "/api/v1/incidents/x/resolve", b"[" * 100_000),
    ],
    "header": [
        Raw(raw(b"Content-Length: many", GOOD), 400),
        Raw(raw(b"Content-Length: -5", GOOD), 400),
        Raw(raw(b"Content-Length: " + b"9" * 30, GOOD), 400),
        Raw(raw(b"Content-Length: 32\r\nContent-Length: 31", GOOD), 400),
        Raw(raw(b"Transfer-Encoding: gzip", GOOD), 400),
        Raw(raw(CHUNKED, b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n"), 400, "incomplete_body"),
        Raw(raw(CHUNKED, b"f" * 18 + b"\r\n" + GOOD), 400, "incomplete_body"),
        Raw(raw(b"X: " + b"a" * 1_000_000 + b"\r\nContent-Length: 0"), 431),
        Raw(raw(b"\r\n".join(b"X-%d: a" % n for n in range(300))), 431),
        Raw(raw(b"X: a\x00b\r\nContent-Length: 0"), 400),
        Raw(raw(b"nonsense\r\nContent-Length: 0"), 400),
        Raw(raw(b"Content-Encoding: gz\xefp\r\nContent-Length: 32", GOOD), 415, "content_encoding"),
    ],
    "path": [
        Bad(404, "not_found", path="/nowhere"),
        Bad(404, "not_found", path="/api/v1/../../etc/passwd"),
        Bad(404, "not_found", path="/%2e%2e/%2e%2e/etc/passwd"),
        Bad(404, "not_found", path="/api/v1/incidents/%00"),
        Bad(404, "not_found", path="/api/v1/incidents/x'%20OR%201=1--"),
        Bad(404, "not_found", path="/%zz%"),
        Bad(405, "method_not_allowed", path=EVENTS),
        Bad(405, "method_not_allowed", "DELETE", "/api/v1/telemetry"),
        Bad(405, "method_not_allowed", "BREW", "/health/live"),
        Raw(raw(b"", line=b"GET /\x01 HTTP/1.1"), 400),
        Raw(raw(b"", line=b"GET /" + b"a" * 100_000 + b" HTTP/1.1"), 414),
        Raw(b"hello\r\n\r\n", 400),
        Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50), 400),
    ],
}
CASES = [
    pytest.param(case, id=f"{kind}-{number}")
    for kind, cases in BAD.items()
    for number, case in enumerate(cases)
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    config = {"api": {"max_body_size": BODY_BYTES_MAX}}
    with serving(tmp_path_factory.mktemp("bad"), config) as running:
        yield running


def exchange(port: int, case: Raw) -> Answer:
    """Send bytes and return what they are answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        # A server that has seen enough answers and closes before all is sent.
        with contextlib.suppress(ConnectionError):
            connection.sendall(case.data)
        if case.ends:
            connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        with contextlib.closing(response):
            response.begin()
            return Answer(response.status, {}, response.read())


def test_there_are_five_cases_of_each_kind_and_a_hundred_in_all() -> None:
    assert all(len(cases) >= 5 for cases in BAD.values())
    assert len(CASES) >= 100
    assert len(BAD) == 10


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_used_is_refused_with_its_reason(service: Serving, case: Bad | Raw) -> None:
    if isinstance(case, Raw):
        answer = exchange(service.port, case)
    else:
        answer = service.request(case.method, case.path, case.body, dict(case.headers))
    assert answer.status == case.status, answer
    if case.code:
        problem = answer.json()
        assert problem["type"] == f"urn:sentinel:{case.code}"
        assert problem["status"] == case.status
    good = service.post(EVENTS, call("good"))
    assert (good.status, good.json()) == (200, {"accepted": 1, "rejected": []})


def test_a_body_that_never_ends_holds_up_nobody(service: Serving) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as connection:
        connection.sendall(raw(b"Content-Length: 3200", GOOD))
        service.send(call("good"))
    service.send(call("good"))


def test_values_beyond_the_limits_are_taken_and_flagged(service: Serving) -> None:
    service.send_and_wait(
        call("limits", latency_ms=1e9), call("limits", cost_usd=5000.0), call("limits")
    )
    flags = [row["flags"] for row in service.read("/api/v1/telemetry", service="limits")["data"]]
    assert sorted(flags) == [[], ["over_limit"], ["over_limit"]]


def test_after_all_of_it_the_service_is_ready_and_has_not_failed_once(service: Serving) -> None:
    assert service.is_alive
    until(lambda: service.get("/health/ready").status == 200)
    assert not service.logged("request.failed")
    assert "Traceback" not in service.log()
