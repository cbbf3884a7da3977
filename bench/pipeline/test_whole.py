"""What an event costs on its whole way: bytes, journal, verdicts, rows.

Everything that is on by default is on: intake, redaction, a journal with its sync, four detectors,
all tests of the evidence, incidents, the store where the row of the table says so.  Measured is
processor time of the whole process, all threads, on one core, over bodies of 1,000 events that come
one after the other, once 60 keys have full windows.  The yardstick takes turns with it: the bare
decoding of the same bytes (msgspec into the same Structs, the official parser for OTLP).
SENTINEL_BENCH_EVENTS is how many events each measurement takes (200,000).
"""

import gc
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from sentinel.engine import Partition
from sentinel.intake import Intake, OtlpDecoder
from sentinel.model.batch import Batch, Rejection, concatenated
from sentinel.model.event import Event
from sentinel.service.serve import look_for_cycles_rarely
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, intake_settings
from sentinel.sources.journal import EVENTS as EVENTS_RECORD
from sentinel.sources.journal import Appended, Journal
from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.rows import Rows
from yardstick import Table, gates

GATES = gates("pipeline")
EVENTS: Final = int(os.environ.get("SENTINEL_BENCH_EVENTS", "200000"))
BODY: Final = 1_000
ROUND: Final = 4
"""Bodies that wait for the disk before what is durable is judged: as with four busy connections."""
WARM: Final = 80
START_NS: Final = 1_767_225_600_000_000_000
STEP_NS: Final = 10_000_000
WORDS: Final = (
    "reports",
    "show",
    "growth",
    "in",
    "all",
    "regions",
    "while",
    "costs",
    "fell",
    "again",
)


class Traffic:
    """Bodies of ordinary calls of 60 services and models, none twice."""

    def __init__(self, *, texts: bool, trace_ids: bool) -> None:
        self.chance = random.Random(1)
        self.texts, self.trace_ids = texts, trace_ids
        self.pool = [self.text() for _ in range(2_000)] if texts else []

    def text(self) -> str:
        """Return 200 characters of prose, a third of it numbers, code and JSON."""
        chance, text = self.chance, ""
        while len(text) < 200:
            kind, number = chance.random(), chance.randrange(1000)
            if kind < 0.1:
                text += f"{number} of {number + 7} "
            elif kind < 0.2:
                text += f"for i in range({number}): x[i] = f(y, {number % 9}) "
            elif kind < 0.3:
                text += f'{{"id": {number}, "name": "widget", "ok": true}} '
            else:
                text += f"{chance.choice(WORDS)} "
        return text[:200]

    def call(self) -> dict[str, Any]:
        chance = self.chance
        prompt: dict[str, Any] = {"tokens": int(chance.lognormvariate(6.5, 0.6)) + 1}
        answer: dict[str, Any] = {"tokens": int(chance.lognormvariate(5.0, 0.7)) + 1}
        call = {
            "event_id": str(UUID(int=chance.getrandbits(128))),
            "service_name": f"s{chance.randrange(20)}",
            "model": f"m{chance.randrange(3)}",
            "prompt": prompt,
            "response": answer | {"finish_reason": "stop"},
            "latency_ms": round(chance.lognormvariate(7, 0.4), 1),
            "cost_usd": (2.5 * prompt["tokens"] + 10 * answer["tokens"]) / 1e6,
            "metadata": {"user_id": f"u{chance.randrange(500)}"},
        }
        if self.texts:
            prompt["text"] = chance.choice(self.pool)
            call["response"]["text"] = chance.choice(self.pool)
        if self.trace_ids:
            call["trace_id"] = f"{chance.getrandbits(128):032x}"
            call["span_id"] = f"{chance.getrandbits(64):016x}"
        return call

    def json(self) -> bytes:
        return "\n".join(json.dumps(self.call()) for _ in range(BODY)).encode()

    def otlp(self) -> bytes:
        """Return the same calls as spans, 12 attributes each."""
        request = ExportTraceServiceRequest()
        groups = {}
        for _ in range(BODY):
            call = self.call()
            service = call["service_name"]
            if service not in groups:
                group = request.resource_spans.add()
                group.resource.attributes.add(key="service.name").value.string_value = service
                groups[service] = group.scope_spans.add()
            span = groups[service].spans.add(
                trace_id=self.chance.randbytes(16), span_id=self.chance.randbytes(8)
            )
            span.name, span.kind = f"chat {call['model']}", span.SPAN_KIND_CLIENT
            span.end_time_unix_nano = START_NS
            span.start_time_unix_nano = START_NS - int(call["latency_ms"] * 1e6)
            for key, value in {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": call["model"],
                "gen_ai.response.model": call["model"],
                "gen_ai.response.id": f"chatcmpl-{self.chance.randbytes(12).hex()}",
                "gen_ai.usage.input_tokens": call["prompt"]["tokens"],
                "gen_ai.usage.output_tokens": call["response"]["tokens"],
                "gen_ai.request.temperature": 0.2,
                "gen_ai.response.finish_reasons": None,
                "server.address": "api.openai.com",
                "server.port": 443,
                "user.id": call["metadata"]["user_id"],
            }.items():
                _set(span.attributes.add(key=key).value, value)
        return request.SerializeToString()


def _set(value: AnyValue, told: object) -> None:
    if isinstance(told, str):
        value.string_value = told
    elif isinstance(told, int):
        value.int_value = told
    elif isinstance(told, float):
        value.double_value = told
    else:
        value.array_value.values.add().string_value = "stop"


