"""What goes in comes out: absent and zero, any text, every field, every number."""

from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest

from oracle.stored import (
    START,
    anomaly_count,
    anomaly_of,
    batch_of,
    event_count,
    event_of,
    incident_of,
    rows_between,
    rows_of,
    time_of,
)
from sentinel._core import partition as core
from sentinel.model.event import Event, Prompt, Response
from sentinel.model.metric import METRIC_INDEX, METRICS
from sentinel.stores import AnomalyFilter, DuckDbStore, IncidentFilter, StoredEvent, TelemetryFilter
from sentinel.stores.queries import Statement
from sentinel.stores.tables import ADDED, FLAGS

HOSTILE = [
    'it\'s "quoted" `here`',
    "'); DROP TABLE telemetry; --",
    "line\nbreak\r\n\ttab",
    "\\n \\u0041 \\",
    "naïve 日本語 \U0001f680 e\u0301",
    "\u2028\u2029\ufeff\x7f\x1f",
    "%s ? $1 :name {x}",
    " leading and trailing ",
    "",
    "x" * 100_000,
]


def kept(store: DuckDbStore, *events: Event, **changes: Any) -> list[StoredEvent]:
    store.put(rows_of(list(events), store.cursor, **changes))
    assert store.flush()
    return store.telemetry(limit=len(events)).rows[::-1]


def test_texts_come_back_whatever_they_hold(store: DuckDbStore) -> None:
    events = [
        event_of(0, number, prompt=Prompt(text=text, length=7), response=Response(text=text))
        for number, text in enumerate(HOSTILE)
    ]
    rows = kept(store, *events)
    assert [(row.prompt_text, row.response_text) for row in rows] == [(t, t) for t in HOSTILE]
    assert {row.prompt_length for row in rows} == {7}


