"""The root of the configuration and the sections that take effect.

Every key says its range, its unit and its default here, and nowhere else: validation, messages and
the JSON Schema come from these Structs.
"""

import zoneinfo
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from sentinel.detectors import DETECTORS, Cusum, DetectorName, Incidents, Iqr, Mad, Novelty, ZScore
from sentinel.intake import problem_of
from sentinel.settings import keys, prices
from sentinel.settings.fields import Address, SecretFile, SecretWord
from sentinel.settings.kafka import Kafka
from sentinel.settings.keys import ApiKey, Quota
from sentinel.settings.prices import Prices
from sentinel.settings.problems import show
from sentinel.settings.shared import Cache, Checkpoint, Redis, contradictions_of_redis
from sentinel.settings.unbuilt import (
    InfluxDb,
    RabbitMq,
    TimeoutSecs,
    Webhook,
)


class Parsing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of the text of an event."""

    max_text_length: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Characters kept; redacted first, then cut.")
    ] = 10_000
    enable_sanitization: Annotated[
        bool, Meta(description="Take secrets out of all text: keys, tokens, password=... pairs.")
    ] = True
    sanitize_patterns: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
        Meta(max_length=100, description="Words that name secrets, beside those always known."),
    ] = ("password", "api_key", "secret")


class Validation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of the plausible; a value outside is flagged or refused, see on_limit."""

    min_latency_ms: Annotated[
        float, Meta(ge=0, le=86_400_000, description="Milliseconds; less counts as absent.")
    ] = 0.1
    max_latency_ms: Annotated[float, Meta(gt=0, le=604_800_000, description="Milliseconds.")] = (
        3_600_000.0
    )
    max_tokens: Annotated[
        int, Meta(ge=1, le=2**53, description="Tokens of one call, prompt and answer together.")
    ] = 10_000_000
    max_cost_usd: Annotated[
        float, Meta(gt=0, le=1_000_000_000, description="US dollars for one call.")
    ] = 1000.0
    on_limit: Annotated[
        Literal["flag", "refuse"],
        Meta(description="flag: admit, mark and judge. refuse: reject the event."),
    ] = "flag"
    enable_pii_detection: Annotated[
        bool, Meta(description="Take personal data out of all text: addresses, numbers, accounts.")
    ] = True


class Otlp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The port on which senders of OpenTelemetry look for a receiver by themselves."""

    enabled: Annotated[bool, Meta(description="False: OTLP on the API's port only.")] = True
    bind_addr: Annotated[
        Address, Meta(description="host:port; in use already: a warning, and on without.")
    ] = "127.0.0.1:4318"


class PrivacyPattern(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What else is personal."""

    name: Annotated[
        str,
        Meta(pattern="^[A-Z][A-Z_]{1,15}$", description="Capitals and _; stands in placeholders."),
    ] = "CUSTOM"
    pattern: Annotated[
        str, Meta(max_length=1000, description="Required; in the syntax of RE2.")
    ] = ""


class Privacy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of texts is kept."""

    content: Annotated[
        Literal["full", "redacted", "none"],
        Meta(
            description="Of prompts and answers: all, all but personal data and secrets, nothing; "
            "with none no text of the metadata either."
        ),
    ] = "redacted"
    patterns: Annotated[
        tuple[PrivacyPattern, ...],
        Meta(max_length=100, description="Taken out beside what is known to be personal."),
    ] = ()
    key: Annotated[
        SecretWord,
        Meta(
            description="Makes pseudonyms; the same in all processes of a cluster. "
            "Absent: one is made in data_dir."
        ),
    ] = None
    key_file: SecretFile = None


class Ingestion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where telemetry comes from and what is admitted."""

    kafka: Kafka | None = None
    otlp: Otlp = field(default_factory=Otlp)
    parsing: Parsing = field(default_factory=Parsing)
    validation: Validation = field(default_factory=Validation)
    quota: Annotated[
        Quota | None, Meta(description="Of each key that has none of its own; without keys of all.")
    ] = None


class Baseline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The window of recent samples that a new one is judged against."""

    window_size: Annotated[
        int, Meta(ge=10, le=100_000, description="Samples of one series that are remembered.")
    ] = 1000
    min_samples: Annotated[
        int, Meta(ge=2, le=100_000, description="Samples before detection starts.")
    ] = 10
    update_interval_secs: Annotated[
        int, Meta(ge=1, le=86_400, description="Longest that a change waits to be saved, seconds.")
    ] = 60
    enable_persistence: Annotated[
        bool, Meta(description="Keep baselines across a restart; false starts cold.")
    ] = True
    persistence_path: Annotated[
        Annotated[str, Meta(min_length=1, max_length=4096)] | None,
        Meta(description="Folder for the baselines; absent: under data_dir."),
    ] = None
    max_series: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Series at once; later ones share `__other__`.")
    ] = 100_000


class Detection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is judged, by whom, against what."""

    enabled_detectors: Annotated[
        tuple[DetectorName, ...],
        Meta(
            description="All of these judge every sample; none hides another.",
            extra_json_schema={"uniqueItems": True},
        ),
    ] = DETECTORS
    baseline: Baseline = field(default_factory=Baseline)
    zscore: ZScore = field(default_factory=ZScore)
    iqr: Iqr = field(default_factory=Iqr)
    mad: Mad = field(default_factory=Mad)
    cusum: Cusum = field(default_factory=Cusum)
    incidents: Incidents = field(default_factory=Incidents)
    novelty: Novelty = field(default_factory=Novelty)
    allowed_lateness_secs: Annotated[
        int, Meta(ge=0, le=86_400, description="Seconds a time bucket stays open for late events.")
    ] = 10
    time_zone: Annotated[
        str,
        Meta(min_length=1, max_length=64, description="IANA name; whose days and weeks are meant."),
    ] = "UTC"


