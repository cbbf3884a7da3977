"""Messages as columns, and what the client may and may not do by itself."""

import sys
from typing import Any

import pytest

from sentinel.connections import kafka
from sentinel.connections.kafka import Chunk, Group, Place
from sentinel.errors import BrokerError, SettingsError

PLACE = Place("calls", 0)
CHUNK = Chunk(
    PLACE, [3, 4, 7, 9], [30, 40, 70, 90], [b"k"] * 4, [b"a", b"bb", None, b"d"], [None] * 4, 0
)


def test_messages_that_were_handed_over_are_cut_off() -> None:
    assert CHUNK.since(3) is CHUNK
    rest = CHUNK.since(5)
    assert rest is not None
    assert (rest.offsets, rest.times_ms, rest.values) == ([7, 9], [70, 90], [None, b"d"])
    assert CHUNK.since(10) is None
    assert [one.offsets for one in CHUNK.singles()] == [[3], [4], [7], [9]]
    assert CHUNK.cut(0, 2).nbytes == 203


def test_the_client_keeps_no_position_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    class Client:
        def __init__(self, words: dict[str, Any], **_: Any) -> None:
            told.update(words)

        def subscribe(self, topics: list[str], **calls: Any) -> None:
            told["calls"] = set(calls)

    library = kafka._library()
    monkeypatch.setattr(library, "Consumer", Client)
    group: Any = None
    Group({"bootstrap.servers": "a:1"}, ["calls"], group)
    assert told["enable.auto.commit"] is told["enable.auto.offset.store"] is False
    assert told["auto.offset.reset"] == "error"
    assert told["partition.assignment.strategy"] == "cooperative-sticky"
    assert told["calls"] == {"on_assign", "on_revoke", "on_lost"}


def test_a_partition_without_a_leader_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    library = kafka._library()
    answers: list[Any] = [library.KafkaException(library.KafkaError(5)), (3, 9)]

    class Client:
        def __init__(self, _: dict[str, Any], **__: Any) -> None:
            pass

        def subscribe(self, _: list[str], **__: Any) -> None:
            pass

        def get_watermark_offsets(self, _: Any, timeout: float) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(library, "Consumer", Client)
    nobody: Any = None
    group = Group({}, ["calls"], nobody)
    assert group.bounds(PLACE) == (3, 9)
    monkeypatch.setattr(kafka, "LEADER_SECONDS", 0.0)
    answers.append(library.KafkaException(library.KafkaError(5)))
    with pytest.raises(BrokerError, match="calls/0"):
        group.bounds(PLACE)


def test_words_that_the_client_does_not_know_are_an_error_of_the_settings() -> None:
    group: Any = None
    with pytest.raises(SettingsError, match="nonsense"):
        Group({"group.id": "g", "nonsense": "1"}, ["calls"], group)


def test_a_client_that_is_not_installed_is_named_with_the_way_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(SettingsError, match=r"llm-sentinel\[kafka\]"):
        kafka._library()
