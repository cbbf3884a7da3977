"""Spans and log records of every generation, as the events that they tell of."""

from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from oracle.generations import (
    CURRENT,
    END,
    LANGFUSE,
    OLDER,
    OPEN_INFERENCE,
    OPEN_LLMETRY,
    TOOK_MS,
    Attributes,
    add,
    decode,
    one,
    request_of,
)
from sentinel.intake import Intake, IntakeSettings, canonical
from sentinel.model.event import Event


def of_span(change: Any, told: Attributes) -> Event:
    request = request_of(told)
    change(request.resource_spans[0].scope_spans[0].spans[0])
    return decode(request)[0][0]


def test_a_span_of_the_current_conventions_is_an_event() -> None:
    event = one(CURRENT)
    assert (event.service_name, event.environment) == ("chat-api", "prod")
    assert (event.provider, event.model) == ("openai", "gpt-4o")
    assert event.timestamp == datetime(2026, 1, 1, 0, 0, 1, 250_000, tzinfo=UTC)
    assert (event.latency_ms, event.ttft_ms) == (TOOK_MS, 250.0)
    assert event.trace_id == "07" * 16
    assert event.span_id == "01" * 8
    assert event.prompt is not None
    assert event.prompt.tokens == 812
    assert event.response is not None
    assert (event.response.tokens, event.response.finish_reason) == (164, "stop")
    assert event.response.model == "gpt-4o-2024-08-06"
    assert (event.user_id, event.session_id) == ("ann", "c-1")
    assert event.metadata == {
        "cache_read_tokens": 512,
        "reasoning_tokens": 64,
        "agent_name": "helper",
    }
    assert event.errors is None
    assert event.cost_usd is None


@pytest.mark.parametrize(
    ("told", "provider", "model"),
    [
        (OLDER, "azure.ai.openai", "gpt-4"),
        (OPEN_INFERENCE, "openai", "gpt-4o"),
        (OPEN_LLMETRY, "OpenAI", "gpt-4o"),
        (LANGFUSE, None, "gpt-4o"),
    ],
    ids=["older", "openinference", "openllmetry", "langfuse"],
)
def test_a_span_of_another_generation_is_the_same_event(
    told: Attributes, provider: str | None, model: str
) -> None:
    event = one(told)
    assert (event.service_name, event.provider, event.model) == ("chat-api", provider, model)
    assert event.environment == "prod"
    assert event.latency_ms == TOOK_MS
    assert event.prompt is not None
    assert event.prompt.tokens == 812
    assert str(event.prompt.text).endswith("hello")
    assert event.response is not None
    assert (event.response.tokens, event.response.text) == (164, "good day")
    assert event.response.finish_reason == (None if told is LANGFUSE else "stop")
    assert event.response.model is None
    assert (event.user_id, event.session_id) == ("ann", "c-1")
    assert event.errors is None


def test_messages_with_numbers_are_one_text_in_their_order() -> None:
    event = one(OPEN_INFERENCE)
    assert event.prompt is not None
    assert event.prompt.text == "be brief\nhello"
    assert event.cost_usd == 0.00367
    assert event.metadata == {"cache_read_tokens": 512}


def test_what_langfuse_writes_as_json_is_read() -> None:
    event = one(LANGFUSE)
    assert event.ttft_ms == 250.0
    assert event.cost_usd == pytest.approx(0.00367)
    assert event.metadata == {
        "cache_read_tokens": 512,
        "prompt_name": "answer",
        "prompt_version": 7,
    }
    broken = {
        "langfuse.observation.usage_details": '{"input": ',
        "langfuse.observation.cost_details": "[]",
        "langfuse.observation.completion_start_time": "soon",
    }
    event = one(LANGFUSE | broken)
    assert event.prompt is not None
    assert (event.prompt.tokens, event.cost_usd, event.ttft_ms) == (None, None, None)


