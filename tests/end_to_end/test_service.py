"""The running service as its users see it: telemetry in, answers, incidents, metrics."""

import gzip
import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import zstandard

from end_to_end.serving import Serving, call, calls, families, serving, until
from sentinel.vitals.inventory import Vitals

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


# Telemetry in


def lines_of(events: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


BODIES: dict[str, tuple[Callable[[list[dict[str, Any]]], bytes], str]] = {
    "array": (lambda events: json.dumps(events).encode(), ""),
    "indented": (lambda events: json.dumps(events, indent=2).encode(), ""),
    "ndjson": (lines_of, ""),
    "gzip": (lambda events: gzip.compress(lines_of(events)), "gzip"),
    "zstd": (lambda events: zstandard.compress(lines_of(events)), "zstd"),
    "identity": (lines_of, "identity"),
    "large": (lambda events: lines_of(events) + b"\n" * 100_000, ""),
}


@pytest.mark.parametrize("form", BODIES)
def test_events_are_taken_in_every_form_and_can_be_asked_for(service: Serving, form: str) -> None:
    encode, coding = BODIES[form]
    headers = {"Content-Encoding": coding} if coding else {}
    body = encode(calls(form, 3))
    answer = service.request("POST", "/api/v1/events", body, headers)
    assert (answer.status, answer.json()) == (200, {"accepted": 3, "rejected": []})
    until(lambda: service.count(form) == 3)


def test_one_event_alone_is_taken_and_kept_without_what_is_personal(service: Serving) -> None:
    event = call("alone", user_id="ann", metadata={"password": "hunter2"}, cost_usd=0.25)
    event["prompt"]["text"] = "what is the code of ann@example.com?"
    assert service.post("/api/v1/events", event).json() == {"accepted": 1, "rejected": []}
    until(lambda: service.count("alone") == 1)
    answer = service.get("/api/v1/telemetry", service="alone")
    (row,) = answer.json()["data"]
    assert uuid.UUID(row["event_id"])
    assert (row["latency_ms"], row["cost_usd"], row["error"]) == (100.0, 0.25, False)
    assert (row["prompt_length"], row["ttft_ms"]) == (36, None)
    assert re.fullmatch(r"what is the code of \[EMAIL:[0-9a-f]{4}\]\?", row["prompt_text"])
    assert re.fullmatch(r"\[SECRET:[0-9a-f]{4}\]", row["metadata"]["password"])
    assert re.fullmatch("u-[0-9a-f]{24}", row["user_id"])
    for secret in (b"launch code", b"hunter2", b'ann"'):
        assert secret not in answer.body
        assert secret.decode() not in service.log()


def test_a_receipt_names_place_and_code_of_what_is_refused_and_never_its_value(
    service: Serving,
) -> None:
    body = b"\n".join(
        [
            json.dumps(call("partly")).encode(),
            b'{"service_name":"partly","model":"m","latency_ms":"hush-4711"}',
            b"hush-4711",
            b'{"service_name":"partly"}',
            json.dumps(call("partly")).encode(),
            b'{"service_name":"partly","model":"m","cost_usd":-4711.4711}',
        ]
    )
    answer = service.request("POST", "/api/v1/events", body)
    assert answer.status == 200
    assert answer.json() == {
        "accepted": 2,
        "rejected": [
            {"index": 1, "code": "wrong_type", "path": "$.latency_ms"},
            {"index": 2, "code": "not_json", "path": "$"},
            {"index": 3, "code": "missing_field", "path": "$.model"},
            {"index": 5, "code": "negative", "path": "$.cost_usd"},
        ],
    }
    # Four digits alone turn up in the ids and times of a log.
    for text in ("hush", "4711.4711"):
        assert text not in answer.body.decode()
        assert text not in service.log()


def test_an_event_that_is_sent_again_is_answered_alike_and_judged_once(service: Serving) -> None:
    event = call("again", event_id=str(uuid.uuid4()))
    for _ in range(3):
        assert service.post("/api/v1/events", event).json() == {"accepted": 1, "rejected": []}
    service.send_and_wait(call("again", 1))
    assert service.count("again") == 2
    (baseline,) = service.read("/api/v1/baselines", service="again", metric="latency_ms")[
        "baselines"
    ]
    assert baseline["samples"] == 2


# Questions


def test_pages_of_telemetry_hold_every_event_once_newest_first(service: Serving) -> None:
    service.send_and_wait(*calls("paged", 250))
    rows = list(service.pages("telemetry", "data", service="paged", limit=40))
    assert len({row["event_id"] for row in rows}) == len(rows) == 250
    places = [(row["timestamp"], row["offset"], row["index"]) for row in rows]
    assert places == sorted(places, reverse=True)


def test_telemetry_says_what_was_asked_for_and_keeps_to_it(service: Serving) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    times = [(now - timedelta(minutes=minutes)).isoformat() for minutes in (50, 40, 30)]
    service.send_and_wait(*(call("ranged", timestamp=time_) for time_ in times))
    answer = service.read("/api/v1/telemetry", service="ranged", start=times[1], end=times[2])
    assert answer["count"] == len(answer["data"]) == 1
    assert answer["next_cursor"] is None
    shown = {name: datetime.fromisoformat(text) for name, text in answer["timeRange"].items()}
    asked = [datetime.fromisoformat(text) for text in times[1:]]
    assert shown == dict(zip(("start", "end"), asked, strict=True))
    assert service.read("/api/v1/telemetry", service="ranged", hours=0.6)["count"] == 1
    assert service.read("/api/v1/telemetry", service="ranged", model="other")["count"] == 0


def test_votes_are_answered_with_the_baseline_they_were_judged_against(service: Serving) -> None:
    service.send_and_wait(*calls("voted", 60), call("voted", latency_ms=9000.0))
    answer = until(lambda: service.read("/api/v1/anomalies", service="voted")["anomalies"])
    assert {row["detector"] for row in answer} == {"zscore", "iqr", "mad", "cusum"}
    (vote,) = service.read("/api/v1/anomalies", service="voted", detector="zscore")["anomalies"]
    expected = {"service": "voted", "model": "m", "metric": "latency_ms", "value": 9000.0}
    assert {name: vote[name] for name in expected} == expected
    assert vote["severity"] == "critical"
    assert vote["baseline_samples"] == 60
    assert 100 < vote["baseline_mean"] < 110
    assert 0 < vote["baseline_stddev"] < 10
    assert vote["z_score"] == vote["statistic"] > 100
    assert service.read("/api/v1/anomalies", service="voted", severity="info")["anomalies"] == []
    assert service.read("/api/v1/anomalies", service="voted", metric="cost_usd")["count"] == 0
    latest = service.read("/api/v1/anomalies/recent", limit=2)
    assert latest["count"] == len(latest["anomalies"]) == 2
    assert latest["anomalies"][0].keys() == vote.keys()


def test_baselines_are_answered_by_service_model_and_metric(service: Serving) -> None:
    service.send_and_wait(*calls("based", 50))
    baselines = service.read("/api/v1/baselines", service="based", model="m")["baselines"]
    assert {row["metric"] for row in baselines} >= {"latency_ms", "total_tokens", "error"}
    (row,) = service.read("/api/v1/baselines", service="based", metric="latency_ms")["baselines"]
    assert (row["key"], row["samples"]) == ("based:m:latency_ms", 50)
    assert 100 <= row["q1"] <= row["median"] <= row["q3"] <= row["p95"] <= row["p99"] <= 110
    assert row["stddev"] > 0
    assert service.read("/api/v1/baselines", service="nobody")["baselines"] == []


# Metrics, description, headers


def test_the_metrics_are_prometheus_text_with_every_family_of_the_inventory(
    service: Serving,
) -> None:
    inventory = {family.name for family in Vitals().registry.collect()}
    before = families(service)
    assert before.keys() == inventory
    service.send_and_wait(*calls("counted", 7))
    service.post("/api/v1/events", {"service_name": "counted"})
    after = families(service)
    taken = [f["sentinel_events_received"].samples[0].value for f in (before, after)]
    assert taken[1] - taken[0] == 8
    judged = {s.labels["service"]: s.value for s in after["sentinel_events_processed"].samples}
    assert judged["counted"] == 7
    refused = {s.labels["reason"]: s.value for s in after["sentinel_validation_failures"].samples}
    assert refused["missing_field"] >= 1


def test_the_api_describes_itself_and_its_page_loads_nothing_from_elsewhere(
    service: Serving,
) -> None:
    description = service.read("/openapi.json")
    assert description["openapi"].startswith("3.")
    assert {"/api/v1/events", "/api/v1/telemetry", "/health/ready"} <= description["paths"].keys()
    page = service.get("/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"/openapi.json" in page.body
    assert not re.findall(rb"(?:src|href)=.?https?://|@import|url\(", page.body)


def test_health_says_which_part_is_ready(service: Serving) -> None:
    assert service.read("/health/live")["status"] == "healthy"
    for probe in ("ready", "startup"):
        answer = service.read(f"/health/{probe}")
        assert answer["status"] == "ready"
        assert set(answer["components"]) == {"recovery", "journal", "engine", "store"}
        assert all(component["ready"] for component in answer["components"].values())


@pytest.mark.parametrize(
    ("path", "status"),
    [("/docs", 200), ("/metrics", 200), ("/api/v1/telemetry", 200), ("/nowhere", 404)],
)
def test_every_answer_has_the_headers_that_keep_browsers_from_harm(
    service: Serving, path: str, status: int
) -> None:
    answer = service.get(path)
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers


REFUSED = {
    ("GET", "/nowhere"): 404,
    ("GET", "/api/v1/incidents/inc-none"): 404,
    ("DELETE", "/api/v1/incidents"): 405,
    ("GET", "/api/v1/telemetry?limit=0"): 400,
    ("GET", "/api/v1/telemetry?cursor=x"): 400,
    ("GET", "/api/v1/anomalies?severity=loud"): 400,
    ("GET", "/api/v1/stream?service="): 400,
    ("POST", "/api/v1/events"): 400,
}


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_every_refusal_is_a_problem_with_a_code(service: Serving, method: str, path: str) -> None:
    answer = service.request(method, path)
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert (answer.status, problem["status"]) == (REFUSED[method, path],) * 2
    assert re.fullmatch(r"urn:sentinel:[a-z_]+", problem["type"])
    assert problem["title"]


def test_the_folder_of_the_service_is_for_its_owner_alone(service: Serving) -> None:
    assert service.data_dir.stat().st_mode & 0o077 == 0
    assert (service.data_dir / "privacy.key").stat().st_mode & 0o077 == 0
