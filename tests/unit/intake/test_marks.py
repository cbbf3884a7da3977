"""What a batch says beside its numbers: was the answer cut off, and who called."""

from collections.abc import Callable
from typing import Any

import pytest

from sentinel._core.marks import CUT_OFF, Marker
from sentinel.intake import Intake
from sentinel.model.batch import NOTHING, Batch, concatenated
from sentinel.model.event import Event, Response

Make = Callable[..., bytes]
T0 = 1_740_992_400 * 1_000_000_000


def taken(intake: Intake, body: bytes) -> Batch:
    batch, rejections, _ = intake.take(body, offset=0, received_at=T0)
    assert rejections == []
    return batch


@pytest.mark.parametrize(("reason", "finish"), [
    *((reason, 1) for reason in sorted(CUT_OFF)), ("stop", 0), ("tool_calls", 0), ("Length", 0),
    (None, 2),
])  # fmt: skip
def test_an_answer_is_cut_off_where_its_length_was_the_limit(
    intake: Intake, make: Make, reason: str | None, finish: int
) -> None:
    batch = taken(intake, make(response={"tokens": 5, "finish_reason": reason}))
    assert batch.finish.tolist() == [finish]


def test_without_an_answer_nothing_is_said_of_its_end(intake: Intake, make: Make) -> None:
    assert taken(intake, make(response=None)).finish.tolist() == [2]


def test_the_same_user_is_the_same_number_and_nobody_is_none(intake: Intake, make: Make) -> None:
    first, again, other, nobody = (
        taken(intake, make(**who))
        for who in (
            {"user_id": "ann", "session_id": "ann"},
            {"user_id": "ann", "session_id": None},
            {"user_id": "böb", "session_id": "s"},
            {"metadata": None},
        )
    )
    assert first.user[0] == again.user[0] != 0
    assert other.user[0] not in (0, first.user[0])
    assert (nobody.user[0], nobody.session[0], again.session[0]) == (0, 0, 0)
    assert first.session[0] != 0


def test_a_canonical_event_read_again_says_the_same(intake: Intake, make: Make) -> None:
    batch = taken(intake, make(user_id="ann", session_id="s"))
    marker = Marker(Event, Response)
    finish, user, session = marker.read(batch.events)
    for mine, theirs in ((finish, batch.finish), (user, batch.user), (session, batch.session)):
        assert mine.tolist() == theirs.tolist()


def test_marks_stay_with_their_events_when_batches_become_one(intake: Intake, make: Make) -> None:
    one = taken(intake, make(user_id="ann"))
    two = taken(intake, make(user_id="bob", response={"finish_reason": "length"}))
    joined = concatenated([one, NOTHING, two])
    assert joined.user.tolist() == [*one.user.tolist(), *two.user.tolist()]
    assert joined.finish.tolist() == [*one.finish.tolist(), 1]


def test_only_events_are_read() -> None:
    wrong: list[Any] = [object()]
    with pytest.raises(TypeError, match="Event"):
        Marker(Event, Response).read(wrong)
