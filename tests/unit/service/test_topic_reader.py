"""Messages of a partition as records: together, one by one, ticks, controls, dirt."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from oracle.generations import CURRENT, request_of
from sentinel.connections.kafka import Chunk, Headers, Place
from sentinel.intake import Intake, IntakeSettings, canonical
from sentinel.model.control import Control
from sentinel.service.placing import Placing
from sentinel.service.topic_log import _by_service
from sentinel.service.topic_reader import Refused, TopicReader
from sentinel.service.work import Work
from sentinel.sources.segments import CONTROL, EVENTS, TICK
from sentinel.vitals.inventory import Vitals

PLACE = Place("calls", 2)
INTAKE = Intake(IntakeSettings(), key=b"k" * 32, log_id="cluster/calls", partition=2)
AT_MS = 1_767_225_700_000


class Reader:
    """A reader, and what it refused."""

    def __init__(self, **changes: Any) -> None:
        self.refused: list[Refused] = []
        self.vitals = Vitals()
        self.waiting: dict[str, Any] = {}
        arguments: dict[str, Any] = {"signal": "traces", "otlp": False, "told_until": 0} | changes
        self.reader = TopicReader(
            INTAKE,
            self.vitals,
            refused=self.refused.extend,
            place=PLACE,
            placing=Placing(self.vitals),
            waiting=self.waiting,
            **arguments,
        )

    def read(self, *values: bytes | None, headers: Headers | None = None) -> list[Work]:
        n = len(values)
        times = [AT_MS + 10 * at for at in range(n)]
        offsets = [100 + at for at in range(n)]
        chunk = Chunk(PLACE, offsets, times, [b"svc"] * n, list(values), [headers] * n, 0)
        return self.reader.read([chunk])


def event(number: int = 0, **fields: Any) -> bytes:
    return json.dumps(
        {"service_name": "svc", "model": "m", "latency_ms": number, **fields}
    ).encode()


def events_of(works: list[Work]) -> list[Any]:
    return [one for work in works if work.batch is not None for one in work.batch.events]


def test_ordinary_messages_are_one_record_each_and_taken_together() -> None:
    [work] = Reader().read(*(event(number) for number in range(5)))
    assert (work.kind, work.offset, work.span, work.size) == (EVENTS, 100, 5, 5)
    assert work.batch is not None
    assert work.batch.offset.tolist() == [100, 101, 102, 103, 104]
    assert work.batch.received.tolist() == [(AT_MS + 10 * at) * 1_000_000 for at in range(5)]
    assert work.batch.partition == 2
    assert len(work.batch.kept) == 1


def test_however_messages_are_cut_their_events_are_the_same() -> None:
    values = [
        event(1),
        b"[%s,%s]" % (event(2), event(3)),
        event(4),
        b"\n".join([event(5), event(6)]),
    ]
    whole = Reader().read(*values)
    assert [work.span for work in whole] == [1, 1, 1, 1]
    for work, value in zip(whole, values, strict=True):
        single, _, _ = INTAKE.take(
            value, offset=work.offset, received_at=work.received_at, record=True
        )
        assert work.batch is not None
        assert canonical(work.batch.events) == canonical(single.events)
        np.testing.assert_array_equal(work.batch.index, single.index)


def test_a_tick_and_a_control_are_found_by_their_header() -> None:
    reader = Reader()
    [tick] = reader.read(None, headers=[("sentinel-kind", b"tick")])
    assert (tick.kind, tick.received_at) == (TICK, AT_MS * 1_000_000)
    body = msgspec.json.encode(Control(kind="resolve", incident="inc-1"))
    told: list[Any] = []
    reader.waiting["a"] = told.append
    names: Headers = [("sentinel-kind", b"control"), ("sentinel-id", b"a")]
    [control] = reader.read(body, headers=names)
    assert (control.kind, control.payload) == (CONTROL, body)
    assert control.done is not None
    control.done([])
    assert told == [[]]


def test_a_tenant_comes_by_its_header_and_a_message_of_nothing_is_passed() -> None:
    [theirs] = Reader().read(event(), headers=[("sentinel-tenant", b"acme")])
    assert theirs.batch is not None
    assert theirs.batch.keys[0].tenant == "acme"
    works = Reader().read(event(1), None, event(2))
    assert [(work.offset, work.span) for work in works] == [(100, 1), (101, 1), (102, 1)]
    assert len(events_of(works)) == 2


@pytest.mark.parametrize("by", ["header", "setting"])
def test_opentelemetry_is_understood(by: str) -> None:
    reader = Reader(otlp=by == "setting")
    names: Headers | None = (
        [("content-type", b"application/x-protobuf")] if by == "header" else None
    )
    works = reader.read(request_of(CURRENT).SerializeToString(), headers=names)
    assert len(events_of(works)) > 0
    assert not reader.refused
    [nothing] = reader.read(b"\xff\xff", headers=names)
    assert (nothing.batch, [one.rejection.code for one in reader.refused]) == (
        None,
        ["not_protobuf"],
    )


def test_what_is_refused_is_told_with_its_position_and_the_rest_goes_on() -> None:
    reader = Reader()
    works = reader.read(event(1), b"{", event(2), event(-1), b"[%s, 7]" % event(3))
    assert [float(one.latency_ms) for one in events_of(works)] == [1, 2, 3]
    assert {(one.offset, one.rejection.code) for one in reader.refused} == {
        (101, "not_json"),
        (103, "negative"),
        (104, "wrong_type"),
    }


def test_what_was_refused_below_the_last_commit_is_not_told_again() -> None:
    reader = Reader(told_until=102)
    works = reader.read(event(1), b"{", event(2), b"{")
    assert [one.offset for one in reader.refused] == [103]
    assert [(work.offset, work.span) for work in works] == [(100, 2), (102, 2)]


def test_a_body_is_written_as_messages_by_service_and_read_as_it_was() -> None:
    names = ["a", "b", "a", "c", "b", "a"]
    body = b"\n".join(event(at, service_name=name) for at, name in enumerate(names))
    batch, _, _ = INTAKE.take(body, offset=0, received_at=AT_MS * 1_000_000, record=True)
    packed, payload = INTAKE.packed(batch)
    messages = list(_by_service(packed, payload, "default"))
    assert [key for key, _ in messages] == [b"a", b"b", b"c"]
    kind: Headers = [("sentinel-kind", b"events")]
    works = Reader().read(*(value for _, value in messages), headers=kind)
    assert sorted(canonical([one]) for one in events_of(works)) == sorted(
        payload.splitlines(keepends=True)
    )
    assert [key for key, _ in _by_service(packed, payload, "acme")] == [
        b"acme/a",
        b"acme/b",
        b"acme/c",
    ]
