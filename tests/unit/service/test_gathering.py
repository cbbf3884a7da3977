"""Single events that are taken together: each is answered as if it had come alone."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.errors import JournalFull, OverQuota
from sentinel.intake import Intake
from sentinel.intake.settings import IntakeSettings
from sentinel.service.gathering import GATHERED_BYTES, SINGLE_BYTES, is_single
from sentinel.service.ingest import Ingest, Receipt, Token
from sentinel.service.quotas import Quotas
from sentinel.settings.keys import Quota
from sentinel.vitals.inventory import Vitals


class SlowLog:
    """Keeps what is appended until it is told that it is durable."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.tokens: list[Token] = []
        self.refuses: Exception | None = None

    def append(
        self, kind: int, payload: bytes, *, received_at: int, tenant: str, token: Token
    ) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.payloads.append(payload)
        self.tokens.append(token)

    def settle(self, error: Exception | None = None) -> None:
        tokens, self.tokens = self.tokens, []
        for token in tokens:
            assert token.future is not None
            if error is None:
                token.future.set_result(0)
            else:
                token.future.set_exception(error)


class Bench:
    """An ingest over a slow log."""

    def __init__(self, quota: Quota | None = None, **rules: Any) -> None:
        self.intake = Intake(IntakeSettings(**rules), key=b"k" * 32, log_id="log")
        self.log, self.vitals = SlowLog(), Vitals()
        self.ingest = Ingest(
            self.intake,
            self.log,
            self.vitals,
            body_bytes_max=1 << 20,
            overload=lambda: "",
            quotas=Quotas(quota, {}),
        )

    async def together(self, bodies: Sequence[bytes]) -> list[Receipt | BaseException]:
        """Send bodies at once."""
        return await self.answers([self.ingest.take(body, None) for body in bodies])

    async def alone(self, bodies: Sequence[bytes]) -> list[Receipt | BaseException]:
        """Send bodies one by one, by the way of those that are encoded."""
        found = []
        for body in bodies:
            found += await self.answers([self.ingest.take(body, "identity")])
        return found

    async def answers(self, asked: Sequence[Awaitable[Receipt]]) -> list[Receipt | BaseException]:
        answers = asyncio.gather(*asked, return_exceptions=True)
        async with asyncio.timeout(20):
            while not answers.done():
                await asyncio.sleep(0)
                self.log.settle()
        return answers.result()

    def counted(self) -> list[str]:
        lines = self.vitals.exposition().decode().splitlines()
        return sorted(line for line in lines if line[0] != "#" and "_created" not in line)


def event(number: int = 0, **more: Any) -> bytes:
    fields = {
        "event_id": f"00000000-0000-4000-8000-{number:012x}",
        "service_name": "svc",
        "timestamp": "2026-01-01T00:00:00Z",
        "model": "m",
        "latency_ms": 12.5,
    }
    return json.dumps(fields | more).encode()


BODIES = [
    event(1),
    event(2, prompt={"text": "of ann@example.org", "tokens": 5}),
    event(3, model="größer", errors=["x"]),
    event(4, latency_ms=-1),
    event(5, latency_ms=10**9),
    event(6, timestamp="2199-01-01T00:00:00Z"),
    event(7, timestamp="yesterday"),
    event(8, service_name=""),
    event(9, metadata={"a": {"b": {"c": {"d": {"e": 1}}}}}),
    event(10, prompt={"text": "x" * 700}),
    event(11) + b" \t",
    event(12) + b"\r",
    event(13) + event(14),
    event(15)[:-1],
    event(16)[:-1] + b',"cost_usd":NaN}',
    event(17).replace(b"svc", b"s\xffvc"),
    event(18).replace(b"svc", b"s\x00vc"),
    event(19) + b"\0",
    event(20, service_name=None),
    b"{",
    b"{}",
    b"{" * 200,
    b'{"service_name":1}',
    b'{"service_name":"a"} // so',
]


@settings(max_examples=60, deadline=None)
@given(
    bodies=st.lists(
        st.sampled_from(BODIES) | st.binary(max_size=40).map(lambda rest: b"{" + rest), max_size=12
    ),
    on_limit=st.sampled_from(["flag", "refuse"]),
)
def test_every_answer_and_count_is_that_of_a_body_that_comes_alone(
    bodies: list[bytes], on_limit: str
) -> None:
    async def both() -> tuple[Bench, Bench]:
        rules: dict[str, Any] = {"max_event_bytes": 600, "max_depth": 5, "on_limit": on_limit}
        gathered, single = Bench(**rules), Bench(**rules)
        assert await gathered.together(bodies) == await single.alone(bodies)
        return gathered, single

    gathered, single = asyncio.run(both())
    assert gathered.counted() == single.counted()
    lines = b"".join(gathered.log.payloads)
    assert lines.count(b"\n") == b"".join(single.log.payloads).count(b"\n")
    if all(is_single(body) for body in bodies):
        assert len(gathered.log.payloads) <= 1


