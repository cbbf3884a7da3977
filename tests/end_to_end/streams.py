"""A stream that holds everything that is hard: both forms, late, stale and repeated events, bad
lines, gaps, and incidents that are open at each of them."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from sentinel.demo.traffic import Traffic

Call = dict[str, Any]
Lines = list[bytes]

CALLS_BEFORE = 1_000
"""Of the history, the last: about 160 a service and model, a hundred arm a test."""
STRETCH = 650
"""Of what comes after the gaps: enough for a series of every service and model to be armed anew."""

BAD = (
    b"",
    b" \t ",
    b"garbage",
    b"{",
    b"}",
    b"[1, 2]",
    b"[",
    b"null",
    b'{"service_name":"chat-api","model":"gpt-4o","timestamp":"2026-03-02T09:00:01Z"',
    b'{"service_name":"","model":"gpt-4o","timestamp":"2026-03-02T09:00:01Z"}',
    b'{"service_name":"chat-api","model":"gpt-4o"}',
    b'{"service_name":"chat-api","model":"gpt-4o","timestamp":1772442001,"latency_ms":-1}',
    b'{"service_name":"chat-api","model":"gpt-4o","timestamp":1772442001,"latency_ms":NaN}',
    b'{"service_name":"\xff","model":"gpt-4o","timestamp":1772442001}',
    b'{"service_name":"chat-api","model":"gpt-4o","timestamp":1772442001,"a":' + b"[" * 99,
    b'{"service_name":"chat-api","model":"gpt-4o","timestamp":1772442001,"x":"' + b"y" * 300_000,
)
"""Lines that are no event; the first two are no input at all."""

LONGEST = b'{"service_name":"' + b"z" * 2_200_000 + b'"}'
"""A line beyond what a reader keeps of one."""


def ordinary(seed: int) -> Iterator[Call]:
    """Yield the end of the demo's history, then its live part with five incidents in it."""
    traffic = Traffic(seed)
    history = b"".join(traffic.history()).splitlines()[-CALLS_BEFORE:]
    live = b"".join(body for _, body in traffic.live()).splitlines()
    for line in (*history, *live):
        yield json.loads(line)


def aftermath(seed: int, last: datetime) -> Iterator[Call]:
    """Yield three stretches: after 20 minutes, after 8 days, and one more; all end in trouble."""
    traffic = Traffic(seed + 1)
    calls = [json.loads(line) for line in b"".join(traffic.history()).splitlines()[: 3 * STRETCH]]
    at = last
    for stretch, gap in enumerate((timedelta(minutes=20), timedelta(days=8), timedelta(0))):
        at += gap
        for number, call in enumerate(calls[stretch * STRETCH : (stretch + 1) * STRETCH]):
            at += timedelta(milliseconds=200)
            call["timestamp"] = at.isoformat()
            if number > STRETCH - 60:
                call["latency_ms"] *= 9
                call["errors"] = ["429 rate limit reached"] if number % 2 else []
            yield call


def flat(call: Call) -> Call:
    """Return a call in the flat form."""
    prompt, response = call.get("prompt") or {}, call.get("response") or {}
    fields = {
        "timestamp": call["timestamp"],
        "service_name": call["service_name"],
        "model_name": call["model"],
        "request_id": call.get("event_id"),
        "latency_ms": call.get("latency_ms"),
        "prompt_tokens": prompt.get("tokens"),
        "completion_tokens": response.get("tokens"),
        "cost_usd": call.get("cost_usd"),
        "errors": call.get("errors"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _changed(call: Call, rng: np.random.Generator) -> Call:
    """Return a call, some of them made odd in one way."""
    odds = rng.random()
    if odds < 0.25:
        return flat(call)
    if odds < 0.45:
        # Its id comes from its position, which therefore must not move.
        return {name: value for name, value in call.items() if name != "event_id"}
    if odds < 0.46:
        at = datetime.fromisoformat(call["timestamp"]) - timedelta(days=8)
        return call | {"timestamp": at.isoformat()}
    if odds < 0.47:
        return call | {"latency_ms": 1e9}
    return call


def nasty(seed: int) -> Lines:
    """Return the stream as lines, each with its line feed."""
    rng = np.random.default_rng([seed, 99])
    calls = list(ordinary(seed))
    calls += aftermath(seed, datetime.fromisoformat(calls[-1]["timestamp"]))
    lines = [json.dumps(_changed(call, rng)).encode() for call in calls]
    n = len(lines)
    place = np.arange(n, dtype=float)
    late = rng.random(n) < 0.02
    place[late] += rng.uniform(1, 2_000, late.sum())
    again = np.flatnonzero(rng.random(n) < 0.02)
    bad = [BAD[i % len(BAD)] for i in range(60)]
    extra = [lines[i] for i in again] + bad + [LONGEST]
    places = np.concatenate(
        [place, again + rng.uniform(1, 500, len(again)), rng.uniform(1, n, len(bad) + 1)]
    )
    lines += extra
    ends = rng.choice([b"\n", b"\r\n"], len(lines), p=[0.9, 0.1])
    return [lines[i] + ends[i] for i in np.argsort(places, kind="stable")]
