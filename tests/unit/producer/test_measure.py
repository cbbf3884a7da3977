"""A timed call: with a block, as a decorator, sync and async, and where it fails."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Unpack

import pytest

from llm_sentinel import Event, Measure
from sentinel.producer.fields import Fields


class Sent(list[Event]):
    """The events so far."""

    def measure(self, read: Any = None, **fields: Unpack[Fields]) -> Measure:
        return Measure(self.append, "chat-api", "gpt-4o", fields, read)


class RateLimitError(Exception):
    status_code = 429
    code = "quota"


def test_a_block_becomes_an_event_with_what_is_said_in_it() -> None:
    sent = Sent()
    with sent.measure(user_id="u1") as call:
        time.sleep(0.01)
        call.first_token()
        time.sleep(0.02)
        call.first_token()
        call.set(prompt_tokens=12, completion_tokens=0, finish_reason="stop")
    (event,) = sent
    assert (event.service_name, event.model, event.user_id) == ("chat-api", "gpt-4o", "u1")
    assert event.latency_ms is not None
    assert event.ttft_ms is not None
    assert 10 <= event.ttft_ms <= event.latency_ms - 20
    assert event.prompt is not None
    assert event.prompt.tokens == 12
    assert event.response is not None
    assert (event.response.tokens, event.response.finish_reason) == (0, "stop")
    assert event.errors is None


def test_a_failure_is_sent_without_its_message_and_goes_on() -> None:
    sent = Sent()
    with pytest.raises(RateLimitError, match="who is Ann"), sent.measure():
        raise RateLimitError("prompt `who is Ann?` refused")
    assert sent[0].errors == ["RateLimitError 429 quota"]
    assert sent[0].latency_ms is not None


def test_a_failure_that_is_caught_inside_can_be_told() -> None:
    sent = Sent()
    with sent.measure() as call:
        call.fail(TimeoutError("slow"))
    assert sent[0].errors == ["TimeoutError"]


def test_an_async_block_and_its_cancellation_are_timed() -> None:
    sent = Sent()

    async def ask() -> None:
        async with sent.measure():
            await asyncio.sleep(10)

    async def give_up() -> None:
        async with asyncio.timeout(0.02):
            await ask()

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert sent[0].errors == ["CancelledError"]
    assert sent[0].latency_ms is not None
    assert 20 <= sent[0].latency_ms < 5_000


def test_every_call_of_a_decorated_function_is_an_event() -> None:
    sent = Sent()

    @sent.measure(read=lambda answer: {"completion_tokens": len(answer)})
    def ask(text: str) -> str:
        """Ask."""
        return text.upper()

    assert [ask("ab"), ask("abc")] == ["AB", "ABC"]
    assert ask.__doc__ == "Ask."
    assert [e.response.tokens for e in sent if e.response] == [2, 3]
    assert len({event.event_id for event in sent}) == 2


def test_calls_of_a_decorated_coroutine_may_overlap() -> None:
    sent = Sent()

    @sent.measure(read=lambda answer: {"prompt_tokens": answer})
    async def ask(number: int) -> int:
        await asyncio.sleep(0.03 if number == 1 else 0.001)
        return number

    async def both() -> list[int]:
        return list(await asyncio.gather(ask(1), ask(2)))

    assert asyncio.run(both()) == [1, 2]
    tokens = [event.prompt.tokens for event in sent if event.prompt]
    assert tokens == [2, 1]
    assert (sent[0].latency_ms or 0) < 25 < (sent[1].latency_ms or 0)


def test_a_result_that_cannot_be_read_is_still_returned_and_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = Sent()

    @sent.measure(read=lambda answer: answer["usage"])
    def ask() -> str:
        return "answer"

    assert ask() == "answer"
    assert sent[0].errors is None
    assert "could not be read" in caplog.text


def test_a_generator_is_not_timed_as_if_it_were_done() -> None:
    def stream() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="is a generator"):
        Sent().measure()(stream)


def test_a_field_that_does_not_exist_is_refused_where_it_is_written() -> None:
    sent = Sent()
    with pytest.raises(TypeError, match="unknown field 'tokens'"):
        sent.measure(tokens=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unknown field 'tokens'"), sent.measure() as call:
        call.set(tokens=3)  # type: ignore[call-arg]
