"""A member of the group that kills itself at a named crash point.

Argument: a `Plan` as JSON.
"""

import asyncio
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.kafka_plan import REPLY_LOST, Plan
from chaos.kafka_traffic import body_of, is_quiet
from sentinel.checkpoints.contract import Checkpoints
from sentinel.checkpoints.rows import OutboxRow
from sentinel.checkpoints.sqlite import Checkpoint
from sentinel.errors import SentinelError, StateError
from sentinel.service import cluster, grouping
from sentinel.service.cluster import ClusterService
from sentinel.service.grouping import ORDER, GroupingStage
from sentinel.vitals.logs import configure


def killer(plan: Plan) -> Callable[[str], None]:
    """Return a crash point that ends the process as planned."""
    left = dict(plan.passings)
    lock = threading.Lock()

    def crash_point(name: str) -> None:
        if name not in left:
            return
        with lock:
            left[name] -= 1
            if left[name] == 0:
                write_line(plan.hits, f"{plan.name} {name}")
                os.kill(os.getpid(), signal.SIGKILL)

    return crash_point


def write_line(path: Path, line: str) -> None:
    """Append a line at once and whole."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)


class Kept(GroupingStage):
    """A stage that writes down what it is about to fold away."""

    plan: Plan

    def _fold(self) -> None:
        for row in self.checkpoint.outbox(ORDER, 1 << 30):
            write_line(self.plan.order, row.body.decode())
        super()._fold()


class Worker(ClusterService):
    """A member whose state lies where the others find it."""

    plan: Plan

    def _place_for_state(self) -> Checkpoints:
        return self.plan.checkpoints()


def lose_replies(plan: Plan) -> None:
    """Let one commit come through and fail all the same."""
    commit = Checkpoint.commit
    left = plan.passings[REPLY_LOST]

    def unanswered(
        self: Checkpoint, base: int, next_offset: int, outbox: Sequence[OutboxRow] = ()
    ) -> None:
        nonlocal left
        commit(self, base, next_offset, outbox)
        left -= 1
        if left == 0:
            write_line(plan.hits, f"{plan.name} {REPLY_LOST}")
            raise StateError("the answer was lost")

    setattr(Checkpoint, "commit", unanswered)  # noqa: B010


async def feed(service: ClusterService, plan: Plan) -> None:
    """Take events in as the door does, and write down which were answered for."""
    random_ = random.Random(plan.seed)
    while True:
        await asyncio.sleep(random_.uniform(0.05, 0.3))
        if is_quiet():
            continue
        body, ids = body_of(random_)
        with suppress(SentinelError):
            await service.ingest.take(body, None)
            for one in ids:
                write_line(plan.accepted, one)


async def live(plan: Plan) -> int:
    """Run without a door, until a signal."""
    service = Worker(plan.settings(), crash_point=killer(plan))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    service.open()
    tasks = [asyncio.create_task(service.run_tasks())]
    if plan.seed:
        tasks.append(asyncio.create_task(feed(service, plan)))
    ends: list[Any] = [asyncio.create_task(e.wait()) for e in (stopping, service.failure)]
    await asyncio.wait([*ends, *tasks], return_when=asyncio.FIRST_COMPLETED)
    service.drain()
    failed = service.failure.is_set()
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(service.close)
    return 1 if failed else 0


def main(plan: Plan) -> int:
    configure("info", as_json=True)
    Worker.plan = Kept.plan = plan
    setattr(cluster, "GroupingStage", Kept)  # noqa: B010
    setattr(grouping, "FOLD_SECONDS", 1.0)  # noqa: B010
    if REPLY_LOST in plan.passings:
        lose_replies(plan)
    if plan.port:
        from sentinel.service import serve  # it takes a second, and who has no door needs none

        setattr(serve, "ClusterService", Worker)  # noqa: B010
        return serve.run(plan.settings(), crash_point=killer(plan))
    return asyncio.run(live(plan))


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Plan)))
