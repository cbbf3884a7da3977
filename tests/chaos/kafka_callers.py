"""Callers who reach a cluster by HTTP: each request goes to any of its processes that listens."""

import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from chaos.callers import PATH, Answer, Calls, ask
from chaos.kafka_remains import Recorder
from chaos.kafka_traffic import is_quiet
from sentinel.service.topic_reader import CONTROL_KIND, KIND_HEADER

CALLERS = 3
BODIES_A_SECOND = 16
"""Of one caller, five events each."""
ACTS_EVERY = 8
"""Bodies between two acts of an operator."""


class CallersAnywhere:
    """Every other body is sent until it is acknowledged, the others once and never again."""

    def __init__(self, ports: Sequence[int], seed: int) -> None:
        self._ports, self._seed = ports, seed
        self._lock = threading.Lock()
        self.sent_once: set[str] = set()
        """Ids that went to one process only: they can be in the topic once at most."""
        self.acknowledged: set[str] = set()
        self.doors: Counter[int] = Counter()
        """Bodies that each port has acknowledged."""
        self.repeats = 0
        self.acts: dict[str, int] = {}
        """By the name of who acted: the status of the answer, 0 where there was none."""
        self.unexpected: list[str] = []

    def run(self, ending: threading.Event) -> None:
        """Send until it is time to end, and have everything acknowledged that is sent again."""
        threads = [
            threading.Thread(target=self._call, args=(number, ending)) for number in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self, number: int, ending: threading.Event) -> None:
        random_ = random.Random(f"{self._seed} {number}")
        # Two services a body: it becomes several messages, most often of several partitions.
        both = [Calls(f"svc-{number}-{part}", self._seed, calls_each=300) for part in "ab"]
        for body_number in itertools.count(1):
            if ending.wait(random_.uniform(0.5, 1.5) / BODIES_A_SECOND):
                return
            if is_quiet():
                continue
            parts = [calls.body(count) for calls, count in zip(both, (3, 2), strict=True)]
            ids = [one for part in parts for one in part[0]]
            body = b"\n".join(part[1] for part in parts)
            self._send(random_, ids, body, again=body_number % 2 == 0)
            if body_number % ACTS_EVERY == 0:
                self._act(random_, f"caller {number}, body {body_number}")

    def _send(self, random_: random.Random, ids: list[str], body: bytes, *, again: bool) -> None:
        tries = 0
        while tries == 0 or again:
            port, answer = self._anybody(random_, "POST", PATH, body)
            tries += 1
            if answer is not None and answer.status == 200:
                with self._lock:
                    self.acknowledged.update(ids)
                    self.doors[port] += 1
                break
            if answer is not None and answer.status != 503:
                self.unexpected.append(f"{answer.status} {answer.body}")
            time.sleep(0.05)
        with self._lock:
            self.repeats += tries - 1
            if tries == 1:
                self.sent_once.update(ids)

    def _anybody(
        self, random_: random.Random, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, Answer | None]:
        """Return who was asked, and the answer; None where it was lost on the way."""
        while True:
            port = random_.choice(self._ports)
            try:
                return port, ask(port, method, path, body)
            except ConnectionRefusedError:
                time.sleep(0.02)  # nobody is there, so nothing was sent: somebody else
            except (OSError, http.client.HTTPException, ValueError):
                return port, None

    def _act(self, random_: random.Random, name: str) -> None:
        """Acknowledge or resolve an incident that somebody shows, at the door of somebody."""
        _, found = self._anybody(random_, "GET", "/api/v1/incidents?state=open&limit=5")
        if found is None or found.status != 200 or not found.body["incidents"]:
            return
        incident = random_.choice(found.body["incidents"])["id"]
        act = random_.choice(["acknowledge", "resolve"])
        note = json.dumps({"by": name, "note": "seen"}).encode()
        _, answer = self._anybody(random_, "POST", f"/api/v1/incidents/{incident}/{act}", note)
        if answer is not None and answer.status not in (200, 202, 409, 503):
            self.unexpected.append(f"{act}: {answer.status} {answer.body}")
        with self._lock:
            self.acts[name] = 0 if answer is None else answer.status

    def assert_written(self, recorder: Recorder) -> None:
        """Hold what was answered against what the topic has."""
        assert not self.unexpected
        ids = Counter(recorder.event_ids())
        assert not self.acknowledged - ids.keys(), "acknowledged, and not in the topic"
        assert not {one for one in self.sent_once if ids[one] > 1}, "in the topic twice"
        acts = acts_in(recorder)
        partitions = len(recorder.records)
        for name, status in self.acts.items():
            if status in (200, 202, 409):
                assert acts[name] == partitions, f"{name}: {status}, and in {acts[name]} partitions"
            assert acts[name] <= partitions

    def lines(self) -> str:
        """Say in one line what was sent."""
        done = Counter(self.acts.values())
        return (
            f"{len(self.acknowledged):,} events acknowledged, bodies by process "
            f"{sorted(self.doors.values())}, {self.repeats} repeats, acts by status {dict(done)}"
        )


def acts_in(recorder: Recorder) -> Counter[str]:
    """Return in how many records each operator's act stands, by the operator's name."""
    found: Counter[str] = Counter()
    for records in recorder.records.values():
        for record in records:
            headers: list[Any] = record.headers() or []
            if (KIND_HEADER, CONTROL_KIND) in headers:
                by = json.loads(record.value()).get("by", "")
                found[by] += bool(by)
    return found
