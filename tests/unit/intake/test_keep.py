"""What is kept of events: every text and size, the lines instead of the objects."""

import json
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from sentinel._core import kept as core
from sentinel.intake import Intake, IntakeSettings, canonical
from sentinel.intake.keep import EventKeeper
from sentinel.model.batch import Batch, concatenated
from sentinel.model.event import Event, Prompt, Response
from sentinel.model.kept import KEPT_SIZES, KEPT_TEXTS, Kept, Lines, lengths_of, sizes_of

UUIDS = [str(UUID(int=k * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)) for k in range(1, 6)]


def column(kept: Kept, name: str) -> list[str | None]:
    """Return a text column as texts."""
    row = KEPT_TEXTS.index(name)
    data, found, at = kept.data[row], [], 0
    for length in lengths_of([kept])[:, row].tolist():
        found.append(None if length < 0 else data[at : at + length].decode())
        at += max(length, 0)
    assert at == len(data)
    return found


def batch_of(*events: dict[str, Any], offset: int = 0) -> Batch:
    intake = Intake(IntakeSettings(), key=b"k" * 32, log_id="log")
    body = "\n".join(map(json.dumps, events)).encode()
    batch, rejections, _ = intake.take(body, offset=offset, received_at=10**18, record=True)
    assert not rejections
    packed, record = intake.packed(batch)
    assert record == canonical(batch.events)
    assert list(packed.events) == list(batch.events)
    return packed


def call(**fields: Any) -> dict[str, Any]:
    return {"service_name": "s", "model": "m"} | fields


def test_the_core_and_the_model_name_the_same_columns() -> None:
    assert (core.TEXTS, core.SIZES) == (KEPT_TEXTS, KEPT_SIZES)


def test_every_text_is_kept_as_it_is() -> None:
    first = Event(
        service_name="s",
        event_id="naïve 日本語",
        provider="p",
        trace_id="",
        span_id="\U0001f680" * 300,
        user_id="u-1",
        session_id="s-1",
        prompt=Prompt(length=0, text="[EMAIL:3f9a] schön"),
        response=Response(length=7, text="", finish_reason="stop", model="m-2"),
        errors=["timeout", "other"],
        metadata={"a": "x\ny", "b": None},
    )
    found = EventKeeper().keep([Event(service_name="s"), first, Event(service_name="s")])
    assert {name: column(found, name)[1] for name in KEPT_TEXTS} == {
        "event_id": "naïve 日本語",
        "provider": "p",
        "trace_id": "",
        "span_id": "\U0001f680" * 300,
        "user_id": "u-1",
        "session_id": "s-1",
        "finish_reason": "stop",
        "response_model": "m-2",
        "error_classes": "timeout,other",
        "metadata": '{"a":"x\\ny","b":null}',
        "prompt_text": "[EMAIL:3f9a] schön",
        "response_text": "",
    }
    assert all(column(found, name)[::2] == [None, None] for name in KEPT_TEXTS)
    assert sizes_of([found]).tolist() == [[-1, -1], [0, 7], [-1, -1]]


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        (UUIDS[0], False),
        (UUIDS[0].upper(), True),
        (UUIDS[0].replace("-", ""), True),
        (UUIDS[0][:-1] + "g", True),
        (UUIDS[0].replace("-", "_"), True),
        ("\u00e9" * 36, True),
    ],
)
def test_an_id_that_is_a_uuid_in_its_usual_form_stands_in_the_bits(
    text: str, is_kept: bool
) -> None:
    batch = batch_of(call(event_id=text))
    assert column(batch.kept[0], "event_id") == [text if is_kept else None]
    if not is_kept:
        assert int(batch.id_high[0]) << 64 | int(batch.id_low[0]) == UUID(text).int


def test_no_events_are_no_rows() -> None:
    found = EventKeeper().keep([])
    assert lengths_of([found]).shape == (0, len(KEPT_TEXTS))
    assert sizes_of([found]).shape == (0, len(KEPT_SIZES))


def test_events_are_read_from_their_lines_wherever_they_stand() -> None:
    batches = [
        batch_of(*(call(event_id=UUIDS[k], latency_ms=k) for k in range(start, end)), offset=start)
        for start, end in ((0, 1), (1, 1), (1, 4), (4, 5))
        if end > start
    ]
    whole = concatenated(batches)
    assert isinstance(whole.events, Lines)
    assert len(whole) == len(whole.events) == 5
    assert [whole.events[k].event_id for k in (3, 0, 4, 2, 1)] == [
        UUIDS[k] for k in (3, 0, 4, 2, 1)
    ]
    assert whole.events[2] is whole.events[2]
    assert [event.latency_ms for event in whole.events[1:4]] == [1, 2, 3]
    for beyond in (5, -1):
        with pytest.raises(IndexError):
            whole.events[beyond]
    assert len(lengths_of(whole.kept)) == len(sizes_of(whole.kept)) == 5


def test_batches_of_objects_stay_objects() -> None:
    packed = batch_of(call(event_id=UUIDS[0]))
    intake = Intake(IntakeSettings(), key=b"k" * 32, log_id="log")
    plain, _, _ = intake.take(json.dumps(call(event_id="b")).encode(), offset=1, received_at=10**18)
    both = concatenated([packed, plain])
    assert [event.event_id for event in both.events] == [UUIDS[0], "b"]
    assert np.array_equal(both.offset, [0, 1])
