"""What the owners of other partitions have kept, for whoever is asked about them."""

import threading
import time
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from sentinel.checkpoints.contract import Checkpoints
from sentinel.connections.kafka import Place
from sentinel.engine import Partition, Rules
from sentinel.errors import StateError
from sentinel.model.baseline import BaselineSummary
from sentinel.model.incident import Incident
from sentinel.model.instant import instant
from sentinel.service.membership import name_of
from sentinel.service.snapshot import Shared
from sentinel.vitals.logs import log

FRESH_SECONDS: Final = 10.0
"""For how long a look is good: reading a hundred thousand series takes a second."""


class View(Struct, frozen=True):
    """One partition as its owner left it with the last snapshot."""

    baselines: list[BaselineSummary]
    incidents: list[Incident]
    """Those that were open."""


_NOTHING: Final = View([], [])


class Elsewhere:
    """Looks at the states of others; safe from any thread."""

    def __init__(self, checkpoints: Checkpoints, cluster_id: str, rules: Rules) -> None:
        self._checkpoints, self._cluster_id, self._rules = checkpoints, cluster_id, rules
        self._lock = threading.Lock()
        self._seen: dict[Place, tuple[float, View]] = {}

    def views(self, places: list[Place]) -> list[View]:
        """Return what was kept of each partition; nothing of one that nobody has owned."""
        with self._lock:
            now = time.monotonic()
            for place in places:
                at, _ = self._seen.get(place, (-FRESH_SECONDS, _NOTHING))
                if now - at >= FRESH_SECONDS:
                    self._seen[place] = (now, self._look(place))
            return [self._seen[place][1] for place in places]

    def _look(self, place: Place) -> View:
        partition = Partition(self._rules, f"{self._cluster_id}/{place.topic}", place.partition)
        try:
            seen = self._checkpoints.look(name_of(place))
            if seen is None or seen.shared is None:
                return _NOTHING
            shared = msgspec.msgpack.decode(seen.shared, type=Shared)
            partition.restore(shared.partition, [one.record for one in seen.series])
        except (StateError, msgspec.MsgspecError) as error:
            log.warning("partition.not_seen", partition=str(place), error=str(error))
            return _NOTHING
        as_of: datetime = instant(partition.clock)
        return View(
            [msgspec.structs.replace(one, as_of=as_of) for one in partition.baselines()],
            partition.open_incidents(),
        )
