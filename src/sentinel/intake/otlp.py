"""An OTLP request -> the events that its spans and log records tell of.

The core reads protobuf; JSON is written anew as protobuf first (`otlp_json`), so that both say the
same.  What an attribute means stands in `otlp_names`.  Every span is counted under what became of
it: an event, or nothing, because it is no call of a model.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sentinel._core.otlp import OUTCOME_NAMES, CallReader, count_points
from sentinel.intake.decode import BAD_BYTES, EVENTS_MAX
from sentinel.intake.otlp_json import protobuf_of
from sentinel.intake.otlp_names import CALLS, NAMES, PROVIDERS
from sentinel.model.batch import Rejection
from sentinel.model.event import Event, Prompt, Response

Signal = Literal["traces", "logs", "metrics"]
SIGNALS: Final[tuple[Signal, ...]] = ("traces", "logs", "metrics")

_CACHE_READ: Final = ("cache_read_input_tokens", "input_cache_read", "input_cached_tokens")
_objects: Final = msgspec.json.Decoder(dict[str, Any])
_texts: Final = msgspec.json.Decoder(str)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Telemetry(NamedTuple):
    """What a request held."""

    events: list[Event]
    outcomes: dict[str, int]
    """How many spans, records or data points came to what; `event` counts `events`."""


class OtlpDecoder:
    """Decodes requests; holds nothing of them."""

    def __init__(self) -> None:
        self._reader = CallReader(
            Event, Prompt, Response, names=NAMES, words=CALLS, providers=PROVIDERS
        )

    def decode(self, signal: Signal, body: bytes, *, json: bool) -> Telemetry | Rejection:
        """Decode one request, or say why it is none: `not_protobuf`, `not_json`, `too_big`."""
        if json:
            written = protobuf_of(signal, body)
            if isinstance(written, Rejection):
                return written
            body = written
        if signal == "metrics":
            points = count_points(body)
            if points is None:
                return _refusal("not_protobuf", "no OTLP request of metrics")
            return Telemetry([], {"gen_ai": points[0], "no_gen_ai": points[1]})
        found = self._reader.read(SIGNALS.index(signal), body)
        if found is None:
            return _refusal("not_protobuf", f"no OTLP request of {signal}")
        events, details, counts = found
        if len(events) > EVENTS_MAX:
            return _refusal("too_big", f"{len(events)} events, at most {EVENTS_MAX}")
        for row, start, usage, cost, first, parameters in details:
            _complete(events[row], start, usage, cost, first)
            _name_the_asked(events[row], parameters)
        return Telemetry(events, dict(zip(OUTCOME_NAMES, counts, strict=True)))


def _refusal(code: str, reason: str) -> Rejection:
    return Rejection(code=code, position=0, path="$", reason=reason)


def _complete(
    event: Event, start: int, usage: str | None, cost: str | None, first: str | None
) -> None:
    """Add what Langfuse writes as JSON in a text, where nothing else has told it."""
    tokens = {name: int(count) for name, count in _numbers_in(usage).items() if count % 1 == 0}
    if tokens and (event.prompt is None or event.prompt.tokens is None):
        asked = _side(tokens, "input", ("prompt_tokens",))
        if asked is not None:
            event.prompt = event.prompt or Prompt()
            event.prompt.tokens = asked
    if tokens and (event.response is None or event.response.tokens is None):
        answered = _side(tokens, "output", ("completion_tokens",))
        if answered is not None:
            event.response = event.response or Response()
            event.response.tokens = answered
    sides = (event.prompt, event.response)
    if any(side is None or side.tokens is None for side in sides):
        event.total_tokens = tokens.get("total", event.total_tokens)
    read = next((tokens[name] for name in _CACHE_READ if name in tokens), None)
    if read is not None:
        event.metadata = {"cache_read_tokens": read} | (event.metadata or {})
    if cost is not None and event.cost_usd is None:
        dollars = _numbers_in(cost)
        if dollars:
            event.cost_usd = float(dollars.get("total", sum(dollars.values())))
    if first is not None and event.ttft_ms is None and start:
        event.ttft_ms = _milliseconds_after(start, first)


def _name_the_asked(event: Event, parameters: str | None) -> None:
    """Set the model that was asked, which OpenInference tells among the parameters of the call.

    Its name of the model is that of the one that answered, so a failed call has none: under it
    calls would be one series and their failures another, or none.
    """
    try:
        asked = _objects.decode(parameters or "{}").get("model")
    except BAD_BYTES:
        return
    if not isinstance(asked, str) or not asked or asked == event.model:
        return
    if event.model is not None and (event.response is None or event.response.model is None):
        event.response = event.response or Response()
        event.response.model = event.model
    event.model = asked


def _numbers_in(text: str | None) -> dict[str, int | float]:
    """Return the numbers in a JSON object; what is none, or beyond a double, is passed over."""
    try:
        found = _objects.decode(text or "{}")
    except BAD_BYTES:
        return {}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    }


def _side(tokens: dict[str, int], word: str, others: tuple[str, ...]) -> int | None:
    """Return the tokens of one side: the parts of `input` are counted apart and add up."""
    if word in tokens:
        return sum(count for name, count in tokens.items() if word in name)
    return next((tokens[name] for name in (*others, f"{word}_tokens") if name in tokens), None)


def _milliseconds_after(start: int, text: str) -> float | None:
    """Return the milliseconds from a time to one in ISO 8601, in JSON or plain; no zone is UTC."""
    try:
        when = datetime.fromisoformat(_texts.decode(text) if text.startswith('"') else text)
    except BAD_BYTES:
        return None
    passed = (when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH
    milliseconds = passed / _MILLISECOND - start / 1e6
    return milliseconds if milliseconds >= 0 else None
