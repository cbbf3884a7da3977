"""Senders that send more than they may, by every way in."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.serving import Answer, Serving, call, families, serving

KEYS = {"small": "k" * 32, "large": "l" * 32, "bytes": "b" * 32}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Serving]:
    """Give a service whose senders wait for hours once they are over their quota."""
    quotas = {
        "small": {"events_per_second": 0.01, "burst_secs": 1000},
        "large": {"events_per_second": 1e6},
        "bytes": {"bytes_per_second": 10, "burst_secs": 1000},
    }
    keys = [
        {
            "name": name,
            "key_sha256": hashlib.sha256(key.encode()).hexdigest(),
            "scopes": ["ingest", "read"],
            "quota": quotas[name],
        }
        for name, key in KEYS.items()
    ]
    with serving(tmp_path, {"api": {"keys": keys}}) as running:
        yield running


def send(service: Serving, name: str, body: bytes, **headers: str) -> Answer:
    said = {"X-API-Key": KEYS[name]} | headers
    return service.request("POST", "/api/v1/events", body, said)


def events(count: int) -> bytes:
    return json.dumps([call("chat", n) for n in range(count)]).encode()


def test_a_sender_over_its_events_waits_and_another_does_not(service: Serving) -> None:
    assert send(service, "small", events(15)).status == 200
    for headers in ({}, {"Content-Encoding": "gzip"}, {"Origin": "https://a.example"}):
        body = gzip.compress(events(1)) if "Content-Encoding" in headers else events(1)
        refused = send(service, "small", body, **headers)
        assert refused.status == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == "urn:sentinel:over_quota"
        assert 550 <= int(refused.headers["retry-after"]) <= 600
        assert refused.headers["ratelimit-policy"] == '"events";q=10;w=1000'
        assert refused.headers["ratelimit"].startswith('"events";r=0;t=')
    assert send(service, "large", events(1000)).status == 200
    said = {"X-API-Key": KEYS["small"], "Content-Type": "application/json"}
    refused = service.request("POST", "/v1/traces", b'{"resourceSpans":[]}', said)
    assert refused.status == 429
    assert refused.json()["code"] == 8
    assert int(refused.headers["retry-after"]) >= 550
    counted = families(service)["sentinel_quota_refused"].samples
    assert [(s.labels, s.value) for s in counted] == [({"key": "small", "unit": "events"}, 4.0)]
    asked = service.request("GET", "/api/v1/telemetry", headers={"X-API-Key": KEYS["small"]})
    assert asked.status == 200


def test_bytes_are_counted_as_they_are_inflated(service: Serving) -> None:
    body = b" " * 50_000 + events(1)
    packed = gzip.compress(body)
    assert len(packed) < 1000
    assert send(service, "bytes", packed, **{"Content-Encoding": "gzip"}).status == 200
    refused = send(service, "bytes", events(1))
    assert refused.status == 429
    assert 3900 <= int(refused.headers["retry-after"]) <= 4100


def test_events_that_are_refused_count_too(service: Serving) -> None:
    assert send(service, "small", b'[{"service_name":1},{},{},{},{},{},{},{},{},{}]').status == 400
    assert send(service, "small", events(1)).status == 429


def test_without_keys_all_share_one_quota(tmp_path: Path) -> None:
    quota = {"events_per_second": 0.01, "burst_secs": 1000}
    with serving(tmp_path, {"ingestion": {"quota": quota}}) as service:
        assert service.request("POST", "/api/v1/events", events(10)).status == 200
        assert service.request("POST", "/api/v1/events", events(1)).status == 429
