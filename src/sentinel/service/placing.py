"""Whether what belongs together lies together: services on two partitions, and wrong keys."""

from typing import Final

from sentinel.connections.kafka import Place
from sentinel.model.batch import Key
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

SERVICES_MAX: Final = 100_000
TOLD_MAX: Final = 1_000
"""Services that are named in the log: more say no more."""


class Placing:
    """Sees every batch of this process, on the engine's thread; tells of each service once."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._homes: dict[tuple[str, str], Place] = {}
        self._split: set[tuple[str, str]] = set()
        self._misplaced: set[str] = set()

    def see(self, place: Place, keys: list[Key]) -> None:
        """Take note of the services of a batch."""
        for key in keys:
            name = (key.tenant, key.service)
            home = self._homes.get(name)
            if home is None and len(self._homes) < SERVICES_MAX:
                self._homes[name] = place
            elif home not in (None, place) and name not in self._split:
                self._split.add(name)
                self._vitals.services_split.set(len(self._split))
                if len(self._split) <= TOLD_MAX:
                    log.error(
                        "kafka.service_split",
                        service=key.service,
                        partitions=f"{home} and {place}",
                        means="each part is judged by itself: is the service the key of all its "
                        "messages, and the number of partitions what it was?",
                    )

    def is_split(self, key: Key) -> bool:
        """Say whether the calls of a service lie on several partitions."""
        return (key.tenant, key.service) in self._split

    def miss_key(self, service: str, key: bytes | None) -> None:
        """Take note of messages whose key is not their service."""
        self._vitals.kafka_misplaced.inc()
        if service in self._misplaced or len(self._misplaced) >= TOLD_MAX:
            return
        self._misplaced.add(service)
        log.error(
            "kafka.key_is_not_the_service",
            service=service,
            key="absent" if key is None else "another",
            means="its calls may lie on several partitions, and each part is judged by itself",
        )
