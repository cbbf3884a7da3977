"""Who may do what: keys, scopes, and pages that a browser was talked into sending."""

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.serving import Serving, call, families, free_port, serving

SECRET = "a-key-of-forty-characters-that-is-told-0"
READER = "another-key-that-may-only-ask-questions-1"
ADMIN = "a-third-key-that-may-do-all-there-is-to-2"
EVENT = json.dumps(call("chat")).encode()


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Give a service with three keys; one of them lies in a file."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "admin-key").write_text(f"{ADMIN}\n")
    keys = [
        {"name": "app", "scopes": ["ingest"], "key_sha256": hashed(SECRET)},
        {"name": "grafana", "scopes": ["read"], "key_sha256": hashed(READER)},
        {"name": "on-call", "scopes": ["admin"], "key_file": str(folder / "admin-key")},
    ]
    otlp = {"bind_addr": f"127.0.0.1:{free_port()}"}
    with serving(folder, {"api": {"keys": keys}, "ingestion": {"otlp": otlp}}) as service:
        yield service


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    config = {"api": {"allowed_hosts": ["sentinel.example"]}}
    with serving(tmp_path_factory.mktemp("open"), config) as service:
        yield service


ROUTES = [
    ("POST", "/api/v1/events", {"ingest", "admin"}),
    ("POST", "/v1/traces", {"ingest", "admin"}),
    ("POST", "/v1/logs", {"ingest", "admin"}),
    ("POST", "/v1/metrics", {"ingest", "admin"}),
    ("GET", "/api/v1/telemetry", {"read", "admin"}),
    ("GET", "/api/v1/anomalies/recent", {"read", "admin"}),
    ("GET", "/api/v1/incidents", {"read", "admin"}),
    ("GET", "/api/v1/baselines", {"read", "admin"}),
    ("GET", "/api/v1/prices/unpriced", {"read", "admin"}),
    ("GET", "/openapi.json", {"read", "admin"}),
    ("GET", "/docs", {"read", "admin"}),
    ("GET", "/nowhere", {"read", "admin"}),
    ("POST", "/api/v1/incidents/inc-0/acknowledge", {"admin"}),
    ("POST", "/api/v1/incidents/inc-0/resolve", {"admin"}),
    ("POST", "/api/v1/baselines/a:b:c/accept", {"admin"}),
    ("OPTIONS", "/api/v1/events", {"admin"}),
]


@pytest.mark.parametrize(("method", "path", "scopes"), ROUTES)
def test_each_route_needs_a_key_of_its_scope(
    closed: Serving, method: str, path: str, scopes: set[str]
) -> None:
    stranger = closed.request(method, path, EVENT)
    assert stranger.status == 401
    assert stranger.headers["content-type"] == "application/problem+json"
    assert stranger.headers["www-authenticate"] == 'Bearer realm="llm-sentinel"'
    assert stranger.json()["type"] == "urn:sentinel:no_key"
    wrong = closed.request(method, path, EVENT, bearer(SECRET[:-1]))
    assert wrong.status == 401
    assert wrong.json()["type"] == "urn:sentinel:unknown_key"
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    for scope, key in (("ingest", SECRET), ("read", READER), ("admin", ADMIN)):
        answer = closed.request(method, path, EVENT, bearer(key))
        other_way = closed.request(method, path, EVENT, {"X-API-Key": key})
        assert answer.status == other_way.status
        if scope in scopes:
            assert answer.status not in (401, 403)
        else:
            assert answer.status == 403
            assert answer.json()["type"] == "urn:sentinel:scope"
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/startup", "/metrics"])
def test_health_and_metrics_need_none(closed: Serving, path: str) -> None:
    assert closed.get(path).status == 200
    assert closed.request("GET", path, headers=bearer("wrong")).status == 200
    assert closed.request("GET", f"{path}/", headers=bearer("wrong")).status == 401


