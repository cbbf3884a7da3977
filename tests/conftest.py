"""What every test may ask for; kept where the types are checked: mypy takes one conftest only."""

from servers.fixtures import (
    kafka_broker,
    kafka_brokers,
    redis_cluster,
    redis_pair,
    redis_server,
)

__all__ = ["kafka_broker", "kafka_brokers", "redis_cluster", "redis_pair", "redis_server"]