class Storage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where results are kept for others to ask."""

    anomalies: Annotated[
        Literal["full", "incidents"],
        Meta(description="Which votes are kept: all, or those during an incident of their series."),
    ] = "full"
    influxdb: InfluxDb | None = None
    cache: Cache | None = None
    redis: Redis | None = None


class Deduplication(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same news is told once."""

    enabled: bool = True
    window_secs: Annotated[
        int, Meta(ge=1, le=604_800, description="Seconds in which an equal alert is held back.")
    ] = 300
    cleanup_interval_secs: Annotated[
        int, Meta(ge=1, le=86_400, description="Seconds between two sweeps of what is remembered.")
    ] = 60
    repeat_interval_secs: Annotated[
        int, Meta(ge=60, le=2_592_000, description="Seconds until an open incident is told again.")
    ] = 14_400


class Alerting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told, and how often."""

    rabbitmq: RabbitMq | None = None
    webhook: Webhook | None = None
    deduplication: Deduplication = field(default_factory=Deduplication)


class JournalRetention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the journal stays on disk, and so can be replayed."""

    retention_hours: Annotated[float, Meta(gt=0, le=8760, description="Hours.")] = 24.0
    retention_bytes: Annotated[
        int, Meta(ge=1_048_576, le=2**50, description="Bytes of all segments.")
    ] = 1_073_741_824


class Api(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP interface."""

    bind_addr: Annotated[
        Address, Meta(description="host:port; only this machine can reach the default.")
    ] = "127.0.0.1:8080"
    enable_cors: bool = False
    cors_origins: tuple[Address, ...] = ()
    timeout_secs: TimeoutSecs = 30
    max_body_size: Annotated[
        int, Meta(ge=1024, le=1_073_741_824, description="Bytes of a request's body.")
    ] = 10_485_760
    enable_logging: Annotated[
        bool, Meta(description="One log line for each question; none for events and probes.")
    ] = True
    insecure: Annotated[
        bool, Meta(description="Let everybody in without a key who can reach it.")
    ] = False
    keys: Annotated[
        tuple[ApiKey, ...],
        Meta(max_length=1000, description="Who may ask; none: who is on this machine."),
    ] = ()
    allowed_hosts: Annotated[
        tuple[Address, ...],
        Meta(
            description="Names, beside those of loopback, by which who needs no key may ask; "
            "* is any.",
        ),
    ] = ()
    metrics_path: Annotated[str, Meta(min_length=1, pattern="^/")] = "/metrics"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of LLM-Sentinel."""

    data_dir: Annotated[
        str,
        Meta(min_length=1, max_length=4096, description="Folder for all that is kept on disk."),
    ] = "sentinel-data"
    ingestion: Ingestion = field(default_factory=Ingestion)
    detection: Detection = field(default_factory=Detection)
    storage: Storage = field(default_factory=Storage)
    alerting: Alerting = field(default_factory=Alerting)
    api: Api = field(default_factory=Api)
    journal: JournalRetention = field(default_factory=JournalRetention)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    privacy: Privacy = field(default_factory=Privacy)
    prices: Prices = field(default_factory=Prices)

    def unbuilt(self) -> list[str]:
        """Return the keys that are set, not switched off, and have no effect yet."""
        baseline = self.detection.baseline
        parts = {
            "storage.influxdb": self.storage.influxdb,
            "alerting.rabbitmq": self.alerting.rabbitmq,
            "alerting.webhook": self.alerting.webhook,
            "detection.baseline.persistence_path": baseline.persistence_path,
            "detection.baseline.enable_persistence": None if baseline.enable_persistence else False,
        }
        return [
            key
            for key, part in parts.items()
            if part is not None and getattr(part, "enabled", True)
        ]


def contradictions(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what no single key shows: the keys concerned, the one to blame first, and why."""
    baseline = settings.detection.baseline
    if baseline.min_samples > baseline.window_size:
        yield (
            ("detection.baseline.min_samples", "detection.baseline.window_size"),
            f"got {baseline.min_samples}, must be <= window_size, which is {baseline.window_size}",
        )
    limits = settings.ingestion.validation
    if limits.min_latency_ms >= limits.max_latency_ms:
        yield (
            ("ingestion.validation.min_latency_ms", "ingestion.validation.max_latency_ms"),
            f"got {limits.min_latency_ms:g}, must be < max_latency_ms, "
            f"which is {limits.max_latency_ms:g}",
        )
    kafka = settings.ingestion.kafka
    if kafka is not None and kafka.enable_auto_commit:
        yield (
            ("ingestion.kafka.enable_auto_commit",),
            "got true, must be false: a position is committed together with the state it led to, "
            "so that a crash neither loses nor repeats an event",
        )
    if kafka is not None and not kafka.brokers:
        yield (("ingestion.kafka.brokers",), "absent, but required: host:port of some brokers")
    yield from contradictions_of_redis(settings)
    for number, one in enumerate(settings.privacy.patterns):
        problem = problem_of(one.pattern) if one.pattern else "absent, but required"
        if problem:
            yield ("privacy.patterns",), f"pattern {number}: {problem}"
    for problem in prices.faults(settings.prices):
        yield ("prices.models",), problem
    for problem in keys.faults(settings.api.keys):
        yield ("api.keys",), problem
    zone = settings.detection.time_zone
    if zone != "UTC":
        known = zoneinfo.available_timezones()
        if zone not in known:
            nearest = get_close_matches(zone, known, n=1)
            guess = f", did you mean {nearest[0]}?" if nearest else ""
            text = f"got {show(zone)}, must be an IANA time zone{guess}"
            yield (("detection.time_zone",), text)