class Pipeline:
    """The parts of a service, called in turn; what waits for a disk has its own thread."""

    def __init__(self, folder: Path, *, otlp: bool, rows: str) -> None:
        settings = Settings()
        self.rows, self.otlp = rows, OtlpDecoder() if otlp else None
        self.durable: list[Appended] = []
        self.written = threading.Event()
        self.journal = Journal.open(
            folder / "journal",
            on_durable=self.keep,
            on_failed=lambda _, error: pytest.fail(str(error)),
            on_broken=lambda error: pytest.fail(str(error)),
        )
        self.journal.start()
        log_id = self.journal.log_id
        self.intake = Intake(intake_settings(settings), key=b"k" * 32, log_id=log_id)
        self.partition = Partition(engine_rules(settings), log_id)
        self.store = DuckDbStore(folder / "rows.duckdb", log_id=log_id)
        self.store.open()
        self.now = START_NS
        self.judged = self.votes = 0

    def keep(self, appended: list[Appended]) -> None:
        """Take what the journal's thread has brought to the disk."""
        self.durable.extend(appended)
        self.written.set()

    def run(self, bodies: list[bytes]) -> None:
        """Take bodies; returns when their rows are committed."""
        for body in bodies:
            self.now += STEP_NS
            batch, record = self.intake.packed(self.taken(body))
            self.journal.append(EVENTS_RECORD, record, received_at=self.now, token=batch)
            if self.journal.waiting_bytes > ROUND * len(record):
                self.judge_durable()
        while self.journal.waiting_bytes:
            self.written.wait(1)
            self.written.clear()
        self.judge_durable()
        assert self.store.flush(60)

    def taken(self, body: bytes) -> Batch:
        where: dict[str, Any] = {"offset": 0, "received_at": self.now, "record": True}
        if self.otlp is None:
            batch, refused, _ = self.intake.take(body, **where)
        else:
            decoded = self.otlp.decode("traces", body, json=False)
            assert not isinstance(decoded, Rejection)
            batch, refused = self.intake.admit(decoded.events, **where)
        assert not refused
        assert len(batch) == BODY
        return batch

    def judge_durable(self) -> None:
        """Judge what is on the disk by now."""
        durable, self.durable = self.durable, []
        if not durable:
            return
        batch = concatenated([one.token.moved_to(one.offset) for one in durable])
        judgement = self.partition.judge(batch)
        self.judged += len(batch)
        self.votes += len(judgement.anomalies)
        stored = judgement.stored()
        self.store.put(
            Rows(
                next_offset=self.partition.next_offset,
                batch=msgspec.structs.replace(batch, events=()),
                stored=stored if self.rows == "all" else np.zeros_like(stored),
                state=judgement.state,
                votes=judgement.anomalies.columns,
                incidents=[event.incident for event in judgement.incident_events],
            )
        )

    def close(self) -> None:
        self.journal.close()
        self.store.close()


@pytest.fixture(autouse=True)
def as_in_a_service() -> Iterator[None]:
    """Keep the process and the threads that it starts on one core, and set it as `serve` does."""
    cores, thresholds = os.sched_getaffinity(0), gc.get_threshold()
    os.sched_setaffinity(0, {min(cores)})
    look_for_cycles_rarely()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    os.sched_setaffinity(0, cores)


@contextmanager
def pipeline(folder: Path, *, otlp: bool, rows: str) -> Iterator[Pipeline]:
    made = Pipeline(folder, otlp=otlp, rows=rows)
    try:
        yield made
    finally:
        made.close()


def _cpu(run: Callable[[], object]) -> float:
    begin = process_time()
    run()
    return process_time() - begin


@pytest.mark.parametrize(
    ("name", "texts", "otlp", "rows"),
    [
        ("without_texts", False, False, "anomalies"),
        ("every_event_stored", False, False, "all"),
        ("busy_texts", True, False, "anomalies"),
        ("otlp_spans", False, True, "anomalies"),
    ],
)
def test_how_many_events_a_core_takes(
    tmp_path: Path, table: Table, *, name: str, texts: bool, otlp: bool, rows: str
) -> None:
    traffic = Traffic(texts=texts, trace_ids=rows == "all")
    make = traffic.otlp if otlp else traffic.json
    decode: Callable[[bytes], object] = (
        ExportTraceServiceRequest.FromString if otlp else msgspec.json.Decoder(Event).decode_lines
    )
    ours, yardstick = [], []
    with pipeline(tmp_path, otlp=otlp, rows=rows) as whole:
        whole.run([make() for _ in range(WARM)])
        for _ in range(max(1, EVENTS // (20 * BODY))):
            bodies = [make() for _ in range(20)]
            yardstick.append(_cpu(lambda bodies=bodies: [decode(body) for body in bodies]))  # type: ignore[misc]
            ours.append(_cpu(lambda bodies=bodies: whole.run(bodies)))  # type: ignore[misc]
        assert whole.judged == BODY * (WARM + 20 * len(ours))
    rate = 20 * BODY * len(ours) / sum(ours)
    best = 20 * BODY / min(ours)
    ratio = float(np.median(np.divide(ours, yardstick)))
    note = f"{rate:,.0f} events/s of a core (best {best:,.0f}), {whole.votes:,} votes"
    table.hold(GATES[name], ratio, note)
