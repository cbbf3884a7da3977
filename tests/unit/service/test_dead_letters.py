"""Dead letters: where and why, never what; safe before anything is committed."""

import json
from typing import Any

import pytest

from sentinel.connections.kafka import Place
from sentinel.errors import BrokerError, JournalFull
from sentinel.model.batch import Rejection
from sentinel.service.dead_letters import UNCONFIRMED_MAX, DeadLetters
from sentinel.service.topic_reader import Refused
from sentinel.vitals.inventory import Vitals

TEXT = b'{"prompt": "the secret of a user"'


class Brokers:
    """A sender whose brokers answer when they are told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, dict[str, Any]]] = []
        self.waiting: list[Any] = []
        self.error: Exception | None = None

    def send(self, topic: str, value: bytes, *, done: Any, **rest: Any) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((topic, value, rest))
        self.waiting.append(done)

    def answer(self, error: BrokerError | None = None) -> None:
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(error)


def letters_to(brokers: Brokers) -> DeadLetters:
    sender: Any = brokers
    return DeadLetters(sender, Place("calls", 3), Vitals(), crash_point=lambda _: None)


def refused(offset: int = 7) -> Refused:
    return Refused(offset, b"svc", TEXT, Rejection("not_json", 0, "$", "an odd byte"))


def test_a_letter_says_where_and_why_and_nothing_of_the_text() -> None:
    brokers = Brokers()
    letters_to(brokers).write([refused()])
    [(topic, value, rest)] = brokers.sent
    said = json.loads(value)
    assert topic == "calls.dlq"
    assert (said["topic"], said["partition"], said["offset"]) == ("calls", 3, 7)
    assert (said["size"], said["code"]) == (len(TEXT), "not_json")
    assert len(said["hash"]) == 32
    assert (rest["key"], rest["headers"]) == (b"svc", [("reason", b"not_json")])
    assert b"secret" not in value


def test_nothing_is_safe_before_the_brokers_have_it() -> None:
    brokers = Brokers()
    letters = letters_to(brokers)
    assert letters.are_safe()
    letters.write([refused(), refused(8)])
    assert not letters.are_safe()
    brokers.answer()
    assert letters.are_safe()


@pytest.mark.parametrize("error", [BrokerError("down"), JournalFull("too much waits")])
def test_a_letter_that_was_not_sent_is_sent_again_until_it_is(error: Exception) -> None:
    brokers = Brokers()
    letters = letters_to(brokers)
    letters.write([refused()])
    brokers.answer(BrokerError("no leader"))
    brokers.error = error
    assert not letters.are_safe()
    brokers.error = None
    assert not letters.are_safe()
    brokers.answer()
    assert letters.are_safe()
    assert [json.loads(value)["offset"] for _, value, _ in brokers.sent] == [7, 7]


def test_when_many_wait_no_more_should_come() -> None:
    brokers = Brokers()
    letters = letters_to(brokers)
    letters.write([refused(offset) for offset in range(UNCONFIRMED_MAX - 1)])
    assert not letters.are_many
    letters.write([refused()])
    assert letters.are_many
