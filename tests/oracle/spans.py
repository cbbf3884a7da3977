"""What a span or log record means, from the messages of the official parser: slow and obvious."""

import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sentinel.intake.otlp_names import CALLS, NAMES, PROVIDERS
from sentinel.model.event import Event, Prompt, Response

NUMBERS = {
    *("ttft", "prompt.tokens", "response.tokens", "total_tokens", "cache_read", "cache_write"),
    *("reasoning", "cost_usd", "cost_amount", "cost_prompt", "cost_completion"),
}
WHOLE_TOO = {"user_id", "session_id", "prompt_version"}
TEXTS = {"prompt.text", "response.text"}
IN_EVENTS = {"exception_type", "exception_message", *TEXTS}
RANKS = {name: (target, rank) for target, names in NAMES.items() for rank, name in enumerate(names)}
FIRST_TOKEN = ("First Token Stream Event", "llm.content.completion.chunk")


def named(key: str) -> tuple[str, int] | None:
    """Return target and rank of a name, the first number in it taken as any number."""
    return RANKS.get(key) or RANKS.get(re.sub(r"\.[0-9]+", ".#", key, count=1))


def value_of(value: AnyValue, target: str) -> Any:
    """Return what a value says of a target, None where it is of no use."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value or None
    if kind == "array_value":
        if target in TEXTS:
            return value
        texts = [v.string_value for v in value.array_value.values if v.string_value]
        return texts[0] if texts else None
    if kind == "kvlist_value":
        return value if target in TEXTS else None
    if kind == "int_value":
        return value.int_value if target in NUMBERS | WHOLE_TOO else None
    if target in NUMBERS and kind in ("bool_value", "double_value"):
        return getattr(value, kind)
    return None


def pairs_of(span: Span) -> Iterator[tuple[str, int, AnyValue]]:
    """Yield what the attributes of a span and of its events say: target, rank, value."""
    yield from known(span.attributes)
    for event in span.events:
        yield from (pair for pair in known(event.attributes) if pair[0] in IN_EVENTS)


def known(attributes: Iterable[KeyValue]) -> Iterator[tuple[str, int, AnyValue]]:
    for pair in attributes:
        name = named(pair.key)
        if name is not None and pair.HasField("value"):
            yield (*name, pair.value)


class Said(dict[str, Any]):
    """Target -> the best that was said of it."""

    def __init__(self) -> None:
        self.ranks: dict[str, int] = {}

    def hear(self, target: str, rank: int, value: AnyValue) -> None:
        said = value_of(value, target)
        if said is not None and rank < self.ranks.get(target, 1000):
            self[target], self.ranks[target] = said, rank


def contents(value: AnyValue, is_content: bool = False) -> Iterator[str]:
    kind = value.WhichOneof("value")
    if kind == "string_value" and is_content and value.string_value:
        yield value.string_value
    if kind == "array_value":
        for item in value.array_value.values:
            yield from contents(item, is_content)
    if kind == "kvlist_value":
        for pair in value.kvlist_value.values:
            yield from contents(pair.value, pair.key == "content")


def count(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value == math.floor(value) else str(value)
    return value


def quantity(value: Any) -> Any:
    return float(value) if type(value) is int else value


def has_usage(said: Said) -> bool:
    return bool(said.keys() & {"prompt.tokens", "response.tokens", "total_tokens", "usage_details"})


def outcome(said: Said) -> str:
    model = bool(said.keys() & {"model", "response.model"})
    if "kind" in said:
        return "event" if str(said["kind"]).lower() in CALLS else "no_call"
    if model and ("provider" in said or has_usage(said)):
        return "event"
    return "no_call" if model or "provider" in said or has_usage(said) else "no_gen_ai"


def share(tracestate: str) -> float:
    """Return the share of traces that were kept."""
    for member in re.split(",", tracestate):
        found = re.fullmatch(
            r"[ \t]*ot=(?:(?!th:|p:)[^;]*;)*?(th|p):([^;]*)(?:;.*)?", member.rstrip(" \t"), re.S
        )
        if found is None:
            continue
        kind, digits = found.groups()
        if kind == "th" and re.fullmatch(r"[0-9a-f]{1,14}", digits):
            return 1 - int(digits.ljust(14, "0"), 16) / 2**56
        if kind == "p" and re.fullmatch(r"[0-9]{1,3}", digits) and int(digits) < 63:
            return float(2.0 ** -int(digits))
    return 1.0


def errors(said: Said, status: Any) -> list[str] | None:
    says_so = "error_type" in said or said.get("level") == "ERROR"
    code = status.code if status is not None else 0
    if code != 2 and (code == 1 or not says_so):
        return None
    names = ("error_type", "exception_type", "exception_message", "level_message")
    parts = [said[name] for name in names if name in said]
    if status is not None and status.message:
        parts.append(status.message)
    return [": ".join(parts) or "error"]


def cost(said: Said) -> Any:
    if "cost_amount" in said and said.get("cost_currency", "USD") == "USD":
        return quantity(said["cost_amount"])
    if "cost_usd" in said:
        return quantity(said["cost_usd"])
    parts = [quantity(said[n]) for n in ("cost_prompt", "cost_completion") if n in said]
    odd = [part for part in parts if type(part) is not float]
    return odd[0] if odd else sum(parts[1:], start=parts[0]) if parts else None


def metadata(said: Said, tracestate: str) -> tuple[dict[str, Any] | None, int]:
    """Return the metadata, and what to add to the tokens of the prompt."""
    found: dict[str, Any] = {}
    for name in ("cache_read", "cache_write", "reasoning"):
        if name in said:
            found[f"{name}_tokens"] = count(said[name])
    parts = [found.get("cache_read_tokens"), found.get("cache_write_tokens")]
    whole = [part for part in parts if type(part) is int]
    asked = count(said.get("prompt.tokens"))
    cached = 0
    if type(asked) is int and all(0 <= part <= 2**53 for part in whole) and 0 <= asked < sum(whole):
        cached = sum(whole)
        found["cache_tokens_added"] = True
    found |= {n: said[n] for n in ("agent_name", "prompt_name", "prompt_version") if n in said}
    if share(tracestate) < 1:
        found["sampling_probability"] = share(tracestate)
    return found or None, cached


def milliseconds(start: int, end: int) -> float:
    return (end - start) / 1e6 if end >= start else -((start - end) / 1e6)


def ttft(said: Said, rank: int | None, start: int, firsts: list[int]) -> Any:
    value = said.get("ttft")
    if isinstance(value, float) or (type(value) is int and rank == 0):
        return 1000.0 * value
    if type(value) is int:
        return value / 1e6
    if value is not None:
        return value
    return milliseconds(start, min(firsts)) if firsts and start else None


def event_of(said: Said, source: Span | LogRecord, start: int, end: int) -> Event:
    moments: list[Any] = []
    state, status = "", None
    if isinstance(source, Span):
        moments, state, status = list(source.events), source.trace_state, source.status
    event = Event(said.get("service_name"))  # type: ignore[arg-type]
    event.environment, event.model = said.get("environment"), said.get("model")
    answered_by = said.get("response.model")
    if event.model is None:
        event.model, answered_by = answered_by, None
    event.provider = PROVIDERS.get(said.get("provider", ""), said.get("provider"))
    if len(source.trace_id) == 16 and any(source.trace_id):
        event.trace_id = source.trace_id.hex()
    if len(source.span_id) == 8 and any(source.span_id):
        event.span_id = source.span_id.hex()
    if end:
        whole = end // 1000
        fits = whole < 7_258_118_400_000_000
        event.timestamp = (
            datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=whole) if fits else end
        )
        event.latency_ms = milliseconds(start, end) if start else None
    firsts = [m.time_unix_nano for m in moments if m.name in FIRST_TOKEN and m.time_unix_nano]
    event.ttft_ms = ttft(said, said.ranks.get("ttft"), start, firsts)
    event.user_id, event.session_id = said.get("user_id"), said.get("session_id")
    event.metadata, cached = metadata(said, state)
    asked, answered = count(said.get("prompt.tokens")), count(said.get("response.tokens"))
    if asked is not None:
        event.prompt = Prompt(tokens=asked + cached if cached else asked)
    if answered is not None or said.keys() & {"response.finish_reason", "response.model"}:
        event.response = Response(tokens=answered, finish_reason=said.get("response.finish_reason"))
        if answered_by != event.model:
            event.response.model = answered_by
    if asked is None or answered is None:
        event.total_tokens = count(said.get("total_tokens"))
    event.cost_usd = cost(said)
    event.errors = errors(said, status)
    return event


def add_texts(event: Event, said: Said, span: Span) -> None:
    for target, side in (("prompt.text", "prompt"), ("response.text", "response")):
        parts: list[str] = []
        for name, rank, value in pairs_of(span):
            if name == target and rank == said.ranks.get(target):
                if value.WhichOneof("value") == "string_value":
                    parts += [value.string_value] if value.string_value else []
                else:
                    parts += contents(value)
        if parts:
            if getattr(event, side) is None:
                setattr(event, side, Prompt() if side == "prompt" else Response())
            getattr(event, side).text = "\n".join(parts)


def of_resource(attributes: Iterable[KeyValue]) -> Said:
    said = Said()
    for target, rank, value in known(attributes):
        if target in ("service_name", "environment"):
            said.hear(target, rank, value)
    return said


def beginning(resource: Said) -> Said:
    said = Said()
    said.update(resource)
    said.ranks.update(resource.ranks)
    return said


def read_traces(request: ExportTraceServiceRequest) -> tuple[list[Event], dict[str, int]]:
    """Return the events of a request, and how many spans came to what; event ids are not made."""
    events: list[Event] = []
    outcomes: dict[str, int] = {}
    for group in request.resource_spans:
        resource = of_resource(group.resource.attributes)
        for span in (span for scope in group.scope_spans for span in scope.spans):
            said = beginning(resource)
            for target, rank, value in pairs_of(span):
                said.hear(target, rank, value)
            became = outcome(said)
            outcomes[became] = outcomes.get(became, 0) + 1
            if became == "event":
                start, end = span.start_time_unix_nano, span.end_time_unix_nano
                events.append(event_of(said, span, start, end))
                add_texts(events[-1], said, span)
    return events, outcomes


def read_logs(request: ExportLogsServiceRequest) -> tuple[list[Event], dict[str, int]]:
    """The same of log records."""
    events: list[Event] = []
    outcomes: dict[str, int] = {}
    for group in request.resource_logs:
        resource = of_resource(group.resource.attributes)
        for record in (record for scope in group.scope_logs for record in scope.log_records):
            said = beginning(resource)
            for target, rank, value in known(record.attributes):
                said.hear(target, rank, value)
            became = outcome(said)
            if became == "event" and not has_usage(said):
                became = "no_usage"
            elif became == "event" and record.flags & 1 and any(record.span_id):
                became = "told_by_span" if len(record.span_id) == 8 else became
            outcomes[became] = outcomes.get(became, 0) + 1
            if became == "event":
                end = record.time_unix_nano or record.observed_time_unix_nano
                events.append(event_of(said, record, 0, end))
    return events, outcomes
