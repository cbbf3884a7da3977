"""What a span costs from the bytes of an OTLP request to an event, beside the official parser.

500 spans of a chat with 15 attributes, the current conventions; the parser only parses, and what
its messages say would still have to be walked through.
"""

import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from sentinel.intake import Intake, IntakeSettings, OtlpDecoder, canonical
from sentinel.model.batch import Rejection
from sentinel.model.event import Event
from yardstick import Table, gates, taking_turns

GATES = gates("otlp")
SPANS = 500
END = 1_767_225_600_000_000_000


def _set(value: AnyValue, told: object) -> None:
    if isinstance(told, str):
        value.string_value = told
    elif isinstance(told, int):
        value.int_value = told
    elif isinstance(told, float):
        value.double_value = told
    else:
        value.array_value.values.add().string_value = "stop"


def _body(text: str) -> bytes:
    chance = random.Random(1)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "chat-api"
    scope = group.scope_spans.add()
    for number in range(SPANS):
        span = scope.spans.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
        span.name, span.kind = "chat gpt-4o", span.SPAN_KIND_CLIENT
        span.end_time_unix_nano = END + number * 1_000_000
        span.start_time_unix_nano = span.end_time_unix_nano - 830_123_000
        told: dict[str, object] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.id": f"chatcmpl-{chance.randbytes(12).hex()}",
            "gen_ai.usage.input_tokens": 812 + number % 100,
            "gen_ai.usage.output_tokens": 164 + number % 50,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.max_tokens": 1000,
            "gen_ai.response.finish_reasons": None,
            "server.address": "api.openai.com",
            "server.port": 443,
            "gen_ai.conversation.id": f"c{number % 40}",
            "user.id": f"user-{number % 100}",
            "gen_ai.response.time_to_first_chunk": 0.21,
        }
        if text:
            told |= {"gen_ai.input.messages": text, "gen_ai.output.messages": text}
        for key, value in told.items():
            _set(span.attributes.add(key=key).value, value)
    return request.SerializeToString()


def _decode(body: bytes) -> list[Event]:
    found = OtlpDecoder().decode("traces", body, json=False)
    assert not isinstance(found, Rejection)
    assert len(found.events) == SPANS
    return found.events


def test_spans_become_events_in_a_few_times_what_parsing_them_takes(table: Table) -> None:
    for name, text in (("plain", ""), ("texts", "lorem ipsum " * 17)):
        body = _body(text)
        ratio = taking_turns(
            lambda body=body: _decode(body),  # type: ignore[misc]
            lambda body=body: ExportTraceServiceRequest.FromString(body),  # type: ignore[misc]
            (SPANS, SPANS),
            repeats=60,
        )
        table.hold(GATES[f"decode_{name}"], ratio.median, ratio.note("ours", "parsing alone"))
        table.note(f"otlp.decode_{name}_per_second", 1 / min(ratio.first), "spans a second (best)")


def test_decoded_spans_are_taken_in_and_written(table: Table) -> None:
    body = _body("")
    intake = Intake(IntakeSettings(), key=b"k" * 32, log_id="bench")

    def whole() -> bytes:
        batch, _ = intake.admit(_decode(body), offset=0, received_at=END + 10**12, record=True)
        return canonical(batch.events)

    ratio = taking_turns(whole, lambda: _decode(body), (SPANS, SPANS), repeats=60)
    table.hold(GATES["intake"], ratio.median, ratio.note("with intake", "decoding alone"))
    table.note("otlp.intake_per_second", 1 / min(ratio.first), "spans a second (best)")
