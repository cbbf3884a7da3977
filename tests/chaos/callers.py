"""Callers that never give up: what was not acknowledged is sent again, with the same event ids."""

import http.client
import json
import random
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

PATIENCE_SECONDS = 10.0
PATH = "/api/v1/events"


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: Any


def ask(port: int, method: str, path: str, body: bytes | None = None) -> Answer:
    """Ask once on a connection of its own.

    Raises
    ------
    OSError, http.client.HTTPException
        There was no whole answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        return ask_on(connection, method, path, body)
    finally:
        connection.close()


def ask_on(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> Answer:
    """Ask on a connection that is kept."""
    headers = {} if body is None else {"Content-Type": "application/x-ndjson"}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    data = response.read()
    found = json.loads(data) if data else None
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, found)


class Calls:
    """One caller's telemetry: services that run well, fail, are slow, and run well again."""

    def __init__(self, name: str, seed: int, *, calls_each: int = 400) -> None:
        self._name, self._calls_each = name, calls_each
        self._random = random.Random(f"{seed} {name}")
        self._number = 0

    def body(self, count: int) -> tuple[list[str], bytes]:
        """Return the ids and the NDJSON of the next calls."""
        events = [self._event() for _ in range(count)]
        lines = "\n".join(json.dumps(event) for event in events)
        return [event["event_id"] for event in events], lines.encode()

    def _event(self) -> dict[str, Any]:
        epoch, place = divmod(self._number, self._calls_each)
        self._number += 1
        random_, part = self._random, place / self._calls_each
        bad = 0.5 <= part < 0.7
        fails, slow = bad and epoch % 2 == 0, bad and epoch % 2 == 1
        latency = random_.lognormvariate(6, 0.2) * (8 if slow else 1)
        event: dict[str, Any] = {
            "event_id": str(uuid.UUID(int=random_.getrandbits(128), version=4)),
            "service_name": f"{self._name}-{epoch}",
            "timestamp": datetime.now(UTC).isoformat(),
            "model": "gpt-4o",
            "provider": "openai",
            "user_id": f"user-{random_.randrange(50)}",
            "latency_ms": round(latency, 1),
            "prompt": {"tokens": int(random_.lognormvariate(6.5, 0.3))},
        }
        if random_.random() < (0.8 if fails else 0.01):
            event["errors"] = ["429 rate limit reached"]
        else:
            event["response"] = {"tokens": int(random_.lognormvariate(5, 0.3))}
            event["cost_usd"] = round(0.002 * random_.lognormvariate(0, 0.2), 6)
        return event


class Callers:
    """Busy connections, each with one body on its way."""

    def __init__(self, seed: int, *, connections: int = 4, events: int = 5) -> None:
        self.acknowledged: list[set[str]] = [set() for _ in range(connections)]
        self.repeats = 0
        self.unexpected: list[str] = []
        self._events = events
        self._port = 0
        self._up = threading.Event()
        self._ending = threading.Event()
        self._abandoned = False
        self._threads = [
            threading.Thread(target=self._call, args=(Calls(f"svc-{number}", seed), number))
            for number in range(connections)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def listen_at(self, port: int) -> None:
        """Say where the service is now; 0: nowhere."""
        self._port = port
        if port:
            self._up.set()
        else:
            self._up.clear()

    def pause(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._up.clear()
        time.sleep(seconds)
        self._up.set()

    def end(self, timeout: float) -> None:
        """Let each have its last body acknowledged."""
        self._ending.set()
        self._up.set()
        for thread in self._threads:
            thread.join(timeout)
            assert not thread.is_alive(), "a caller's last body was never acknowledged"

    def abandon(self) -> None:
        """End without waiting for anybody's answer."""
        self._abandoned = True
        self._ending.set()
        self._up.set()

    def _call(self, calls: Calls, number: int) -> None:
        connection: http.client.HTTPConnection | None = None
        bodies = 0
        while not self._ending.is_set():
            # Every other one sends single events, which are taken together with those of others.
            ids, body = calls.body(1 if number % 2 else self._events)
            tries = 0
            while ids and not self._abandoned:
                self._up.wait()
                tries += 1
                try:
                    if connection is None:
                        connection = self._connect()
                    answer = ask_on(connection, "POST", PATH, body)
                except (OSError, http.client.HTTPException, ValueError):
                    if connection is not None:
                        connection.close()
                    connection = None
                    time.sleep(0.05)
                    continue
                if answer.status == 200 and answer.body == {"accepted": len(ids), "rejected": []}:
                    self.acknowledged[number].update(ids)
                    ids = []
                elif answer.status != 503:
                    self.unexpected.append(f"{answer.status} {answer.body}")
                else:
                    time.sleep(0.05)
            self.repeats += tries - 1
            bodies += 1
            if number == 0 and bodies % 60 == 0:
                self._act(bodies)
            time.sleep(0.02)
        if connection is not None:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)

    def _act(self, bodies: int) -> None:
        """Acknowledge or resolve an open incident by hand, as far as anybody answers."""
        act = "resolve" if bodies % 180 == 0 else "acknowledge"
        try:
            found = ask(self._port, "GET", "/api/v1/incidents?state=open&limit=5")
            for incident in found.body["incidents"][:1]:
                note = json.dumps({"by": "somebody", "note": "seen"}).encode()
                ask(self._port, "POST", f"/api/v1/incidents/{incident['id']}/{act}", note)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return
