"""Telemetry for a topic: services that run well, fail, are slow and run well again, and dirt."""

import json
import random
import time
import uuid
from typing import Any

SERVICES = 12
EPOCH = 300
"""Calls of a service until it has run through a good, a bad and a good time."""


def is_quiet() -> bool:
    """Say whether nobody sends for now, so that ticks pass the time."""
    return time.time() % 7 > 5


class Traffic:
    """Messages of producers, each with its key."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._calls = [self._random.randrange(EPOCH) for _ in range(SERVICES)]
        self._sent: list[str] = []

    def message(self) -> tuple[bytes, bytes]:
        """Return key and value of the next message."""
        dice = self._random.random()
        number = self._random.randrange(SERVICES)
        key = f"svc-{number}".encode()
        if dice < 0.002:
            return key, self._random.choice([b"{", b"no json", b'{"latency_ms": -1}', b"\xff"])
        if dice < 0.01:
            several = [self._event(number) for _ in range(3)]
            if dice < 0.006:
                return key, json.dumps(several).encode()
            return key, "\n".join(map(json.dumps, several)).encode()
        event = self._event(number)
        if dice < 0.03 and self._sent:
            # Sent again by somebody who did not hear the answer.
            event["event_id"] = self._random.choice(self._sent)
        elif dice < 0.2:
            event["event_id"] = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            self._sent = [*self._sent[-50:], event["event_id"]]
        return key, json.dumps(event).encode()

    def _event(self, number: int) -> dict[str, Any]:
        self._calls[number] += 1
        epoch, place = divmod(self._calls[number], EPOCH)
        bad = 0.5 <= place / EPOCH < 0.7
        return event_of(
            self._random, number, slow=bad and epoch % 2 == 1, fails=bad and not epoch % 2
        )


def event_of(random_: random.Random, number: int, *, slow: bool, fails: bool) -> dict[str, Any]:
    """Return a call of a service, that ends now."""
    event: dict[str, Any] = {
        "service_name": f"svc-{number}",
        "model": "gpt-4o",
        "latency_ms": round(random_.lognormvariate(6, 0.2) * (8 if slow else 1), 1),
        "prompt_tokens": int(random_.lognormvariate(6.5, 0.3)),
        "user_id": f"user-{random_.randrange(50)}",
    }
    if random_.random() < 0.9:
        event["timestamp"] = time.time() - random_.uniform(0, 0.5)
    if random_.random() < (0.8 if fails else 0.01):
        event["metadata"] = {"note": "failed"}
        event["errors"] = ["429 rate limit reached"]
    else:
        event["completion_tokens"] = int(random_.lognormvariate(5, 0.3))
    return event


def body_of(random_: random.Random) -> tuple[bytes, list[str]]:
    """Return a body as HTTP brings it, of several services, and the ids of its events."""
    events = []
    for _ in range(random_.randint(1, 6)):
        event = event_of(
            random_, random_.randrange(SERVICES), slow=random_.random() < 0.1, fails=False
        )
        event["event_id"] = str(uuid.UUID(int=random_.getrandbits(128), version=4))
        events.append(event)
    return "\n".join(map(json.dumps, events)).encode(), [event["event_id"] for event in events]
