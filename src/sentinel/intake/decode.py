"""Body -> events, or the reason why not, for each input on its own.

A body is one JSON object, a JSON array, or NDJSON.  The whole body is decoded in one call; only
when that fails, or a look at the bytes finds a line that is long, deep or not plain `{...}`, is it
gone through input by input, so that one bad event is named and the rest is kept.  Both ways take
and refuse the same.  Of duplicate keys in an object the last one counts.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from sentinel._core.nesting import count_lines, depth
from sentinel.model.batch import Rejection
from sentinel.model.event import Event

BAD_BYTES: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""All that a decoder raises for bad input; UnicodeDecodeError is a ValueError."""

EVENTS_MAX: Final = 1 << 19
"""Events in one body: what the keys of a batch can be numbered with."""

_EVENT_FIELDS: Final = frozenset(Event.__struct_fields__)
_PATH: Final = re.compile(r" - at `(\$[^`]*)`$")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_BYTE: Final = re.compile(r"\(byte (\d+)\)$")
# A literal that JSON does not have, as Python and JavaScript write it; not part of a text.
_NOT_FINITE: Final = re.compile(rb'(?<![\w"])[-+]?(?:nan|inf(?:inity)?)(?![\w"])', re.IGNORECASE)
_LAST_KEY: Final = re.compile(rb'"(\w{1,40})"[ \t\r\n]*:[ \t\r\n]*$')


class Decoded(NamedTuple):
    """What a body held."""

    events: list[Event]
    positions: list[int] | None
    """Ordinal of each event in the body; None where that is 0, 1, 2, ..."""
    rejections: list[Rejection]
    inputs: int
    """Inputs in the body, refused ones included."""


class EventDecoder:
    """Decodes bodies; holds nothing of them."""

    def __init__(self, *, max_event_bytes: int, max_depth: int) -> None:
        self._max_bytes = max_event_bytes
        self._max_depth = max_depth
        self._one = msgspec.json.Decoder(Event)
        self._many = msgspec.json.Decoder(list[Event])
        self._raw = msgspec.json.Decoder(list[msgspec.Raw])

    def decode(self, body: bytes, *, lines: bool) -> Decoded:
        """Decode a body; `lines` says that it is NDJSON, else its form is found out.

        Blank lines are no inputs.
        """
        decoded = self._decode(body, lines)
        if len(decoded.events) > EVENTS_MAX:
            reason = f"{len(decoded.events)} events, at most {EVENTS_MAX}"
            return Decoded([], None, [_refusal(0, "too_big", "$", reason)], decoded.inputs)
        return decoded

    def _decode(self, body: bytes, lines: bool) -> Decoded:
        if not lines:
            begin = body.lstrip(b" \t\r\n")[:1]
            if begin == b"[":
                return self._array(body)
            if not begin:
                return Decoded([], None, [_refusal(0, "not_json", "$", "an empty body")], 1)
        count = count_lines(body, self._max_bytes, self._max_depth)
        if count >= 0:
            events = self._attempt(self._one.decode_lines, body)
            if events is not None and len(events) == count:
                return Decoded(events, None, [], count)
        return self._each([body] if not lines and _is_one_object(body) else _split(body))

    def _attempt(self, decode: Callable[[bytes], list[Event]], body: bytes) -> list[Event] | None:
        """Decode all at once; None where the body has to be gone through."""
        try:
            # The decoder looks at the encoding of those texts only that it keeps.
            if not body.isascii():
                str(body, "utf-8")
            return decode(body)
        except BAD_BYTES:
            return None

    def _array(self, body: bytes) -> Decoded:
        if len(body) <= self._max_bytes and depth(body) <= self._max_depth:
            events = self._attempt(self._many.decode, body)
            if events is not None:
                return Decoded(events, None, [], len(events))
        try:
            elements = self._raw.decode(body)
        except BAD_BYTES as error:
            return Decoded([], None, [_refusal_of(error, 0, body)], 1)
        return self._each(bytes(element) for element in elements)

    def _each(self, inputs: Iterable[bytes]) -> Decoded:
        events: list[Event] = []
        positions: list[int] = []
        rejections: list[Rejection] = []
        position = -1
        for position, text in enumerate(inputs):
            try:
                if len(text) > self._max_bytes:
                    reason = f"{len(text)} bytes, at most {self._max_bytes}"
                    rejections.append(_refusal(position, "too_big", "$", reason))
                    continue
                if depth(text) > self._max_depth:
                    reason = f"nested deeper than {self._max_depth}"
                    rejections.append(_refusal(position, "too_deep", "$", reason))
                    continue
                if not text.isascii():
                    str(text, "utf-8")
                events.append(self._one.decode(text))
                positions.append(position)
            except BAD_BYTES as error:
                rejections.append(_refusal_of(error, position, text))
        return Decoded(events, positions, rejections, position + 1)


def _is_one_object(body: bytes) -> bool:
    """Tell a body that cannot be NDJSON: one line, or an object written over several."""
    first, _, rest = body.strip(b" \t\r\n").partition(b"\n")
    return not rest or not (first.rstrip(b" \t\r").endswith(b"}") or b"\n{" in b"\n" + rest)


def _split(body: bytes) -> Iterator[bytes]:
    return (line for line in body.split(b"\n") if line.strip(b" \t\r"))


def _refusal(position: int, code: str, path: str, reason: str) -> Rejection:
    return Rejection(code=code, position=position, path=path, reason=reason)


def _refusal_of(error: Exception, position: int, text: bytes) -> Rejection:
    """Say why an input could not be decoded, in words that never hold its content."""
    if isinstance(error, UnicodeDecodeError):
        return _refusal(position, "not_utf8", "$", f"invalid UTF-8 ({error.reason})")
    if isinstance(error, RecursionError):
        return _refusal(position, "too_deep", "$", "nested too deeply to be read")
    if isinstance(error, msgspec.ValidationError):
        return _refusal(position, *_explain(str(error)))
    if isinstance(error, msgspec.DecodeError):
        message = str(error)
        at = _BYTE.search(message)
        literal = at and _literal_before(text, int(at[1]))
        if literal:
            return _refusal(position, "bad_number", literal, "NaN or infinity, expected a number")
        return _refusal(position, "not_json", "$", message)
    return _refusal(position, "not_json", "$", "a value that cannot be read")


def _literal_before(text: bytes, stop: int) -> str:
    """Return the path of a NaN or infinity in which decoding stopped, "" where it was not one."""
    for found in _NOT_FINITE.finditer(text, max(0, stop - 8), stop + 16):
        if found.start() <= stop <= found.end() + 1:  # the byte named may be the one after
            key = _LAST_KEY.search(text, max(0, found.start() - 60), found.start())
            name = key[1].decode() if key else ""
            return f"$.{name}" if name in _EVENT_FIELDS else "$"
    return ""


def _explain(message: str) -> tuple[str, str, str]:
    """Return code, path and reason of a decoder's message, which names types and never values."""
    at = _PATH.search(message)
    path = at[1] if at else "$"
    what = message[: at.start()] if at else message
    missing = _MISSING.match(what)
    if missing:
        return "missing_field", f"{path}.{missing[1]}", "absent, but required"
    if path == "$.service_name" and what.endswith("got `null`"):
        return "missing_field", path, "null, but required"
    reason = what[0].lower() + what[1:]
    if "RFC3339" in what or "timezone" in what:
        return "bad_time", path, reason
    if ">=" in what:
        return "negative", path, "below 0"
    if "<=" in what or "out of range" in what:
        return "too_large", path, "above 2^53"
    return "wrong_type", path, reason
