"""librdkafka's mock cluster in a process of its own: groups, cooperative rebalances and offsets,
without a broker.  About 5 MB are kept of each partition."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from servers.process import Server

PROGRAM = Path(__file__).with_name("mock_kafka_program.py")


class MockKafka(Server):
    """A cluster that forgets everything at its end."""

    def __init__(
        self,
        folder: Path,
        topics: Mapping[str, int],
        *,
        brokers: int = 1,
    ) -> None:
        self._answer = folder / "bootstrap"
        command = [sys.executable, str(PROGRAM), str(self._answer), str(brokers)]
        super().__init__([*command, json.dumps(dict(topics))], folder, is_ready=self._answer.exists)

    @property
    def bootstrap(self) -> str:
        return self._answer.read_text()


@contextmanager
def mock_kafka(folder: Path, topics: Mapping[str, int], *, brokers: int = 1) -> Iterator[MockKafka]:
    """Run a mock cluster with topics and so many partitions of each."""
    cluster = MockKafka(folder, topics, brokers=brokers)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
