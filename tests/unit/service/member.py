"""A membership in a folder, with brokers, a store and dead letters that do as they are told."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.connections.kafka import Chunk, Place
from sentinel.intake import Intake
from sentinel.service.engine_loop import EngineLoop
from sentinel.service.membership import Around, Membership, name_of
from sentinel.settings import Settings
from sentinel.settings.kafka import Kafka
from sentinel.settings.middle import intake_settings
from sentinel.settings.schema import Ingestion
from sentinel.vitals.inventory import Vitals

PLACE = Place("calls", 1)


class Brokers:
    """What a group asks the brokers."""

    def __init__(self, low: int = 0, high: int = 100, shown: int | None = None) -> None:
        self.low, self.high, self.shown = low, high, shown

    def bounds(self, _: Place) -> tuple[int, int]:
        return self.low, self.high

    def shown_position(self, _: Place) -> int | None:
        return self.shown


class Letters:
    """Dead letters that are always safe."""

    are_many = False

    def __init__(self) -> None:
        self.refused: list[Any] = []

    def write(self, refused: list[Any]) -> None:
        self.refused += refused

    def are_safe(self) -> bool:
        return True


class Store:
    """A store that has everything at once."""

    is_behind = False
    cursor = 1 << 60

    def log(self, _: str) -> Any:
        return self

    def put(self, rows: Any) -> None:
        pass

    def flush(self, _: float = 0) -> bool:
        return True


class Member:
    """A membership in a folder, with an engine that runs."""

    def __init__(self, folder: Path, reset: Any = "latest", counts: int = 4) -> None:
        self.vitals = Vitals()
        self.given_up: list[str] = []
        self.failed: list[BaseException] = []
        self.rejoins = 0
        self.engine = EngineLoop(
            self.vitals,
            failed=self.failed.append,
            given_up=lambda owner, error: self.given_up.append(type(error).__name__),
        )
        settings = Settings(
            ingestion=Ingestion(kafka=Kafka(brokers=("nowhere:1",), auto_offset_reset=reset))
        )
        rules = intake_settings(settings)
        store: Any = Store()
        self.letters = Letters()
        letters: Any = self.letters
        self.checkpoints = FolderCheckpoints(folder)
        self.membership = Membership(
            Around(
                settings=settings,
                cluster_id="cluster",
                counts={"calls": counts},
                checkpoints=self.checkpoints,
                store=store,
                engine=self.engine,
                vitals=self.vitals,
                intake_of=lambda place, log_id: Intake(
                    rules, key=b"k" * 32, log_id=log_id, partition=place.partition
                ),
                letters_of=lambda _: letters,
                publish=lambda _: None,
                committed=lambda: None,
                changed=lambda: None,
                rejoin=self._rejoin,
                crash_point=lambda _: None,
            )
        )
        self.engine.start()

    def _rejoin(self) -> None:
        self.rejoins += 1

    def assigned(self, brokers: Brokers, place: Place = PLACE) -> int:
        group: Any = brokers
        return self.membership.assigned(group, [place])[place]

    def take(
        self, first: int, count: int, key: bytes | None = b"svc", service: str = "svc"
    ) -> None:
        value = b'{"service_name": "%s", "model": "m", "latency_ms": 7}' % service.encode()
        offsets = list(range(first, first + count))
        times = [1_700_000_000_000 + 1000 * at for at in offsets]
        chunk = Chunk(
            PLACE, offsets, times, [key] * count, [value] * count, [None] * count, 100 * count
        )
        self.membership.take([chunk])
        held = self.membership.held.get(PLACE)
        while held is not None and held.owner.judged_to < first + count and not self.failed:
            time.sleep(0.005)

    def losses(self, reason: str) -> float:
        return float(self.vitals.state_losses.labels(reason)._value.get())

    def end(self) -> None:
        self.membership.revoked(list(self.membership.held))
        assert self.engine.stop(5)
        assert not self.failed


def until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stands(folder: Path) -> int:
    seen = FolderCheckpoints(folder).look(name_of(PLACE), series=False)
    assert seen is not None
    return seen.next_offset
