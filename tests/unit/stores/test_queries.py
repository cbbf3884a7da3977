"""Pages, filters, cursors and time limits."""

import threading
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from oracle.stored import event_of, incident_of, rows_between, rows_of, time_of
from sentinel.errors import QueryError, StoreBusy
from sentinel.stores import AnomalyFilter, DuckDbStore, IncidentFilter, TelemetryFilter
from sentinel.stores.queries import Statement, read_cursor, write_cursor
from sentinel.stores.tables import ANOMALIES, INCIDENTS, TELEMETRY

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def filled(store: DuckDbStore) -> DuckDbStore:
    store.put(rows_between(0, 600))
    assert store.flush()
    return store


def test_the_newest_come_first(filled: DuckDbStore) -> None:
    page = filled.telemetry()
    places = [(row.offset, row.index) for row in page.rows]
    assert len(places) == 100
    assert places == sorted(places, reverse=True)
    assert places[0] == (599, 2)
    assert [row.timestamp for row in filled.recent_anomalies(3)] == [time_of(595)] * 3


def test_filters_choose(filled: DuckDbStore) -> None:
    chosen = TelemetryFilter(service="service-1", start=time_of(100), end=time_of(200))
    found = filled.telemetry(chosen, limit=1000).rows
    assert {row.offset for row in found} == {k for k in range(100, 200) if k % 3 == 1}
    assert filled.telemetry(TelemetryFilter(model="other")).rows == []
    assert filled.telemetry(TelemetryFilter(tenant="other")).rows == []
    critical = filled.anomalies(AnomalyFilter(severity="critical", metric="latency_ms"), limit=1000)
    assert {round(row.value) for row in critical.rows} == set(range(0, 600, 10))


def test_a_time_in_another_zone_is_the_same_time(filled: DuckDbStore) -> None:
    def found(start: datetime) -> int:
        return len(filled.telemetry(TelemetryFilter(start=start), limit=1000).rows)

    assert found(time_of(500).astimezone(TOKYO)) == found(time_of(500)) == 201


def test_paging_returns_each_row_once_while_rows_are_added(filled: DuckDbStore) -> None:
    end = threading.Event()

    def add() -> None:
        start = 600
        while not end.is_set():
            filled.put(rows_between(start, start + 5))
            filled.flush()
            start += 5

    adding = threading.Thread(target=add)
    adding.start()
    try:
        found: list[tuple[int, int]] = []
        cursor = filled.telemetry(TelemetryFilter(end=time_of(600)), limit=1).next_cursor
        while cursor:
            page = filled.telemetry(limit=37, cursor=cursor)
            found += [(row.offset, row.index) for row in page.rows]
            cursor = page.next_cursor
    finally:
        end.set()
        adding.join()
    expected = [(k, i) for k in range(600) for i in range(1 + k % 3)]
    assert found == expected[-2::-1]


