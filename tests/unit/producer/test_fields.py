"""What an event is made of, and what an application loads for it."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from sentinel.producer.fields import TEXT_MAX, event_of

HEAVY = ("numpy", "pyarrow", "duckdb", "litestar", "rich", "confluent_kafka", "http", "ssl")


def test_an_event_ends_now_and_has_a_uuid() -> None:
    event = event_of("s", "m", 1.0, {})
    assert isinstance(event.timestamp, datetime)
    assert abs(event.timestamp.timestamp() - time.time()) < 5
    assert event.event_id is not None
    assert len(event.event_id) == 36


def test_absent_is_not_zero() -> None:
    sent = msgspec.json.decode(
        msgspec.json.encode(event_of("s", "m", None, {"prompt_tokens": 0, "cost_usd": None}))
    )
    assert sent["prompt"] == {"tokens": 0}
    assert not {"cost_usd", "latency_ms", "response", "errors"} & sent.keys()


def test_a_long_text_is_cut_and_keeps_its_length() -> None:
    event = event_of("s", "m", 1.0, {"prompt_text": "x" * (TEXT_MAX + 1), "response_text": "y"})
    assert event.prompt is not None
    assert event.prompt.text == "x" * TEXT_MAX
    assert event.prompt.length == TEXT_MAX + 1
    assert event.response is not None
    assert (event.response.text, event.response.length) == ("y", None)


def test_a_time_without_zone_is_local_and_others_are_kept() -> None:
    naive = datetime(2026, 3, 2, 9, 0)
    for given in (naive, datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=2)))):
        event = event_of("s", "m", 1.0, {"timestamp": given})
        assert isinstance(event.timestamp, datetime)
        assert event.timestamp.astimezone(UTC) == given.astimezone(UTC)
        assert event.timestamp.tzinfo is not None


def test_importing_it_loads_neither_the_core_nor_any_client() -> None:
    code = (
        "import sys; from llm_sentinel import TelemetryProducer; "
        "TelemetryProducer().create_telemetry_event('s', 'm'); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "sentinel.producer.producer" in loaded
    ours = {name.split(".")[1] for name in loaded if name.startswith("sentinel.")}
    assert ours == {"producer", "model"}
    assert not {name.split(".")[0] for name in loaded} & set(HEAVY)
