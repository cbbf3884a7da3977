"""The forms of a body, and where its inputs stand."""

from collections.abc import Callable
from itertools import count

import msgspec
import numpy as np
import pytest

from sentinel.intake import Intake, IntakeSettings
from sentinel.intake.identity import PositionIds

Make = Callable[..., bytes]
T0 = 1_740_992_400_000_000_000


def refused(intake: Intake, body: bytes, *, lines: bool = False) -> list[tuple[str, int]]:
    _, rejections, _ = intake.take(body, offset=0, received_at=T0, lines=lines)
    return [(rejection.code, rejection.position) for rejection in rejections]


def test_an_object_an_array_and_lines_are_told_apart(intake: Intake, make: Make) -> None:
    one, two = make(), make(service_name="b")
    pretty = msgspec.json.format(one, indent=2)
    bodies = {
        one: 1,
        b" \n" + one + b"\n": 1,
        pretty: 1,
        b"[" + one + b"]": 1,
        b" [" + pretty + b",\n" + two + b"] ": 2,
        b"[]": 0,
        one + b"\n" + two: 2,
        one + b"\r\n" + two + b"\r\n": 2,
        b"\n\n" + one + b"\n  \n" + two + b"\n\n": 2,
    }
    for body, expected in bodies.items():
        batch, rejections, held = intake.take(body, offset=0, received_at=T0)
        assert (len(batch), held, rejections) == (expected, expected, [])


def test_one_bad_line_does_not_take_the_good_ones_with_it(intake: Intake, make: Make) -> None:
    good = make()
    body = b"\n".join((good, b"{", good, b"", b'{"service_name":1}', b"\xff", good))
    batch, rejections, held = intake.take(body, offset=100, received_at=T0)
    assert held == 6
    assert batch.offset.tolist() == [100, 102, 105]
    assert [(r.code, r.position) for r in rejections] == [
        ("not_json", 101),
        ("wrong_type", 103),
        ("not_utf8", 104),
    ]


def test_one_bad_element_of_an_array_does_not_take_the_good_ones_with_it(
    intake: Intake, make: Make
) -> None:
    body = b"[" + b",".join((make(), b"5", make(latency_ms=-1), make())) + b"]"
    batch, rejections, held = intake.take(body, offset=0, received_at=T0)
    assert (len(batch), held) == (2, 4)
    assert [(r.code, r.path, r.position) for r in rejections] == [
        ("wrong_type", "$", 1),
        ("negative", "$.latency_ms", 2),
    ]


@pytest.mark.parametrize("bad", [b"", b"\n{"])
def test_a_line_is_exactly_one_object_whether_another_line_is_bad_or_not(
    intake: Intake, make: Make, bad: bytes
) -> None:
    good = make()
    head, tail = good[:20], good[20:]
    twice = good + good + b"\n" + good + bad
    assert refused(intake, twice, lines=True)[0] == ("not_json", 0)
    over_two = head + b"\n" + tail + good + bad
    assert [position for _, position in refused(intake, over_two, lines=True)][:2] == [0, 1]


def test_with_lines_a_body_is_nothing_else(intake: Intake, make: Make) -> None:
    assert refused(intake, b"[" + make() + b"]", lines=True) == [("wrong_type", 0)]
    assert refused(intake, msgspec.json.format(make(), indent=2), lines=True)[0][0] == "not_json"
    assert intake.take(b"", offset=0, received_at=T0, lines=True)[2] == 0


def test_of_duplicate_keys_the_last_one_counts(intake: Intake, make: Make) -> None:
    body = make(latency_ms=1).replace(b'"latency_ms":1', b'"latency_ms":1,"latency_ms":7')
    batch, _, _ = intake.take(body, offset=0, received_at=T0)
    assert batch.values[0, 0] == 7.0


def test_fields_that_nobody_knows_are_passed_over(intake: Intake, make: Make) -> None:
    batch, rejections, _ = intake.take(make(extra={"a": [1, {}]}), offset=0, received_at=T0)
    assert (len(batch), rejections) == (1, [])


