"""The process of a mock cluster.  Arguments: file for its addresses, brokers, topics as JSON."""

import ctypes
import json
import signal
import sys
from pathlib import Path

import confluent_kafka

PRODUCER = 0


def library() -> ctypes.CDLL:
    """Return the librdkafka that came with confluent_kafka."""
    beside = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    [path] = beside.glob("librdkafka-*.so*")
    found = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(found, name).restype = ctypes.c_void_p
    found.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return found


def main(answer: Path, brokers: int, topics: dict[str, int]) -> None:
    kafka = library()
    error = ctypes.create_string_buffer(512)
    conf = ctypes.c_void_p(kafka.rd_kafka_conf_new())
    client = ctypes.c_void_p(kafka.rd_kafka_new(PRODUCER, conf, error, len(error)))
    assert client.value, error.value.decode()
    cluster = ctypes.c_void_p(kafka.rd_kafka_mock_cluster_new(client, brokers))
    kafka.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    for topic, partitions in topics.items():
        failed = kafka.rd_kafka_mock_topic_create(
            cluster, topic.encode(), ctypes.c_int(partitions), ctypes.c_int(1)
        )
        assert not failed, f"{topic}: {failed}"
    beside = answer.with_suffix(".new")
    beside.write_text(kafka.rd_kafka_mock_cluster_bootstraps(cluster).decode())
    beside.replace(answer)
    signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
