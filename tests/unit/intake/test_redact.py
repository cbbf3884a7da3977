"""What may not be kept is gone, for good, and what is kept stays the same a second time."""

from collections.abc import Callable
from typing import Any

import pytest

from sentinel.intake import Intake, IntakeSettings, canonical
from sentinel.intake.error_class import ERROR_CLASSES, class_of, classes_of
from sentinel.intake.pseudonym import CACHE_MAX, Pseudonyms
from sentinel.model.event import Event

Make = Callable[..., bytes]
T0 = 1_740_992_400_000_000_000
CANARY = "canary-7f3a@example.com"


def event_of(intake: Intake, body: bytes) -> Event:
    batch, rejections, _ = intake.take(body, offset=0, received_at=T0)
    assert rejections == []
    return batch.events[0]


CANARIES: list[dict[str, Any]] = [
    {"prompt": {"text": CANARY, "tokens": 1}},
    {"response": {"text": f"write to {CANARY}"}},
    {"prompt_text": CANARY, "response_text": CANARY, "prompt": None, "response": None},
    {"user_id": CANARY},
    {"session_id": CANARY},
    {"metadata": {"user_id": CANARY, "session_id": CANARY}},
    {"user_id": "someone", "metadata": {"user_id": CANARY}},
    {"errors": [f"no such user {CANARY}"]},
    {"metadata": {"password": CANARY}},
    {"metadata": {"DB_Password_2": CANARY}},
    {"metadata": {"note": f"api_key={CANARY}"}},
    {"metadata": {"note": f'{{"Api-Key" : "{CANARY} and more {CANARY}"}}'}},
    {"metadata": {f"secret={CANARY}": 1}},
    {"unknown_field": CANARY},
]


@pytest.mark.parametrize("change", CANARIES)
def test_a_canary_is_nowhere_in_what_is_kept(
    intake: Intake, make: Make, change: dict[str, Any]
) -> None:
    batch, rejections, _ = intake.take(make(**change), offset=0, received_at=T0)
    assert len(batch) == 1
    assert b"canary" not in canonical(batch.events)
    assert "canary" not in repr((batch, rejections))


@pytest.mark.parametrize("change", CANARIES)
@pytest.mark.parametrize(
    "spoil", [{"latency_ms": CANARY}, {"model": CANARY + "\n"}, {"timestamp": CANARY}]
)
def test_a_canary_is_nowhere_in_a_rejection(
    intake: Intake, make: Make, change: dict[str, Any], spoil: dict[str, Any]
) -> None:
    whole = make(**change | spoil)
    bodies = (whole, b"[" + whole + b"]", whole[:-1], whole.replace(b"canary", b"canary\xff"))
    for body in bodies:
        batch, rejections, _ = intake.take(body, offset=0, received_at=T0)
        assert len(batch) == 0
        assert rejections
        assert "canary" not in repr(rejections)


def intake_with(**changes: Any) -> Intake:
    return Intake(IntakeSettings(**changes), key=b"k" * 32, log_id="replay")


def test_without_content_only_the_length_of_a_text_is_kept(make: Make) -> None:
    event = event_of(
        intake_with(content="none"),
        make(prompt={"text": "h\u00e9\U0001f600"}, response={"text": ""}),
    )
    assert event.prompt is not None
    assert event.response is not None
    assert (event.prompt.text, event.prompt.length) == (None, 3)
    assert (event.response.text, event.response.length) == (None, 0)


def test_a_length_that_comes_with_a_text_or_without_is_kept(intake: Intake, make: Make) -> None:
    event = event_of(intake, make(prompt={"length": 9}, response={"text": "abc", "length": 9}))
    assert event.prompt is not None
    assert event.response is not None
    assert (event.prompt.length, event.response.length) == (9, 9)


def test_ids_come_out_of_the_metadata_and_become_pseudonyms(intake: Intake, make: Make) -> None:
    event = event_of(
        intake, make(metadata={"user_id": "u1", "session_id": 5, "environment": "p", "a": 1})
    )
    assert str(event.user_id).startswith("u-")
    assert str(event.session_id).startswith("s-")
    assert (event.environment, event.metadata) == ("p", {"a": 1})
    assert event.user_id == event_of(intake, make(user_id="u1")).user_id
    assert event.session_id == event_of(intake, make(session_id="5")).session_id