def test_a_file_of_the_first_days_gets_the_columns_for_texts(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.duckdb"
    first = DuckDbStore(path, log_id="a log")
    first.open()
    kept(first, event_of(0, 0))
    first.close()
    with duckdb.connect(path) as file:
        for table, columns in ADDED.items():
            for column in columns:
                file.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    second = DuckDbStore(path, log_id="a log")
    second.open()
    rows = kept(second, event_of(1, 0, prompt=Prompt(text="new")))
    assert [row.prompt_text for row in rows] == ["new"]
    assert [row.prompt_text for row in second.telemetry(limit=9).rows] == ["new", None]
    second.close()


def test_an_event_comes_back_as_it_was(store: DuckDbStore) -> None:
    (found,) = kept(store, event_of(0, 0, errors=["timeout", "other"], response=None))
    assert found == StoredEvent(
        offset=0,
        index=0,
        event_id="event-0-0",
        timestamp=START,
        received_at=START,
        tenant="default",
        environment="prod",
        service="service-0",
        model="gpt-4o",
        provider="openai",
        trace_id="0" * 32,
        span_id=None,
        latency_ms=0.0,
        ttft_ms=None,
        prompt_tokens=100,
        completion_tokens=None,
        total_tokens=None,
        cost_usd=0.5,
        tokens_per_second=None,
        error=True,
        error_classes=["timeout", "other"],
        finish_reason=None,
        response_model=None,
        prompt_length=0,
        response_length=None,
        prompt_text=None,
        response_text=None,
        user_id="u-1",
        session_id=None,
        metadata=found.metadata,
        flags=[],
    )
    assert found.timestamp.tzinfo is UTC
    assert msgspec.json.decode(found.metadata or b"") == {"offset": 0, "team": "search"}


def test_absent_is_not_zero(store: DuckDbStore) -> None:
    names = [name for name in METRICS if name != "error"]
    absent, zero = event_of(0, 0), event_of(1, 0)
    batch = batch_of([absent, zero], [0, 1], [0, 0])
    batch.values[0] = np.nan
    batch.values[1] = 0.0
    found = kept(store, absent, zero, batch=batch)
    assert [getattr(found[0], name) for name in (*names, "error")] == [None] * len(METRICS)
    assert [getattr(found[1], name) for name in names] == [0] * len(names)
    assert found[1].error is False


def test_whole_numbers_up_to_the_largest_stay_exact(store: DuckDbStore) -> None:
    event = event_of(0, 0)
    batch = batch_of([event], [0], [0])
    batch.values[0, METRIC_INDEX["total_tokens"]] = 2.0**53
    (found,) = kept(store, event, batch=batch)
    assert found.total_tokens == 2**53


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_comes_back_unchanged(store: DuckDbStore, text: str) -> None:
    event = event_of(0, 0, event_id=text, provider=text, trace_id=text, user_id=text)
    event.metadata = {text: text, "nul": "a\x00b"}
    (found,) = kept(store, event)
    assert (found.event_id, found.provider, found.trace_id, found.user_id) == (text,) * 4
    assert msgspec.json.decode(found.metadata or b"") == {text: text, "nul": "a\x00b"}
    assert [row.offset for row in store.telemetry(TelemetryFilter(event_id=text)).rows] == [0]
    assert store.telemetry(TelemetryFilter(event_id=text + "'")).rows == []
    assert store.counts()["telemetry"] == 1


def test_an_event_id_comes_back_in_its_own_form(store: DuckDbStore) -> None:
    usual = "0f8fad5b-d9cb-469f-a165-70867728950e"
    forms = [usual, usual.upper(), usual.replace("-", ""), usual[:-1], f"{usual}0", "0" * 36]
    found = kept(store, *(event_of(k, 0, event_id=form) for k, form in enumerate(forms)))
    assert [row.event_id for row in found] == forms
    for offset, form in enumerate(forms):
        chosen = store.telemetry(TelemetryFilter(event_id=form)).rows
        assert [row.offset for row in chosen] == [offset]
    query = Statement("SELECT count(event_uuid), count(event_id) FROM telemetry", [])
    assert store._file.ask(query) == [(1, 5)]


def test_an_anomaly_says_its_event_id_and_is_found_by_it(store: DuckDbStore) -> None:
    ids = ["0f8fad5b-d9cb-469f-a165-70867728950e", "of another form"]
    events = [event_of(k, 0, event_id=name) for k, name in enumerate(ids)]
    found = [
        msgspec.structs.replace(anomaly_of(k, 0, "iqr"), event_id=name)
        for k, name in enumerate(ids)
    ]
    store.put(rows_of(events, anomalies=found))
    assert store.flush()
    assert store.anomalies().rows == found[::-1]
    for anomaly in found:
        assert store.anomalies(AnomalyFilter(event_id=anomaly.event_id)).rows == [anomaly]
    for nothing in ("", "anom-", found[0].id[5:], found[0].id.upper(), found[0].id + "0"):
        assert store.anomalies(AnomalyFilter(id=nothing)).rows == []


def test_half_a_surrogate_pair_stops_nothing(store: DuckDbStore) -> None:
    broken = event_of(0, 0, trace_id="a\ud800b", metadata={"k": "a\ud800b"})
    found = kept(store, broken, event_of(1, 0))
    assert [row.trace_id for row in found] == ["a?b", f"{1:032x}"]
    assert bytes(found[0].metadata or b"") == b'{"k": "a\\ud800b"}'


def test_events_with_and_without_metadata_keep_their_own(store: DuckDbStore) -> None:
    given: list[Any] = [{"a": 1}, None, {"b": "\n"}, {}, None, {"c": None}]
    found = kept(store, *(event_of(k, 0, metadata=m) for k, m in enumerate(given)))
    back = [None if row.metadata is None else msgspec.json.decode(row.metadata) for row in found]
    assert back == [{"a": 1}, None, {"b": "\n"}, None, None, {"c": None}]


def test_flags_say_what_was_special(store: DuckDbStore) -> None:
    events = [event_of(k, 0) for k in range(4)]
    batch = batch_of(events, [0, 1, 2, 3], [0] * 4)
    batch.over_limit[:] = (0, 0, 1, 1)
    state = np.array([0, core.EVENT_LATE, 0, core.EVENT_LATE | core.EVENT_UNJUDGED], np.uint8)
    found = kept(store, *events, batch=batch, state=state)
    assert [row.flags for row in found] == [
        [],
        ["late"],
        ["over_limit"],
        ["late", "unjudged", "over_limit"],
    ]


def test_flags_are_the_bits_of_the_core() -> None:
    of_the_core = [name for name in FLAGS if name not in ("over_limit", "split")]
    bits = [getattr(core, f"EVENT_{name.upper()}") for name in of_the_core]
    assert bits == [1 << bit for bit in range(len(bits))]


def test_events_that_are_no_rows_are_left_out(store: DuckDbStore) -> None:
    stored = np.array([True, False, True])
    store.put(rows_of([event_of(k, 0) for k in range(3)], stored=stored))
    assert store.flush()
    assert [row.offset for row in store.telemetry().rows] == [2, 0]
    assert store.cursor == 3


def test_an_anomaly_comes_back_as_it_was(store: DuckDbStore) -> None:
    anomalies = [anomaly_of(3, 0, "zscore"), anomaly_of(3, 0, "iqr"), anomaly_of(4, 0, "iqr")]
    store.put(rows_of([event_of(k, 0) for k in range(6)], anomalies=anomalies))
    assert store.flush()
    assert store.anomalies().rows == anomalies[::-1]
    assert store.anomalies(AnomalyFilter(detector="zscore")).rows == anomalies[:1]
    assert store.anomalies(AnomalyFilter(id=anomalies[2].id)).rows == anomalies[2:]


def test_an_incident_is_answered_as_it_was_written_last(store: DuckDbStore) -> None:
    first, later = incident_of(0, 1), incident_of(0, 2, state="resolved", ended_at=time_of(9))
    other = incident_of(1, 1, title='a "quoted" title')
    store.put(rows_of([event_of(0, 0)], incidents=[first, other]))
    assert store.flush()
    store.put(rows_of([event_of(1, 0)], 1, incidents=[first]))
    store.put(rows_of([event_of(2, 0)], 2, incidents=[later]))
    assert store.flush()
    assert [bytes(body) for body in store.incidents().rows] == [
        msgspec.json.encode(other),
        msgspec.json.encode(later),
    ]
    assert bytes(store.incident("inc-0") or b"") == msgspec.json.encode(later)
    assert store.incident("inc-9") is None
    assert len(store.incidents(IncidentFilter(state="open")).rows) == 1


def test_many_puts_become_one_block_with_keys_of_their_own(store: DuckDbStore) -> None:
    for offset in range(200):
        store.put(rows_between(offset, offset + 1))
    assert store.flush()
    found = store.telemetry(limit=1000).rows
    assert len(found) == 399
    assert all(row.service == f"service-{row.offset % 3}" for row in found)
    assert all(row.timestamp == START + timedelta(milliseconds=row.offset) for row in found)


def test_blocks_of_one_transaction_may_hold_other_columns_and_keys(store: DuckDbStore) -> None:
    """Blocks are put together as they are: their types must not depend on what they hold."""
    count = 5_000  # each becomes a block of its own
    first = [event_of(k, 0, provider=None, metadata=None) for k in range(count)]
    second = [event_of(k, 0, span_id="s", trace_id=None) for k in range(count, 2 * count)]
    store.put(rows_of(first))
    store.put(rows_of(second, count))
    assert store.flush(60)
    found = store.telemetry(limit=1000, cursor=None).rows
    assert all((row.span_id, row.trace_id, row.provider) == ("s", None, "openai") for row in found)
    assert all(row.service == f"service-{row.offset % 3}" for row in found)
    found = store.telemetry(TelemetryFilter(end=time_of(count)), limit=1000).rows
    assert all((row.span_id, row.provider, row.metadata) == (None, None, None) for row in found)
    assert all(row.service == f"service-{row.offset % 3}" for row in found)


def test_rows_that_fill_row_groups_are_cut_without_loss(store: DuckDbStore) -> None:
    store.put(rows_between(0, 12_000))
    store.put(rows_between(12_000, 20_000))
    assert store.flush(60)
    assert store.counts() == {
        "telemetry": event_count(20_000),
        "anomalies": anomaly_count(20_000),
        "incidents": 2,
    }
    page = store.telemetry(limit=1000).rows
    assert [(row.offset, row.index) for row in page[:3]] == [(19_999, 1), (19_999, 0), (19_998, 0)]
    found = store.telemetry(
        TelemetryFilter(start=time_of(8_190), end=time_of(8_195)), limit=1000
    ).rows
    assert [(row.offset, row.index, row.latency_ms, row.event_id) for row in found] == [
        (k, i, float(k), f"event-{k}-{i}")
        for k in range(8_194, 8_189, -1)
        for i in range(k % 3, -1, -1)
    ]


def test_anomalies_out_of_order_are_refused(store: DuckDbStore) -> None:
    from sentinel.stores.rows import ArrowRows, Waiting

    rows = rows_of(
        [event_of(k, 0) for k in range(3)],
        anomalies=[anomaly_of(2, 0, "iqr"), anomaly_of(0, 0, "iqr")],
    )
    with pytest.raises(ValueError, match="in the order of their events"):
        ArrowRows().block([Waiting("log", rows, (0, 0), 0.0)])
