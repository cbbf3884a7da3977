"""What the settings of Kafka are in the words of its client."""

from pathlib import Path

from sentinel.settings import load
from sentinel.settings.kafka import Kafka
from sentinel.settings.secret import Secret

SECURE = """
ingestion:
  kafka:
    brokers: ["a:9092", "b:9092"]
    topic: calls
    topics: [more, calls]
    security_protocol: sasl_ssl
    ssl_ca_file: /etc/ca.pem
    sasl_username: sentinel
"""


def test_a_plain_client_is_told_nothing_of_passwords_and_certificates() -> None:
    plain = Kafka(brokers=("a:1", "b:2"), sasl_password=Secret("word"), ssl_ca_file="/ca.pem")
    assert plain.client() == {
        "bootstrap.servers": "a:1,b:2",
        "client.id": "llm-sentinel",
        "security.protocol": "plaintext",
    }


def test_tls_and_sasl_reach_the_client_and_the_password_comes_from_the_environment(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sentinel.yaml"
    path.write_text(SECURE)
    kafka = load(path, {"KAFKA_SASL_PASSWORD": "hunter2"}).ingestion.kafka
    assert kafka is not None
    assert kafka.all_topics() == ("calls", "more")
    words = kafka.client()
    assert words["security.protocol"] == "sasl_ssl"
    assert words["ssl.ca.location"] == "/etc/ca.pem"
    assert (words["sasl.mechanism"], words["sasl.username"]) == ("SCRAM-SHA-512", "sentinel")
    assert words["sasl.password"] == "hunter2"
    assert "hunter2" not in repr(kafka)


def test_a_member_has_three_heartbeats_in_a_session() -> None:
    words = Kafka(brokers=("a:1",), session_timeout_ms=6000).member()
    assert words["heartbeat.interval.ms"] == 2000
    assert words["group.id"] == "sentinel-consumer"
    assert words["max.poll.interval.ms"] >= words["session.timeout.ms"]