def test_openinference_names_the_model_that_was_asked_also_of_a_call_that_failed() -> None:
    asked = {"llm.invocation_parameters": '{"model": "gpt-4o", "temperature": 0}'}
    event = one(OPEN_INFERENCE | {"llm.model_name": "gpt-4o-2024-08-06"} | asked)
    assert event.model == "gpt-4o"
    assert event.response is not None
    assert (event.response.model, event.response.tokens) == ("gpt-4o-2024-08-06", 164)
    failed = {k: v for k, v in OPEN_INFERENCE.items() if k != "llm.model_name"}
    assert one(failed | asked).model == "gpt-4o"
    named = one(OPEN_INFERENCE | {"llm.invocation_parameters": '{"temperature": 0}'})
    assert (named.model, named.response and named.response.model) == ("gpt-4o", None)
    embedding = {"embedding.invocation_parameters": '{"model": "e-3"}'}
    assert one({"openinference.span.kind": "EMBEDDING"} | embedding).model == "e-3"


@pytest.mark.parametrize("odd", ["", "null", "[1]", "{", '{"model":7}', '{"model":""}'])
def test_odd_parameters_of_openinference_are_passed_over(odd: str) -> None:
    assert one(OPEN_INFERENCE | {"llm.invocation_parameters": odd}).model == "gpt-4o"


ODD_JSON = (
    *("", "null", "[1]", "{", '{"input":true}', '{"input":{"a":1}}', '{"input":"5"}'),
    *('{"input":1.5}', '{"total":1e999}', '{"total":%s}' % ("9" * 400)),
    *('"0001-01-01T00:00:00"', "9999-12-31"),
)


@pytest.mark.parametrize("odd", ODD_JSON)
def test_odd_json_of_langfuse_is_passed_over(odd: str, intake: Intake) -> None:
    names = ("usage_details", "cost_details", "completion_start_time")
    event = one(LANGFUSE | {f"langfuse.observation.{name}": odd for name in names})
    assert event.cost_usd in (None, 1.5)
    assert event.prompt is not None
    assert (event.prompt.tokens, event.total_tokens) == (None, None)
    assert event.ttft_ms is None or event.ttft_ms > 1e9
    batch, _ = intake.admit([event], offset=0, received_at=END + 1, record=True)
    assert len(batch) == 1


def test_structured_messages_are_their_contents() -> None:
    messages = [
        {"role": "user", "parts": [{"type": "text", "content": "hello"}]},
        {"role": "user", "parts": [{"type": "text", "content": "there"}, {"content": 4}]},
    ]
    event = one(CURRENT | {"gen_ai.input.messages": messages})
    assert event.prompt is not None
    assert event.prompt.text == "hello\nthere"


@pytest.mark.parametrize(
    "told",
    [
        {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "execute_tool"},
        {"gen_ai.operation.name": "invoke_workflow"},
        {"openinference.span.kind": "AGENT"},
        {"openinference.span.kind": "TOOL"},
        {"openinference.span.kind": "RERANKER"},
        {"traceloop.span.kind": "workflow"},
        {"langfuse.observation.type": "agent"},
        {"llm.request.type": "rerank"},
    ],
    ids=lambda told: next(iter(told.values())),
)
def test_what_only_repeats_the_tokens_of_calls_is_no_event(told: Attributes) -> None:
    usage = {"gen_ai.usage.input_tokens": 812, "gen_ai.request.model": "gpt-4o"}
    assert decode(request_of(told | usage)) == ([], {"no_call": 1})


@pytest.mark.parametrize(
    "told", ["embeddings", "EMBEDDING", "generate_content"], ids=lambda told: str(told)
)
def test_embeddings_and_other_inference_are_events(told: str) -> None:
    name = "openinference.span.kind" if told.isupper() else "gen_ai.operation.name"
    assert one({name: told, "gen_ai.request.model": "m"}).model == "m"


def test_spans_of_anything_else_are_no_events() -> None:
    spans: list[Attributes] = [{"http.request.method": "GET"}, {}, {"user.id": "ann"}]
    assert decode(request_of(*spans, CURRENT))[1] == {"no_gen_ai": 3, "event": 1}


