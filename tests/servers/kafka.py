"""Private Kafka brokers in KRaft mode: the first one is the controller too."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from servers.process import Server, free_ports, require, require_command

JARS: Final = Path(__file__).parents[2] / ".servers" / "kafka"
"""Where install.sh puts them."""
READY_SECONDS = 90.0
"""Three brokers on two busy cores took 19 s."""
_CLUSTER_ID = "c2VudGluZWwtdGVzdHMtMQ"
"""Any 16 bytes in base64."""

_LOGGING = """\
status=WARN
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server
logger.server.level=INFO
"""

_ONE: Final = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.num.partitions": "6",
    # A test that kills a consumer does not want to wait for long.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "3000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
}


class KafkaBroker(Server):
    """One broker; its topics survive its end."""

    def __init__(self, folder: Path, number: int, port: int, lines: Mapping[str, str]) -> None:
        self.number, self.port = number, port
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log4j2.properties").write_text(_LOGGING)
        (folder / "server.properties").write_text(
            "".join(f"{key}={value}\n" for key, value in lines.items())
        )
        self._java = [
            require_command("java"),
            "-Xms128m",
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Djava.net.preferIPv4Stack=true",
            "-Djava.awt.headless=true",
            "-Dlog4j2.configurationFile=log4j2.properties",
            "-cp",
            f"{JARS}/*",
        ]
        self._starts = 0
        super().__init__(
            [*self._java, "kafka.Kafka", "server.properties"],
            folder,
            is_ready=lambda: self.log().count("Kafka Server started") >= self._starts,
            seconds=READY_SECONDS,
        )

    def launch(self) -> None:
        self._starts += 1
        if self._starts == 1:
            tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID]
            command = [*self._java, *tool, "-c", "server.properties"]
            done = Server(command, self.folder, is_ready=lambda: True)
            done.launch()
            assert done.wait(60) == 0, done.log()
        super().launch()


class Kafka:
    """Some brokers as one cluster."""

    def __init__(self, folder: Path, brokers: int = 1, **lines: str) -> None:
        require(any(JARS.glob("kafka_*.jar")), "Kafka")
        controller, *ports = free_ports(brokers + 1)
        copies = min(3, brokers)
        shared = {
            **_ONE,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "default.replication.factor": str(copies),
            "min.insync.replicas": str(max(1, copies - 1)),
            "offsets.topic.replication.factor": str(copies),
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(max(1, copies - 1)),
            **{key.replace("_", "."): value for key, value in lines.items()},
        }
        self.brokers = []
        for number, port in enumerate(ports, 1):
            own = f"PLAINTEXT://127.0.0.1:{port}"
            first = number == 1
            place = folder / f"broker-{number}"
            listeners = f"{own},CONTROLLER://127.0.0.1:{controller}" if first else own
            one = {
                "process.roles": "broker,controller" if first else "broker",
                "node.id": str(number),
                "listeners": listeners,
                "advertised.listeners": own,
                "log.dirs": str(place.absolute() / "data"),
            }
            self.brokers.append(KafkaBroker(place, number, port, shared | one))

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)

    def start(self) -> None:
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_ready()

    def kill(self) -> None:
        for broker in reversed(self.brokers):
            broker.kill()


@contextmanager
def kafka(folder: Path, brokers: int = 1, **lines: str) -> Iterator[Kafka]:
    """Run brokers; they are gone afterwards."""
    cluster = Kafka(folder, brokers, **lines)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
