"""What workers on Kafka and those who judge them agree on."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from sentinel.checkpoints.contract import Checkpoints
from sentinel.checkpoints.folder import FolderCheckpoints
from sentinel.checkpoints.redis import CRASH_POINTS as REDIS_POINTS
from sentinel.checkpoints.sqlite import CRASH_POINTS as DISK_POINTS
from sentinel.service.dead_letters import CRASH_POINTS as LETTER_POINTS
from sentinel.service.grouping import CRASH_POINTS as GROUPING_POINTS
from sentinel.service.owner import CRASH_POINTS as OWNER_POINTS
from sentinel.service.relay import CRASH_POINTS as RELAY_POINTS
from sentinel.service.state_place import partitions_place
from sentinel.service.topic_log import CRASH_POINTS as LOG_POINTS
from sentinel.settings import Settings
from sentinel.settings.kafka import Kafka
from sentinel.settings.schema import (
    Api,
    Baseline,
    Detection,
    Ingestion,
    Otlp,
    Privacy,
    Storage,
)
from sentinel.settings.secret import Secret
from sentinel.settings.shared import Checkpoint as CheckpointSettings
from sentinel.settings.shared import Redis
from sentinel.sources.kafka import CRASH_POINTS as SOURCE_POINTS

TOPIC: Final = "calls"
REPLY_LOST: Final = "reply_lost"
"""No kill: a commit comes through, and its answer does not."""
_AROUND: Final = (
    *SOURCE_POINTS,
    *OWNER_POINTS,
    *LETTER_POINTS,
    *GROUPING_POINTS,
    *RELAY_POINTS,
    *LOG_POINTS,
    "store",
)


def points_with(of_state: tuple[str, ...]) -> tuple[str, ...]:
    """Return all points at which a worker can die, by those of the place of its state."""
    return *_AROUND, *(p for p in of_state if p != "attempt" and p not in _AROUND)


POINTS: Final = points_with(DISK_POINTS)
POINTS_IN_REDIS: Final = points_with(REDIS_POINTS)


class Plan(Struct, frozen=True, kw_only=True):
    """How one worker is to run and to end."""

    folder: str
    """Of all workers: what they share, and a folder of its own for each."""
    name: str
    bootstrap: str
    topics: tuple[str, ...] = (TOPIC,)
    port: int = 0
    """Where it serves HTTP; 0: nowhere, it is fed from within."""
    passings: dict[str, int] = {}
    """The points at which it kills itself, with the passing that does it; the first reached."""
    session_timeout_ms: int = 2000
    seed: int = 0
    """Of the events that it takes in as if by HTTP; 0: none."""
    max_poll_records: int = 500
    redis: str = ""
    """Where the state lies; in the folder that is shared where it is empty."""

    def checkpoints(self) -> Checkpoints:
        """Return the place of the state, for those who look."""
        if self.redis:
            return partitions_place(self.settings())
        return FolderCheckpoints(self.shared)

    @property
    def shared(self) -> Path:
        """Where the state of partitions lies."""
        return Path(self.folder) / "state"

    @property
    def hits(self) -> Path:
        """Where workers write the point at which they kill themselves, one line each."""
        return Path(self.folder) / "hits"

    @property
    def order(self) -> Path:
        """Where what was grouped is written down before it is folded away."""
        return Path(self.folder) / "order"

    @property
    def accepted(self) -> Path:
        """Where the ids of events stand that were answered for."""
        return Path(self.folder) / "accepted"

    def settings(self) -> Settings:
        """Return the configuration of a worker; all judge alike."""
        topic, *topics = self.topics
        return Settings(
            data_dir=str(Path(self.folder) / self.name),
            api=Api(bind_addr=f"127.0.0.1:{self.port}"),
            ingestion=Ingestion(
                otlp=Otlp(enabled=False),
                kafka=Kafka(
                    brokers=tuple(self.bootstrap.split(",")),
                    topic=topic,
                    topics=tuple(topics),
                    group_id="chaos",
                    session_timeout_ms=self.session_timeout_ms,
                    auto_offset_reset="earliest",
                    max_poll_records=self.max_poll_records,
                ),
            ),
            checkpoint=CheckpointSettings(type="redis" if self.redis else "disk"),
            storage=Storage(redis=Redis(url=self.redis) if self.redis else None),
            detection=Detection(baseline=Baseline(update_interval_secs=1)),
            privacy=Privacy(key=Secret("one key for all workers of a cluster")),
        )