def test_brackets_in_texts_are_not_nesting(intake: Intake, make: Make) -> None:
    body = make(prompt={"text": '[{"\\' * 500})
    assert refused(intake, body) == []


@pytest.mark.parametrize(("depth", "codes"), [(31, []), (32, ["too_deep"])])
def test_an_event_may_nest_as_deep_as_the_limit_its_own_braces_included(
    intake: Intake, make: Make, depth: int, codes: list[str]
) -> None:
    deep = make()[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"
    for body in (deep, b"[" + deep + b"]", deep + b"\n" + make()):
        assert [code for code, _ in refused(intake, body)] == codes


def test_an_event_may_be_as_long_as_the_limit(make: Make) -> None:
    size = len(make())
    intake = Intake(IntakeSettings(max_event_bytes=size), key=b"k" * 32, log_id="replay")
    for body in (make(), make() + b"\n" + make(), b"[" + make() + b"," + make() + b"]"):
        assert refused(intake, body) == []
    assert refused(intake, make() + b"\n" + make(provider="x")) == [("too_big", 1)]
    assert refused(intake, b"[" + make() + b"," + make(provider="x") + b"]") == [("too_big", 1)]


def test_a_record_has_one_offset_and_counts_the_events_it_accepts(
    intake: Intake, make: Make
) -> None:
    body = b"\n".join((make(), b"{}", make(latency_ms=-1), make(), make()))
    batch, rejections, held = intake.take(body, offset=40, received_at=T0, record=True)
    assert held == 5
    assert batch.offset.tolist() == [40, 40, 40]
    assert batch.index.tolist() == [0, 1, 2]
    assert [r.position for r in rejections] == [1, 2]


def test_in_a_stream_every_input_has_its_own_offset(intake: Intake, make: Make) -> None:
    body = b"\n".join((make(), b"{}", make(model=None), make()))
    batch, rejections, _ = intake.take(body, offset=40, received_at=T0)
    assert batch.offset.tolist() == [40, 43]
    assert batch.index.tolist() == [0, 0]
    assert [r.position for r in rejections] == [41, 42]


def test_the_same_position_gives_the_same_id_and_another_one_another(
    intake: Intake, make: Make
) -> None:
    body = make(event_id=None) + b"\n" + make(event_id=None)
    one, _, _ = intake.take(body, offset=5, received_at=T0)
    two, _, _ = intake.take(body, offset=5, received_at=T0)
    record, _, _ = intake.take(body, offset=5, received_at=T0, record=True)
    ids = [event.event_id for event in one.events]
    assert ids == [event.event_id for event in two.events]
    assert ids[0] == record.events[0].event_id
    assert ids[1] != record.events[1].event_id
    bits = [int(high) << 64 | int(low) for high, low in zip(one.id_high, one.id_low, strict=True)]
    assert [f"{value:032x}" for value in bits] == [str(text).replace("-", "") for text in ids]


def test_ids_hang_on_log_and_partition_and_fields_do_not_run_together() -> None:
    made = {
        PositionIds(log, partition).at(offset, index)
        for log in ("a", "b", "a\0")
        for partition in (0, 1)
        for offset in (0, 1, 2**62)
        for index in (0, 1)
    }
    assert len(made) == 36
    assert PositionIds("replay", 0).at(0, 0) == PositionIds("replay", 0).at(0, 0)


def test_a_live_edge_may_bring_its_own_ids(intake: Intake, make: Make) -> None:
    numbers = count(1)
    batch, _, _ = intake.take(
        make(event_id=None) + b"\n" + make(),
        offset=0,
        received_at=T0,
        fresh_id=lambda: f"00000000-0000-7000-8000-{next(numbers):012x}",
    )
    assert batch.events[0].event_id == "00000000-0000-7000-8000-000000000001"
    assert batch.id_low[0] == 0x8000_0000_0000_0001
    assert next(numbers) == 2


def test_an_empty_batch_has_columns_too(intake: Intake) -> None:
    batch, _, _ = intake.take(b"[]", offset=0, received_at=T0)
    assert len(batch) == 0
    assert batch.values.shape == (0, 8)
    assert batch.key.dtype == np.int32
