"""Incidents of the running service: asked for, acted on, told and followed live."""

import http.client
import json
import re
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pytest

from end_to_end.serving import SECONDS, Serving, call, calls, families, serving, until

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


def open_incident(service: Serving, name: str) -> dict[str, Any]:
    """Send 120 ordinary calls and 30 that fail; return the incident they open."""
    service.send(*calls(name, 120))
    service.send(*calls(name, 30, errors=["429 rate limit reached"]))
    found: list[dict[str, Any]] = until(
        lambda: service.read("/api/v1/incidents", service=name)["incidents"]
    )
    return found[0]


def test_an_incident_is_opened_acknowledged_and_resolved_over_http(service: Serving) -> None:
    incident = open_incident(service, "failing")
    assert (incident["state"], incident["type"]) == ("open", "error_rate_increase")
    assert incident["title"].startswith("failing / m: ")
    assert incident["evidence"][0]["statistic"] > incident["evidence"][0]["threshold"]
    path = f"/api/v1/incidents/{incident['id']}"

    note = {"by": "ann", "note": "looking into it"}
    answer = service.post(f"{path}/acknowledge", note)
    assert (answer.status, answer.json()["state"]) == (200, "acknowledged")
    assert {name: answer.json()["acknowledged"][name] for name in note} == note
    assert service.read(path)["state"] == "acknowledged"
    until(lambda: service.read("/api/v1/incidents", state="open", service="failing")["count"] == 0)

    answer = service.post(f"{path}/resolve")
    assert (answer.status, answer.json()["state"]) == (200, "resolved")
    assert answer.json()["ended_at"] is not None
    wanted = {"service": "failing", "state": "resolved", "severity": "critical"}
    found = until(lambda: service.read("/api/v1/incidents", **wanted)["incidents"])
    assert [row["id"] for row in found] == [incident["id"]]
    assert service.read(path)["state"] == "resolved"

    for verb in ("acknowledge", "resolve"):
        refused = service.post(f"{path}/{verb}", note)
        assert (refused.status, refused.json()["type"]) == (409, "urn:sentinel:not_open")
        refused = service.post(f"/api/v1/incidents/inc-none/{verb}", note)
        assert (refused.status, refused.json()["type"]) == (404, "urn:sentinel:not_found")


def test_an_incident_is_accepted_as_the_new_normal_over_http(service: Serving) -> None:
    incident = open_incident(service, "rough")
    answer = service.post(f"/api/v1/incidents/{incident['id']}/accept", {"by": "ann"})
    assert (answer.status, answer.json()["state"]) == (200, "accepted")
    assert answer.json()["accepted"]["by"] == "ann"
    found = until(
        lambda: service.read("/api/v1/incidents", state="accepted", service="rough")["incidents"]
    )
    assert [row["id"] for row in found] == [incident["id"]]


def test_a_baseline_is_accepted_over_http_and_ends_what_rests_on_it(service: Serving) -> None:
    incident = open_incident(service, "team/rougher")
    wanted = {"service": "team/rougher", "metric": "error"}
    (baseline,) = service.read("/api/v1/baselines", **wanted)["baselines"]
    path = f"/api/v1/baselines/{baseline['key']}/accept"
    answer = service.post(path, {"by": "ann", "note": "we know"})
    assert (answer.status, answer.json()["key"]) == (200, "team/rougher:m:error")
    rest = service.post(path)
    assert (rest.status, rest.json()["incidents"]) == (200, [])
    state = service.read(f"/api/v1/incidents/{incident['id']}")["state"]
    ended = [row["id"] for row in answer.json()["incidents"]]
    assert (ended, state) in (([incident["id"]], "accepted"), ([], "open"))
    for unknown in ("/api/v1/baselines/none:m:error/accept", path.removesuffix("/accept")):
        refused = service.post(unknown)
        assert (refused.status, refused.json()["type"]) == (404, "urn:sentinel:not_found")


def test_an_alert_is_one_line_of_the_log_that_says_all_of_it(service: Serving) -> None:
    incident = open_incident(service, "logged")

    def told(kind: str) -> list[dict[str, Any]]:
        return [e for e in service.logged(f"alert.{kind}") if e["incident"] == incident["id"]]

    (line,) = until(lambda: told("open"))
    assert re.fullmatch(
        r"\[CRITICAL\] logged · m · \d+ % of calls fail \(usually [\d.]+ %\).* since \d\d:\d\d UTC",
        line["title"],
    )
    assert line["id"].startswith("alt-")
    service.post(f"/api/v1/incidents/{incident['id']}/resolve")
    (line,) = until(lambda: told("resolve"))
    assert line["title"].startswith("[RESOLVED] logged · m · ")
    time.sleep(0.5)
    assert len(told("open")) == len(told("resolve")) == 1


# Live events


def live_events(service: Serving, query: str) -> Generator[tuple[str, Any], None, None]:
    """Yield (name, data) of the stream as they come; the first is yielded once it is connected."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=SECONDS)
    with closing(connection):
        connection.request("GET", f"/api/v1/stream{query}")
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers.get_content_type() == "text/event-stream"
        yield "connected", None
        name = ""
        while line := response.readline().decode():
            key, _, value = line.rstrip("\r\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                yield name, json.loads(value)


def clients(service: Serving) -> float:
    return families(service)["sentinel_stream_clients"].samples[0].value


def test_a_live_reader_gets_the_incidents_and_anomalies_of_its_service(service: Serving) -> None:
    stream = live_events(service, "?service=streamed")
    with closing(stream):
        next(stream)
        until(lambda: clients(service) >= 1)
        open_incident(service, "elsewhere")
        incident = open_incident(service, "streamed")
        seen: dict[str, Any] = {}
        for name, data in stream:
            assert data["service"] == "streamed"
            seen[name] = data
            if "incident.open" in seen:
                break
        assert seen["incident.open"]["id"] == incident["id"]
        service.send(call("streamed", latency_ms=9000.0))
        name, data = next(event for event in stream if event[0] == "anomaly")
        assert (data["metric"], data["value"]) == ("latency_ms", 9000.0)


def test_a_live_reader_gets_at_most_50_anomalies_a_second_and_is_told_of_the_rest(
    service: Serving,
) -> None:
    service.send(*calls("flood", 120))
    stream = live_events(service, "?service=flood")
    with closing(stream):
        next(stream)
        until(lambda: clients(service) >= 1)
        began = time.monotonic()
        service.send(*calls("flood", 200, latency_ms=9000.0))
        time.sleep(1.1)
        service.send(call("flood", latency_ms=3e6))
        names: list[str] = []
        for name, data in stream:
            names.append(name)
            if name == "dropped":
                assert data["dropped"] > 50
                break
        seconds = time.monotonic() - began
        assert names.count("anomaly") <= 50 * (1 + seconds)