@pytest.mark.parametrize(
    ("code", "told", "message", "expected"),
    [
        (0, {}, "", None),
        (1, {}, "all is well", None),
        (1, {"error.type": "timeout"}, "", None),
        (0, {"error.type": "timeout"}, "", ["timeout"]),
        (2, {"error.type": "429"}, "slow down", ["429: slow down"]),
        (2, {}, "boom", ["boom"]),
        (2, {}, "", ["error"]),
        (0, {"langfuse.observation.level": "ERROR"}, "", ["error"]),
        (0, {"langfuse.observation.level": "WARNING"}, "", None),
    ],
)
def test_a_call_failed_where_the_status_or_the_error_type_says_so(
    code: Any, told: Attributes, message: str, expected: list[str] | None
) -> None:
    def change(span: Any) -> None:
        span.status.code, span.status.message = code, message

    assert of_span(change, CURRENT | told).errors == expected


def test_an_exception_says_why_a_call_failed_and_not_that_it_did() -> None:
    def raised(span: Span) -> None:
        told = {"exception.type": "RateLimitError", "exception.message": "too many"}
        add(span.events.add(name="exception").attributes, told)

    def failed(span: Span) -> None:
        raised(span)
        span.status.code = Status.STATUS_CODE_ERROR

    assert of_span(raised, CURRENT).errors is None
    assert of_span(failed, CURRENT).errors == ["RateLimitError: too many"]


def test_the_first_token_is_the_earliest_event_that_tells_of_one() -> None:
    def change(span: Span) -> None:
        for ms in (400, 300, 500):
            moment = span.events.add(name="llm.content.completion.chunk")
            moment.time_unix_nano = span.start_time_unix_nano + ms * 1_000_000

    assert of_span(change, OPEN_LLMETRY).ttft_ms == 300.0


def test_a_time_to_first_token_is_in_seconds_or_whole_nanoseconds() -> None:
    name = "gen_ai.response.time_to_first_token"
    assert one(OLDER | {name: 0.5}).ttft_ms == 500.0
    assert one(OLDER | {name: 250_000_000}).ttft_ms == 250.0


def test_cached_tokens_that_were_counted_apart_are_added() -> None:
    cached = {
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 500,
        "gen_ai.usage.cache_creation.input_tokens": 300,
    }
    event = one(CURRENT | cached)
    assert event.prompt is not None
    assert event.prompt.tokens == 810
    assert event.metadata is not None
    assert event.metadata["cache_tokens_added"] is True
    event = one(CURRENT | cached | {"gen_ai.usage.input_tokens": 800})
    assert event.prompt is not None
    assert event.prompt.tokens == 800
    assert "cache_tokens_added" not in (event.metadata or {})


@pytest.mark.parametrize(
    ("state", "share"),
    [
        ("ot=th:c", 0.25),
        ("x=y, ot=rv:0123456789abcd;th:8 ,z=1", 0.5),
        ("ot=p:3;r:5", 0.125),
        ("ot=th:0", None),
        ("ot=p:0", None),
        ("ot=th:C", None),
        ("not=th:8", None),
        ("", None),
    ],
)
def test_a_sampled_trace_says_what_share_was_kept(state: str, share: float | None) -> None:
    metadata = one(OLDER, trace_state=state).metadata or {}
    assert metadata.get("sampling_probability") == share


def test_the_cost_is_read_in_dollars_only() -> None:
    amount = {"gen_ai.usage.cost.amount": 0.5, "gen_ai.usage.cost.currency": "USD"}
    assert one(OLDER | amount).cost_usd == 0.5
    assert one(OLDER | amount | {"gen_ai.usage.cost.currency": "EUR"}).cost_usd is None
    assert one(OLDER | {"llm.cost.prompt": 0.25, "llm.cost.completion": 1}).cost_usd == 1.25


def test_the_same_span_has_the_same_id_and_another_has_another() -> None:
    first, second = decode(request_of(CURRENT, CURRENT))[0]
    assert one(CURRENT).event_id == first.event_id
    assert first.event_id != second.event_id
    ids = set()
    for number in range(1, 2001):  # a tracer that makes both ids of one number
        half = number.to_bytes(8, "big")
        ids.add(one(CURRENT, trace_id=bytes(8) + half, span_id=half).event_id)
    assert len(ids) == 2000
    assert len({str(name)[:18] for name in ids}) == len({str(name)[19:] for name in ids}) == 2000