def test_paging_through_equal_times_loses_none(store: DuckDbStore) -> None:
    events = [event_of(0, 0, event_id=f"e{k}") for k in range(1000)]
    rows = rows_of(events)
    rows.batch.time[:] = rows.batch.time[0]
    store.put(rows)
    assert store.flush()
    cursor: str | None = None
    found: list[str] = []
    while True:
        page = store.telemetry(limit=99, cursor=cursor)
        found += [row.event_id for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [f"e{k}" for k in reversed(range(1000))]


def test_anomalies_and_incidents_are_paged_too(filled: DuckDbStore) -> None:
    cursor: str | None = None
    found: list[str] = []
    while cursor or not found:
        page = filled.anomalies(limit=7, cursor=cursor)
        found += [row.id for row in page.rows]
        cursor = page.next_cursor
    assert len(found) == len(set(found)) == filled.counts()["anomalies"]

    many = [incident_of(k, k, timestamp=time_of(k // 4)) for k in range(30)]
    filled.put(rows_of([], 601, next_offset=601, incidents=many))
    assert filled.flush()
    ids: list[str] = []
    while cursor or not ids:
        incidents = filled.incidents(limit=7, cursor=cursor)
        ids += [msgspec.json.decode(body)["id"] for body in incidents.rows]
        cursor = incidents.next_cursor
    assert sorted(ids) == sorted(f"inc-{k}" for k in range(30))


def test_the_last_page_has_no_cursor(filled: DuckDbStore) -> None:
    chosen = TelemetryFilter(end=time_of(3))
    assert filled.telemetry(chosen, limit=6).next_cursor is None
    assert filled.telemetry(chosen, limit=5).next_cursor is not None
    assert filled.telemetry(TelemetryFilter(end=time_of(0))).next_cursor is None


GARBLED: list[Any] = [
    "",
    "?",
    "äöü",
    "AAAA",
    "x" * 300,
    "'; DROP TABLE telemetry; --",
    urlsafe_b64encode(msgspec.msgpack.encode(("telemetry", 1, 2))).decode(),
    urlsafe_b64encode(msgspec.msgpack.encode(("telemetry", 1, 2, -1))).decode(),
    urlsafe_b64encode(msgspec.msgpack.encode(("telemetry", 2**62, 2, 1))).decode(),
    urlsafe_b64encode(msgspec.msgpack.encode(("telemetry", 1, 2**64 - 1, 1))).decode(),
    urlsafe_b64encode(msgspec.msgpack.encode(("telemetry", 1, "2", 1))).decode(),
    urlsafe_b64encode(msgspec.msgpack.encode(("other", 1, 2, 1))).decode(),
    write_cursor(ANOMALIES, (time_of(0), 1, 2, 3, "")),
    write_cursor(INCIDENTS, (time_of(0), "inc-1")),
    write_cursor(TELEMETRY, (time_of(0), 1, 2, ""))[:-3],
]


@pytest.mark.parametrize("cursor", GARBLED, ids=range(len(GARBLED)))
def test_a_garbled_cursor_is_refused(filled: DuckDbStore, cursor: str) -> None:
    with pytest.raises(QueryError, match="cursor"):
        filled.telemetry(cursor=cursor)


@pytest.mark.parametrize("year", [1, 1969, 1970, 2026, 9999])
def test_a_cursor_says_where_a_page_ended(year: int) -> None:
    time = datetime(year, 3, 4, 5, 6, 7, 89)
    assert read_cursor(TELEMETRY, write_cursor(TELEMETRY, (time, 2**63 - 1, 7, "log/3"))) == [
        time,
        2**63 - 1,
        7,
        "log/3",
    ]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(filled: DuckDbStore, limit: int) -> None:
    with pytest.raises(QueryError, match="limit"):
        filled.telemetry(limit=limit)


def test_a_time_that_cannot_be_told_is_refused(filled: DuckDbStore) -> None:
    with pytest.raises(QueryError, match="zone"):
        filled.telemetry(TelemetryFilter(start=datetime(2026, 3, 2)))
    assert filled.telemetry(TelemetryFilter(start=datetime.min.replace(tzinfo=UTC))).rows
    with pytest.raises(QueryError, match="years"):
        filled.telemetry(TelemetryFilter(start=datetime.min.replace(tzinfo=TOKYO)))


def test_a_filter_is_bound_and_never_part_of_the_question(filled: DuckDbStore) -> None:
    text = "x' OR 1=1 --"
    assert filled.telemetry(TelemetryFilter(service=text)).rows == []
    assert filled.incidents(IncidentFilter(type=text)).rows == []


ENDLESS = Statement("SELECT count(*) FROM range(1000000) a, range(1000000) b", [])


def test_a_question_that_takes_too_long_is_interrupted(open_store: Any) -> None:
    store = open_store(query_timeout_secs=0.2)
    store.put(rows_between(0, 10))
    assert store.flush()
    begin = time.monotonic()
    with pytest.raises(StoreBusy, match="longer than"):
        store._file.ask(ENDLESS)
    assert time.monotonic() - begin < 5
    for _ in range(4):
        assert store.telemetry().rows


def test_others_wait_for_a_reader_no_longer_than_a_question_may_take(open_store: Any) -> None:
    store = open_store(query_timeout_secs=1.0)

    def ask() -> None:
        with pytest.raises(StoreBusy, match="longer than"):
            store._file.ask(ENDLESS)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    time.sleep(0.2)
    store._file._query_timeout_secs = 0.1
    with pytest.raises(StoreBusy, match="busy"):
        store.telemetry()
    store._file._query_timeout_secs = 10.0
    assert store.telemetry().rows == []
    for thread in asking:
        thread.join()


def test_rows_are_seen_within_two_seconds_without_a_flush(store: DuckDbStore) -> None:
    store.put(rows_between(0, 10))
    end = time.monotonic() + 10
    begin = time.monotonic()
    while not store.telemetry().rows and time.monotonic() < end:
        time.sleep(0.02)
    assert timedelta(seconds=time.monotonic() - begin) < timedelta(seconds=2)