def test_empty_ids_and_empty_metadata_are_absent(intake: Intake, make: Make) -> None:
    event = event_of(intake, make(user_id="", metadata={"session_id": None}, errors=[]))
    assert (event.user_id, event.session_id, event.metadata, event.errors) == (None,) * 4


@pytest.mark.parametrize("value", [True, 1.5, [1]])
def test_an_id_that_is_neither_text_nor_number_is_refused(
    intake: Intake, make: Make, value: Any
) -> None:
    _, rejections, _ = intake.take(make(metadata={"user_id": value}), offset=0, received_at=T0)
    assert [r.code for r in rejections] == ["wrong_type"]


def test_a_pseudonym_is_recognised_with_its_key_only() -> None:
    ours, theirs = (Pseudonyms(key * 32, prefix="u") for key in (b"a", b"b"))
    one = ours.of("somebody")
    assert len(one) == 26
    assert ours.of(one) == one
    assert Pseudonyms(b"a" * 32, prefix="u").of(one) == one
    assert theirs.of(one) != one
    assert Pseudonyms(b"a" * 32, prefix="s").of(one.replace("u-", "s-")) != one.replace("u-", "s-")


def test_what_only_looks_like_a_pseudonym_is_an_id_like_any_other() -> None:
    names = Pseudonyms(b"a" * 32, prefix="u")
    one = names.of("somebody")
    forged = [one.upper(), one[:-1] + ("0" if one[-1] != "0" else "1"), "u-" + "0" * 24, one + " "]
    forged += [one[:2] + " " + one[3:], "u-" + "\u0660" * 24, "u-"]
    for text in forged:
        assert names.of(text) != text


def test_the_table_of_pseudonyms_is_bounded_and_changes_nothing() -> None:
    names = Pseudonyms(b"a" * 32, prefix="u")
    first = names.of("0")
    for number in range(CACHE_MAX + 10):
        names.of(str(number))
    assert len(names.known) <= CACHE_MAX
    assert names.of("0") == first
    assert names.of(0) == first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Error code: 429 - Rate limit reached for gpt-4 in organization org-x", "rate_limited"),
        ("You exceeded your current quota (insufficient_quota)", "rate_limited"),
        ("ThrottlingException: Too many requests", "rate_limited"),
        ("RESOURCE_EXHAUSTED", "rate_limited"),
        ("Request timed out.", "timeout"),
        ("504 Gateway Time-out", "timeout"),
        ("httpx.ReadTimeout", "timeout"),
        ("DEADLINE_EXCEEDED", "timeout"),
        ("HTTP 408", "timeout"),
        ("500 Internal Server Error", "server_error"),
        ("503 Service Unavailable", "server_error"),
        ("overloaded_error: Overloaded (529)", "server_error"),
        ("upstream_error", "server_error"),
        ("Connection reset by peer", "server_error"),
        ("filtered due to Azure OpenAI's content management policy", "content_filter"),
        ("finish_reason: SAFETY", "content_filter"),
        ("This model's maximum context length is 8192 tokens", "context_length"),
        ("prompt is too long: 250000 tokens > 200000 maximum", "context_length"),
        ("context_length_exceeded", "context_length"),
        ("Incorrect API key provided: sk-***", "auth"),
        ("401 Unauthorized", "auth"),
        ("PERMISSION_DENIED", "auth"),
        ("client disconnected (499)", "canceled"),
        ("asyncio.CancelledError", "canceled"),
        ("something odd happened", "other"),
        ("", "other"),
        ("model 4290 not found", "other"),
    ],
)  # fmt: skip
def test_wordings_of_providers_map_to_classes(text: str, expected: str) -> None:
    assert class_of(text) == expected


def test_a_class_maps_to_itself() -> None:
    assert classes_of(list(ERROR_CLASSES)) == list(ERROR_CLASSES)


def test_classes_stand_once_in_the_order_of_their_errors(intake: Intake, make: Make) -> None:
    event = event_of(intake, make(errors=["HTTP 500", "429", "502", "timeout", "rate limit"]))
    assert event.errors == ["server_error", "rate_limited", "timeout"]