@pytest.mark.parametrize(("trace_id", "span_id"), [(bytes(16), b"12345678"), (b"1" * 15, b"")])
def test_a_span_without_ids_gets_one_like_any_other_event(trace_id: bytes, span_id: bytes) -> None:
    event = one(CURRENT, trace_id=trace_id, span_id=span_id)
    assert (event.trace_id, event.event_id) == (None, None)


def test_no_text_is_left_where_none_is_to_be_and_intake_changes_nothing_twice() -> None:
    intake = Intake(IntakeSettings(content="none"), key=b"k" * 32, log_id="log")
    events, _ = decode(request_of(CURRENT, OLDER, OPEN_INFERENCE, OPEN_LLMETRY, LANGFUSE))
    batch, rejections = intake.admit(events, offset=0, received_at=END + 1, record=True)
    assert (len(batch), rejections) == (5, [])
    kept = canonical(batch.events)
    assert b"hello" not in kept
    assert b"good day" not in kept
    assert b"ann" not in kept
    again, _, _ = intake.take(kept, offset=0, received_at=END + 1, record=True)
    assert canonical(again.events) == kept
    assert (again.values == batch.values).sum() > 20


@pytest.mark.parametrize(
    ("told", "code", "path"),
    [
        ({"gen_ai.usage.input_tokens": "812"}, "wrong_type", "$.prompt.tokens"),
        ({"gen_ai.usage.input_tokens": True}, "wrong_type", "$.prompt.tokens"),
        ({"gen_ai.usage.input_tokens": 812.5}, "wrong_type", "$.prompt.tokens"),
        ({"gen_ai.usage.input_tokens": float("nan")}, "bad_number", "$.prompt.tokens"),
        ({"gen_ai.usage.output_tokens": -1}, "negative", "$.response.tokens"),
        ({"gen_ai.usage.cost": float("inf")}, "bad_number", "$.cost_usd"),
        ({"gen_ai.response.time_to_first_chunk": "soon"}, "wrong_type", "$.ttft_ms"),
        ({"gen_ai.request.model": "a\nb"}, "bad_name", "$.model"),
        ({"gen_ai.request.model": "", "gen_ai.response.model": ""}, "missing_field", "$.model"),
    ],
)
def test_what_cannot_be_is_refused_by_intake(
    told: Attributes, code: str, path: str, intake: Intake
) -> None:
    events, _ = decode(request_of(CURRENT | told))
    batch, rejections = intake.admit(events, offset=0, received_at=END + 1, record=True)
    assert len(batch) == 0
    assert [(r.code, r.path) for r in rejections] == [(code, path)]


def test_a_whole_number_that_came_as_a_double_is_a_count() -> None:
    event = one(CURRENT | {"gen_ai.usage.input_tokens": 812.0})
    assert event.prompt is not None
    assert repr(event.prompt.tokens) == "812"


def test_a_call_without_service_or_with_a_wrong_clock_is_refused(intake: Intake) -> None:
    request = request_of(CURRENT, resource={})
    span = request.resource_spans[0].scope_spans[0].spans.add()
    span.CopyFrom(request.resource_spans[0].scope_spans[0].spans[0])
    add(span.attributes, {"traceloop.workflow.name": "answering"})
    span.end_time_unix_nano = span.start_time_unix_nano - 1
    third = request.resource_spans[0].scope_spans[0].spans.add()
    third.CopyFrom(span)
    third.end_time_unix_nano = 2**64 - 1
    events, _ = decode(request)
    _, rejections = intake.admit(events, offset=0, received_at=END + 1, record=True)
    assert [(r.position, r.code, r.path) for r in rejections] == [
        (0, "missing_field", "$.service_name"),
        (1, "negative", "$.latency_ms"),
        (2, "bad_time", "$.timestamp"),
    ]