def test_what_comes_while_others_are_on_their_way_to_disk_waits_for_them_and_is_one_record() -> (
    None
):
    async def scene(bench: Bench) -> None:
        first = asyncio.ensure_future(bench.ingest.take(event(0), None))
        await turns()
        assert len(bench.log.payloads) == 1
        rest = [asyncio.ensure_future(bench.ingest.take(event(n), None)) for n in range(1, 5)]
        await turns()
        assert len(bench.log.payloads) == 1
        bench.log.settle()
        await turns()
        assert first.done()
        assert not any(task.done() for task in rest)
        assert [payload.count(b"\n") for payload in bench.log.payloads] == [1, 4]
        bench.log.settle()
        await turns()
        assert [task.result().accepted for task in rest] == [1] * 4
        assert await bench.together([event(5)]) == [Receipt(1, [])]

    play(scene)


def test_many_bytes_wait_for_nobody() -> None:
    async def scene(bench: Bench) -> None:
        large = event(1, prompt={"text": "x" * (SINGLE_BYTES - 1000)})
        count = GATHERED_BYTES // len(large) + 1
        tasks = [asyncio.ensure_future(bench.ingest.take(event(0), None))]
        await turns()
        tasks += [asyncio.ensure_future(bench.ingest.take(large, None)) for _ in range(count)]
        await turns()
        assert [payload.count(b"\n") for payload in bench.log.payloads] == [1, count]
        bench.log.settle()
        await asyncio.gather(*tasks)

    play(scene)


def test_who_is_cut_off_while_it_waits_takes_nobody_along() -> None:
    async def scene(bench: Bench) -> None:
        tasks = [asyncio.ensure_future(bench.ingest.take(event(n), None)) for n in range(3)]
        await turns()
        tasks[1].cancel()
        await turns()
        bench.log.settle()
        await turns()
        assert [task.cancelled() for task in tasks] == [False, True, False]
        assert tasks[2].result().accepted == 1

    play(scene)


def test_a_log_that_has_no_room_or_fails_is_told_to_all_and_the_next_are_taken() -> None:
    async def scene(bench: Bench) -> None:
        bench.log.refuses = JournalFull("no room", "make room")
        refused = await bench.together([event(n) for n in range(3)])
        assert [type(answer) for answer in refused] == [JournalFull] * 3
        assert "sentinel_events_received_total 3.0" in bench.counted()
        bench.log.refuses = None
        tasks = [asyncio.ensure_future(bench.ingest.take(event(n), None)) for n in range(3)]
        await turns()
        later = asyncio.ensure_future(bench.ingest.take(event(9), None))
        await turns()
        bench.log.settle(JournalFull("the disk is full", "make room"))
        await turns()
        assert [type(task.exception()) for task in tasks] == [JournalFull] * 3
        bench.log.settle()
        assert (await later).accepted == 1

    play(scene)


def test_a_fault_of_ours_that_one_event_meets_is_not_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(bench: Bench) -> None:
        take = bench.intake.take

        def faulty(body: bytes, **rest: Any) -> Any:
            if b"poison" in body:
                raise KeyError("poison")
            return take(body, **rest)

        monkeypatch.setattr(bench.intake, "take", faulty)
        answers = await bench.together([event(1), event(2, model="poison"), event(3)])
        assert isinstance(answers[1], KeyError)
        assert answers[0] == answers[2] == Receipt(1, [])

    play(scene)


def test_events_that_come_together_are_charged_before_the_next_is_let_in() -> None:
    async def scene(bench: Bench) -> None:
        answers = await bench.together([event(n) for n in range(8)])
        assert [type(answer) for answer in answers] == [Receipt] * 5 + [OverQuota] * 3

    play(scene, quota=Quota(events_per_second=0.001, burst_secs=5000))


async def turns(count: int = 5) -> None:
    """Let everything happen that can happen now."""
    for _ in range(count):
        await asyncio.sleep(0)


def play(scene: Callable[[Bench], Awaitable[None]], quota: Quota | None = None) -> None:
    async def whole() -> None:
        await scene(Bench(quota))

    asyncio.run(whole())