def test_the_port_of_opentelemetry_needs_one_too(closed: Serving) -> None:
    address = json.loads(closed.config_file.read_text())["ingestion"]["otlp"]["bind_addr"]
    port = int(address.rpartition(":")[2])

    def export(headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        said = {"Content-Type": "application/json"} | headers
        connection.request("POST", "/v1/traces", b"{}", said)
        status = connection.getresponse().status
        connection.close()
        return status

    assert export({}) == 401
    assert export(bearer(READER)) == 403
    assert export(bearer(SECRET)) == 200
    assert export({"x-api-key": SECRET}) == 200


def test_a_stranger_is_answered_before_the_body_is_read(closed: Serving) -> None:
    with socket.create_connection(("127.0.0.1", closed.port), timeout=10) as connection:
        connection.sendall(
            b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_refusals_are_counted_and_no_key_is_ever_logged(closed: Serving) -> None:
    before = refused(closed)
    closed.request("POST", "/api/v1/events", EVENT, bearer("a-guess-of-somebody"))
    closed.request("GET", f"/api/v1/telemetry?key={SECRET}")
    closed.request("GET", "/api/v1/telemetry", headers=bearer(SECRET))
    after = refused(closed)
    assert after["unknown_key"] == before.get("unknown_key", 0) + 1
    assert after["no_key"] == before.get("no_key", 0) + 1
    assert after["scope"] == before.get("scope", 0) + 1
    for key in (SECRET, READER, ADMIN, "a-guess-of-somebody", hashed(SECRET)):
        assert key not in closed.log()
        assert key.encode() not in closed.get("/metrics").body


def refused(service: Serving) -> dict[str, float]:
    family = families(service)["sentinel_requests_refused"]
    return {sample.labels["reason"]: sample.value for sample in family.samples}


def test_a_service_that_others_reach_makes_itself_a_key(tmp_path: Path) -> None:
    service = Serving(tmp_path, {"api": {"bind_addr": "0.0.0.0:0"}})
    service.configure({"api": {"bind_addr": f"0.0.0.0:{service.port}"}})
    try:
        service.start()
        file = service.data_dir / "admin.key"
        assert file.stat().st_mode & 0o777 == 0o600
        key = file.read_text().strip()
        assert len(key) > 40
        assert service.get("/api/v1/incidents").status == 401
        assert service.request("GET", "/api/v1/incidents", headers=bearer(key)).status == 200
        assert service.request("POST", "/api/v1/events", EVENT, bearer(key)).status == 200
        assert service.stop() == 0
        service.start()
        assert file.read_text().strip() == key
        assert service.request("GET", "/api/v1/incidents", headers=bearer(key)).status == 200
        assert key not in service.log()
        assert [line["file"] for line in service.logged("key.made")] == [str(file)]
    finally:
        service.close()


def test_insecure_is_the_way_around(tmp_path: Path) -> None:
    service = Serving(tmp_path)
    service.configure({"api": {"bind_addr": f"0.0.0.0:{service.port}", "insecure": True}})
    try:
        service.start()
        assert service.get("/api/v1/incidents").status == 200
        assert not (service.data_dir / "admin.key").exists()
    finally:
        service.close()


def test_a_key_whose_file_is_missing_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    keys = [{"name": "app", "key_file": str(tmp_path / "app.key")}]
    service = Serving(tmp_path, {"api": {"keys": keys}})
    try:
        service.launch()
        assert service.wait() == 2
        assert "there is no file" in service.log()
        assert not service.data_dir.exists()
    finally:
        service.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("127.0.0.1:8080", 200),
        ("127.9.9.9", 200),
        ("[::1]:8080", 200),
        ("app.localhost", 200),
        ("sentinel.example", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.168.1.4:8080", 403),
        ("[::1", 200),
        ("", 200),
    ],
)
def test_on_this_machine_a_request_must_mean_this_machine(
    open_service: Serving, host: str, status: int
) -> None:
    answer = open_service.request("GET", "/api/v1/incidents", headers={"Host": host})
    assert answer.status == status
    if status == 403:
        assert answer.json()["type"] == "urn:sentinel:host"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_cannot_send_events(open_service: Serving, origin: str) -> None:
    answer = open_service.request("POST", "/api/v1/events", EVENT, {"Origin": origin})
    assert answer.status == 403
    assert answer.json()["type"] == "urn:sentinel:origin"
    own = {"Origin": f"http://127.0.0.1:{open_service.port}"}
    assert open_service.request("POST", "/api/v1/events", EVENT, own).status == 200


def test_a_browser_may_ask_whether_it_may_ask(tmp_path: Path) -> None:
    keys = [{"name": "page", "scopes": ["read"], "key_sha256": hashed(READER)}]
    page = {"Origin": "https://board.example", "Access-Control-Request-Method": "GET"}
    api = {"keys": keys, "enable_cors": True, "cors_origins": [page["Origin"]]}
    with serving(tmp_path, {"api": api}) as service:
        asked = page | {"Access-Control-Request-Headers": "authorization"}
        answer = service.request("OPTIONS", "/api/v1/incidents", headers=asked)
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == page["Origin"]
        assert service.request("GET", "/api/v1/incidents", headers=page).status == 401
        said = page | bearer(READER)
        assert service.request("GET", "/api/v1/incidents", headers=said).status == 200


def test_with_a_key_any_name_will_do(closed: Serving) -> None:
    said = bearer(READER) | {"Host": "sentinel.example"}
    assert closed.request("GET", "/api/v1/incidents", headers=said).status == 200
    assert closed.request("GET", "/metrics", headers={"Host": "evil.example"}).status == 403
