"""Settings of parts that do not exist yet: read and checked, and without effect.

A configuration that names them loads, and `Settings.unbuilt` says aloud which of them it names.
When a part is built its Struct moves beside the part.  Addresses have no default: absent is None.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from sentinel.settings.fields import Address, Name, SecretFile, SecretWord

TimeoutSecs = Annotated[int, Meta(ge=1, le=600, description="Seconds to wait for an answer.")]
Attempts = Annotated[int, Meta(ge=0, le=100, description="Tries before it is given up.")]
DelayMs = Annotated[int, Meta(ge=1, le=3_600_000, description="Milliseconds between two tries.")]
Backoff = Annotated[float, Meta(ge=1, le=100, description="Factor from one delay to the next.")]


class InfluxDb(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telemetry and anomalies out to InfluxDB."""

    url: Address | None = None
    org: Name | None = None
    token: SecretWord = None
    token_file: SecretFile = None
    telemetry_bucket: Name = "telemetry"
    anomaly_bucket: Name = "anomalies"
    batch_size: Annotated[int, Meta(ge=1, le=100_000, description="Points in one write.")] = 100
    timeout_secs: TimeoutSecs = 10


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often and how soon a failed delivery is tried again."""

    max_attempts: Attempts = 3
    initial_delay_ms: DelayMs = 1000
    backoff_multiplier: Backoff = 2.0
    max_delay_ms: DelayMs = 30_000


class RabbitMq(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alerts to a RabbitMQ exchange."""

    url: Address | None = None
    username: Name | None = None
    password: SecretWord = None
    password_file: SecretFile = None
    exchange: Name = "sentinel.alerts"
    exchange_type: Literal["topic", "direct", "fanout", "headers"] = "topic"
    routing_key_prefix: Annotated[str, Meta(max_length=200)] = "alert"
    persistent: Annotated[bool, Meta(description="Messages outlive a restart of RabbitMQ.")] = True
    timeout_secs: TimeoutSecs = 10
    retry_config: Retry = field(default_factory=Retry)


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alerts to an HTTP address."""

    enabled: bool = True
    url: Address | None = None
    method: Literal["POST", "PUT"] = "POST"
    secret: SecretWord = None
    secret_file: SecretFile = None
    timeout_secs: TimeoutSecs = 10
    max_retries: Attempts = 3
    retry_delay_ms: DelayMs = 1000
    backoff_multiplier: Backoff = 2.0
