"""Single events, taken together: what comes while others are on their way to disk is one body.

Most of what a body of one event costs is paid once a body and once a record.  Of 64 senders each
event took 293 us of a core when it was decoded, logged and judged alone, and takes 118 together
with others.  Who is alone waits for nobody.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import msgspec

from sentinel.errors import SentinelError
from sentinel.model.batch import Rejection

GATHERED_BYTES: Final = 64 * 1024
"""Go at once, whatever else is under way: more would hold up the event loop."""
SINGLE_BYTES: Final = GATHERED_BYTES // 4

Kept = tuple[list[Rejection], "asyncio.Future[int] | None"]
Keep = Callable[[bytes, int], Kept]
"""Takes lines and when the first of them was received: one input each.  Returns what it refuses,
and what waits for the rest to be durable; None: there is no rest."""


def is_single(body: bytes) -> bool:
    r"""Say whether a body is one small object on one line: it can be nothing but one input.

    >>> is_single(b'{"a":1}'), is_single(b'{"a":1}\n{"a":2}'), is_single(b'[{"a":1}]')
    (True, False, False)
    """
    return len(body) <= SINGLE_BYTES and body[:1] == b"{" and b"\n" not in body


_Answer = asyncio.Future[list[Rejection]]


class _Single(NamedTuple):
    body: bytes
    answer: _Answer


class Gathering:
    """Collects single events on the event loop's thread, while a group of them is under way."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Single] = []
        self._nbytes = 0
        self._since = 0
        self._under_way = 0

    def put(self, body: bytes, received_at: int) -> _Answer:
        """Take a single event; the answer is why it was refused, or empty once it is durable.

        Those that are taken together were received when the first of them was.
        """
        if not self._waiting:
            self._since = received_at
            if not self._under_way:
                self._loop.call_soon(self._go)
        answer: _Answer = self._loop.create_future()
        self._waiting.append(_Single(body, answer))
        self._nbytes += len(body)
        if self._nbytes >= GATHERED_BYTES:
            self._go()
        return answer

    def _go(self) -> None:
        group, self._waiting, self._nbytes = self._waiting, [], 0
        if group:
            self._take(group, self._since)

    def _take(self, group: list[_Single], since: int) -> None:
        try:
            rejections, durable = self._keep(b"\n".join([one.body for one in group]), since)
        except Exception as error:
            if isinstance(error, SentinelError) or len(group) == 1:
                _settle([one.answer for one in group], error)
            else:
                # A fault of ours that one of them meets is not the others'.
                for one in group:
                    self._take([one], since)
            return
        answers = [one.answer for one in group]
        for rejection in sorted(rejections, key=lambda one: -one.position):
            refusal = [msgspec.structs.replace(rejection, position=0)]
            _settle([answers.pop(rejection.position)], refusal)
        if durable is not None:
            self._under_way += 1
            durable.add_done_callback(partial(self._done, answers))

    def _done(self, answers: list[_Answer], durable: "asyncio.Future[int]") -> None:
        self._under_way -= 1
        # First, so that the disk is busy again while the answers go out.
        self._go()
        _settle(answers, durable.exception() or [])


def _settle(answers: list[_Answer], outcome: list[Rejection] | BaseException) -> None:
    for answer in answers:
        if answer.done():
            continue
        if isinstance(outcome, BaseException):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
