"""Settings of telemetry from Kafka, and what they are in the words of its client."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sentinel.settings.fields import Address, Name, SecretFile, SecretWord

Topic = Annotated[str, Meta(min_length=1, max_length=249, pattern="^[a-zA-Z0-9._-]+$")]
Path = Annotated[str, Meta(min_length=1, max_length=4096)]


class Kafka(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telemetry from Kafka topics, judged by as many processes as share the group."""

    brokers: Annotated[
        tuple[Address, ...], Meta(description="host:port of some of the brokers.")
    ] = ()
    topic: Annotated[
        Topic, Meta(description="Telemetry; what is sent by HTTP is written to it, too.")
    ] = "llm.telemetry"
    topics: Annotated[tuple[Topic, ...], Meta(description="Further topics with telemetry.")] = ()
    encoding: Annotated[
        Literal["json", "otlp_traces", "otlp_logs"],
        Meta(
            description="What messages hold whose header content-type does not say; "
            "application/x-protobuf is OTLP."
        ),
    ] = "json"
    group_id: Name = "sentinel-consumer"
    session_timeout_ms: Annotated[
        int, Meta(ge=1000, le=3_600_000, description="Silence after which a member is out.")
    ] = 6000
    enable_auto_commit: Annotated[
        bool, Meta(description="Only false: positions are committed together with state.")
    ] = False
    auto_offset_reset: Annotated[
        Literal["latest", "earliest"],
        Meta(description="Where a partition without saved state starts."),
    ] = "latest"
    max_poll_records: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Messages taken at once, at most.")
    ] = 10_000
    processes: Annotated[
        int,
        Meta(
            ge=1,
            le=256,
            description="Members of the group that `sentinel serve` runs on this machine, "
            "a core each.",
        ),
    ] = 1
    max_waiting_bytes: Annotated[
        int,
        Meta(
            ge=1_048_576,
            le=2**40,
            description="Bytes of messages that wait to be judged, before fetching pauses.",
        ),
    ] = 67_108_864
    security_protocol: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"],
        Meta(description="How the brokers are spoken to."),
    ] = "plaintext"
    ssl_ca_file: Annotated[
        Path | None, Meta(description="Authorities that brokers are held against, PEM.")
    ] = None
    ssl_certificate_file: Annotated[Path | None, Meta(description="Our certificate, PEM.")] = None
    ssl_key_file: Annotated[Path | None, Meta(description="Our private key, PEM.")] = None
    ssl_key_password: SecretWord = None
    ssl_key_password_file: SecretFile = None
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Meta(description="Way to log in.")
    ] = "SCRAM-SHA-512"
    sasl_username: Name | None = None
    sasl_password: SecretWord = None
    sasl_password_file: SecretFile = None

    def all_topics(self) -> tuple[str, ...]:
        """Return every topic once, the one that is written to first."""
        return tuple(dict.fromkeys((self.topic, *self.topics)))

    def client(self) -> dict[str, Any]:
        """Return what every client is told."""
        words: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.brokers),
            "client.id": "llm-sentinel",
            "security.protocol": self.security_protocol,
        }
        if "ssl" in self.security_protocol:
            words |= {
                "ssl.ca.location": self.ssl_ca_file,
                "ssl.certificate.location": self.ssl_certificate_file,
                "ssl.key.location": self.ssl_key_file,
                "ssl.key.password": self.ssl_key_password and self.ssl_key_password.reveal(),
            }
        if "sasl" in self.security_protocol:
            words |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password and self.sasl_password.reveal(),
            }
        return {word: value for word, value in words.items() if value is not None}

    def member(self) -> dict[str, Any]:
        """Return what a member of the group is told besides."""
        return self.client() | {
            "group.id": self.group_id,
            "session.timeout.ms": self.session_timeout_ms,
            # Three chances within the session, as brokers and clients recommend.
            "heartbeat.interval.ms": max(300, self.session_timeout_ms // 3),
            "max.poll.interval.ms": max(300_000, self.session_timeout_ms),
            # What the client fetches ahead, beside what waits with us: of all partitions together.
            "queued.max.messages.kbytes": max(1024, self.max_waiting_bytes // 1024),
        }
