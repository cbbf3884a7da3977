"""Fixtures: servers that many tests share, each started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from servers.kafka import Kafka, kafka
from servers.redis import RedisCluster, RedisPair, RedisServer
from servers.redis import redis_cluster as running_cluster
from servers.redis import redis_pair as running_pair
from servers.redis import redis_server as running_server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return a Redis that nobody kills; what a test leaves there, the next one finds."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Return a cluster of three that nobody kills."""
    with running_cluster(tmp_path_factory.mktemp("redis-cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisPair]:
    """Return a primary and a replica under Sentinel, for one test."""
    with running_pair(tmp_path_factory.mktemp("redis-pair")) as pair:
        yield pair


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Return one broker that nobody kills."""
    with kafka(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture
def kafka_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Return three brokers, for one test."""
    with kafka(tmp_path_factory.mktemp("kafka-3"), brokers=3) as cluster:
        yield cluster
