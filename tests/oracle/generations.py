"""One span of each generation of attributes, requests made of them, and what is read of these."""

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from sentinel.intake import OtlpDecoder
from sentinel.model.batch import Rejection
from sentinel.model.event import Event

END = 1_767_225_601_250_000_000
"""2026-01-01T00:00:01.250Z"""
TOOK_MS = 1250.0
DECODER = OtlpDecoder()
SERVICE = {"service.name": "chat-api", "deployment.environment.name": "prod"}

Attributes = dict[str, Any]


def fill(value: AnyValue, told: Any) -> None:
    match told:
        case bool():
            value.bool_value = told
        case int():
            value.int_value = told
        case float():
            value.double_value = told
        case str():
            value.string_value = told
        case list():
            value.array_value.SetInParent()
            for item in told:
                fill(value.array_value.values.add(), item)
        case _:
            value.kvlist_value.SetInParent()
            add(value.kvlist_value.values, told)


def add(attributes: Any, told: Attributes) -> None:
    for key, value in told.items():
        fill(attributes.add(key=key).value, value)


def request_of(*spans: Attributes, resource: Attributes = SERVICE) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    add(group.resource.attributes, resource)
    scope = group.scope_spans.add()
    for number, told in enumerate(spans, 1):
        span = scope.spans.add(name="a span", trace_id=bytes([7] * 16), span_id=bytes([number] * 8))
        span.start_time_unix_nano, span.end_time_unix_nano = END - 1_250_000_000, END
        add(span.attributes, told)
    return request


def decode(request: Any, signal: Any = "traces") -> tuple[list[Event], dict[str, int]]:
    found = DECODER.decode(signal, request.SerializeToString(), json=False)
    assert not isinstance(found, Rejection)
    return found.events, {name: count for name, count in found.outcomes.items() if count}


def one(told: Attributes, **changes: Any) -> Event:
    """Return the event of one span; `changes` are made to the span."""
    request = request_of(told)
    for name, value in changes.items():
        setattr(request.resource_spans[0].scope_spans[0].spans[0], name, value)
    events, outcomes = decode(request)
    assert outcomes == {"event": 1}
    return events[0]


CURRENT: Attributes = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ["stop", "length"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.usage.input_tokens": 812,
    "gen_ai.usage.output_tokens": 164,
    "gen_ai.usage.cache_read.input_tokens": 512,
    "gen_ai.usage.reasoning.output_tokens": 64,
    "gen_ai.conversation.id": "c-1",
    "user.id": "ann",
    "gen_ai.agent.name": "helper",
    "server.port": 443,
}
OLDER: Attributes = {
    "gen_ai.operation.name": "text_completion",
    "gen_ai.system": "az.ai.openai",
    "gen_ai.request.model": "gpt-4",
    "gen_ai.usage.prompt_tokens": 812,
    "gen_ai.usage.completion_tokens": 164,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.prompt": "hello",
    "gen_ai.completion": "good day",
    "enduser.id": "ann",
    "session.id": "c-1",
}
OPEN_INFERENCE: Attributes = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.system": "openai",
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 812,
    "llm.token_count.completion": 164,
    "llm.token_count.total": 976,
    "llm.token_count.prompt_details.cache_read": 512,
    "llm.cost.total": 0.00367,
    "llm.finish_reason": "stop",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "be brief",
    "llm.input_messages.10.message.content": "hello",
    "llm.output_messages.0.message.content": "good day",
    "input.value": '{"messages":[]}',
    "user.id": "ann",
    "session.id": "c-1",
}
OPEN_LLMETRY: Attributes = {
    "gen_ai.system": "OpenAI",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o",
    "llm.request.type": "chat",
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "hello",
    "gen_ai.completion.0.content": "good day",
    "gen_ai.completion.0.finish_reason": "stop",
    "llm.usage.prompt_tokens": 812,
    "llm.usage.completion_tokens": 164,
    "llm.usage.total_tokens": 976,
    "traceloop.workflow.name": "answering",
    "traceloop.association.properties.user_id": "ann",
    "traceloop.association.properties.session_id": "c-1",
}
LANGFUSE: Attributes = {
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "gpt-4o",
    "langfuse.observation.usage_details": '{"input":300,"input_cached_tokens":512,"output":164}',
    "langfuse.observation.cost_details": '{"input":0.002,"output":0.00167}',
    "langfuse.observation.completion_start_time": '"2026-01-01T00:00:00.250000Z"',
    "langfuse.observation.input": "hello",
    "langfuse.observation.output": "good day",
    "langfuse.environment": "staging",
    "langfuse.user.id": "ann",
    "langfuse.session.id": "c-1",
    "langfuse.observation.prompt.name": "answer",
    "langfuse.observation.prompt.version": 7,
}
