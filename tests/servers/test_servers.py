"""The servers that other tests lean on come up, and come back after they were killed."""

from pathlib import Path

import pytest

from servers.kafka import Kafka
from servers.process import listens
from servers.redis import RedisCluster, RedisPair, ask, redis_server


def test_a_redis_that_was_killed_comes_back_at_its_port(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        server.ask("SET", "k", "kept")
        server.kill()
        assert not listens(server.port)
        server.start()
        assert server.ask("GET", "k") == "kept"


def test_sentinel_names_the_replica_after_the_primary_has_died(redis_pair: RedisPair) -> None:
    before = redis_pair.primary
    before.ask("SET", "k", "kept")
    assert before.ask("WAIT", 1, 5000) == "1"
    before.kill()
    after = redis_pair.wait_for_other(before)
    assert after.ask("GET", "k") == "kept"


def test_a_cluster_has_every_slot_at_one_of_its_nodes(redis_cluster: RedisCluster) -> None:
    ports = {node.port for node in redis_cluster.nodes}
    said = ask(min(ports), "CLUSTER", "SLOTS").split("\n")
    assert ports == {int(word) for word in said if word.isdigit() and int(word) in ports}


def test_a_broker_of_kafka_that_was_killed_comes_back(kafka_brokers: Kafka) -> None:
    last = kafka_brokers.brokers[-1]
    last.kill()
    assert not listens(last.port)
    last.start()
    assert all(listens(broker.port) for broker in kafka_brokers.brokers)


def test_a_server_that_is_not_there_is_a_failure_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from servers.process import REQUIRE, require_command

    monkeypatch.delenv(REQUIRE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-server is not there"):
        require_command("no-such-server")
    monkeypatch.setenv(REQUIRE, "1")
    with pytest.raises(pytest.fail.Exception, match=REQUIRE):
        require_command("no-such-server")
