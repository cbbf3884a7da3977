"""Label files: the least that is enough, what is filled in, and faults named by their field."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from scenes.judged import START, at, expect, label
from sentinel.errors import InputError
from sentinel.model.metric import METRICS
from sentinel.replay.families import FAMILIES, family_of
from sentinel.replay.labels import microseconds, read_labels


def test_start_end_service_and_family_are_enough(tmp_path: Path) -> None:
    least = {name: label(10, 20)[name] for name in ("start", "end", "service", "family")}
    expected = expect(tmp_path, least)
    (span,) = expected.spans
    assert (span.id, span.kind, span.level) == ("incident 0", "latency", None)
    assert (span.model, span.scored) == (None, True)
    assert (set(span.families), set(span.side)) == ({"latency"}, set())
    ends = (span.detect_until, span.neutral_until)
    assert span.start == (START + 10) * 1_000_000
    assert ends == ((START + 20 + 60) * 1_000_000, (START + 20 + 360) * 1_000_000)
    assert (expected.scored_from, expected.end, expected.group_us) == (None, None, 300_000_000)


def test_what_is_given_is_not_filled_in(tmp_path: Path) -> None:
    full = label(
        10,
        20,
        id="a",
        kind="slow_disk",
        level="easy",
        also=["errors"],
        side=["throughput"],
        status="undetectable",
        detect_until=at(25).isoformat(),
        neutral_until=at(26).isoformat(),
    )
    window = {**label(1, 2), "family": None, "metric": "request_rate"}
    meta = {"scored_from": at(5).isoformat(), "end": at(90).isoformat(), "dedup_seconds": 7}
    expected = expect(tmp_path, full, natural=[window], meta=meta)
    (span,), (excuse,) = expected.spans, expected.excuses
    assert (span.id, span.kind, span.level, span.scored) == ("a", "slow_disk", "easy", False)
    assert (set(span.families), set(span.side)) == ({"latency", "errors"}, {"throughput"})
    assert span.detect_until == microseconds(at(25))
    assert span.neutral_until == microseconds(at(26))
    assert (excuse.family, excuse.end) == ("throughput", microseconds(at(2)))
    assert (expected.scored_from, expected.end) == (microseconds(at(5)), microseconds(at(90)))
    assert expected.group_us == 7_000_000


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    expected = expect(tmp_path, label(0, 1, start="2026-01-01T00:00:10", end="2026-01-01T00:00:11"))
    assert expected.spans[0].start == microseconds(at(10))


def test_a_metric_says_the_family_where_it_is_not_given(tmp_path: Path) -> None:
    expected = expect(tmp_path, label(0, 1, family=None, metric="ttft_ms"))
    assert expected.spans[0].family == "latency"


def test_notes_of_the_user_are_let_be(tmp_path: Path) -> None:
    assert expect(tmp_path, label(0, 1, ticket="INC-7", cause="disk"), author="ann").spans


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"start": None}, "incidents[1].start: expected `datetime`, got `null`"),
        ({"start": "yesterday"}, "incidents[1].start: invalid RFC3339 encoded datetime"),
        ({"service": 3}, "incidents[1].service: expected `str`, got `int`"),
        ({"modle": "m"}, "incidents[1].modle: not a field, did you mean model?"),
        ({"family": "slowness"}, "incidents[1].family: got 'slowness', expected one of latency"),
        ({"also": ["speed"]}, "incidents[1].also: got 'speed'"),
        ({"side": ["speed"]}, "incidents[1].side: got 'speed'"),
        ({"family": None}, "incidents[1]: family or metric is required"),
        ({"family": None, "metric": "shoe_size"}, "incidents[1].metric: no family holds"),
        ({"end": at(-5).isoformat()}, "incidents[1].end: lies before start"),
        ({"detect_until": at(1).isoformat()}, "incidents[1].detect_until: lies before end"),
        ({"neutral_until": at(1).isoformat()}, "incidents[1].neutral_until: lies before"),
        ({"status": "maybe"}, "incidents[1].status: invalid enum value 'maybe'"),
        ({"id": "first"}, "incidents[1].id: 'first' is another incident's already"),
    ],
)
def test_a_fault_of_an_incident_is_named(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as raised:
        expect(tmp_path, label(0, 9, id="first"), label(0, 9, **changed))
    assert str(raised.value).startswith(f"{tmp_path / 'labels.json'}: {said}")


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({"meta": {"dedup_seconds": -1}}, "meta.dedup_seconds: got -1, expected >= 0"),
        ({"meta": {"scored_form": None}}, "meta.scored_form: not a field, did you mean"),
        ({"naturals": []}, "naturals: not a field, did you mean natural?"),
        ({"natural": [label(2, 1)]}, "natural[0].end: lies before start"),
        (
            {"meta": {"scored_from": at(2).isoformat(), "end": at(1).isoformat()}},
            "meta.end: lies before scored_from",
        ),
    ],
)
def test_a_fault_elsewhere_is_named(rest: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        expect(tmp_path, label(0, 9), **rest)
    assert str(raised.value).startswith(f"{tmp_path / 'labels.json'}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"incidents": [\n  {"start": 1},\n  }\n]}', ":3: not JSON: "),
        (b'{"incidents": [', ": not JSON: "),
        (b"\xff", ":1: not JSON: "),
        (b"[]", ": the whole file: expected `object`, got `array`"),
        (b"{}", ": the whole file: object missing required field `incidents`"),
    ],
)
def test_a_file_that_holds_no_labels_is_named_with_the_line(
    text: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(text)
    with pytest.raises(InputError) as raised:
        read_labels(path)
    assert str(raised.value).startswith(f"{path}{said}")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: No such file"):
        read_labels(tmp_path / "absent.json")


def test_every_metric_has_one_family() -> None:
    held = [metric for metrics in FAMILIES.values() for metric in metrics]
    assert len(held) == len(set(held))
    assert set(METRICS) <= set(held)
    assert all(family_of(metric) for metric in held)


def test_a_label_file_in_the_format_of_the_page_is_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "formats" / "labels.md"
    examples = page.read_text().split("```json\n")[1:]
    assert len(examples) == 2
    for example in examples:
        text = example.partition("```")[0]
        path = tmp_path / "labels.json"
        path.write_text(text)
        assert len(read_labels(path).spans) == len(msgspec.json.decode(text)["incidents"])
