"""Every metric family that the service has, in one place.

Families are counted by the batch, never by the event.  Label values come from closed sets, but for
`service` and `model`, of which the first 200 are told apart; the rest is `other`.
"""

from collections import Counter as Tally
from typing import Any, Final, NamedTuple

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from sentinel import __version__
from sentinel.model.severity import SEVERITIES
from sentinel.model.votes import VOTERS, VoteColumns

SERVICES = 200
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Family(NamedTuple):
    """One metric family: what it is, its name after `sentinel_`, its help, its labels."""

    kind: type[Counter | Gauge | Histogram]
    name: str
    text: str
    labels: tuple[str, ...] = ()


FAMILIES: Final = {
    "build": Family(Gauge, "build_info", "Version.", ("version",)),
    "received": Family(Counter, "events_received", "Events taken in."),
    "processed": Family(Counter, "events_processed", "Events judged.", ("service",)),
    "ingestion_errors": Family(
        Counter, "ingestion_errors", "Bodies that could not be taken.", ("type",)
    ),
    "refused_requests": Family(
        Counter, "requests_refused", "Requests that were not let in, unread.", ("reason",)
    ),
    "quota_refused": Family(
        Counter, "quota_refused", "Bodies of senders over their quota.", ("key", "unit")
    ),
    "validation_failures": Family(
        Counter, "validation_failures", "Events refused, or flagged over_limit.", ("reason",)
    ),
    "otlp_records": Family(
        Counter,
        "otlp_records",
        "Spans, log records and data points by what became of them.",
        ("signal", "outcome"),
    ),
    "redactions": Family(
        Counter, "redactions", "What was taken out of texts, unreadable texts too.", ("type",)
    ),
    "unpriced": Family(
        Counter,
        "unpriced_events",
        "Events without a cost whose model nobody knows a price for.",
        ("model",),
    ),
    "event_states": Family(Counter, "events_state", "Events that were not ordinary.", ("state",)),
    "anomalies": Family(Counter, "anomalies_detected", "Votes.", ("severity", "detector")),
    "detection_latency": Family(
        Histogram, "detection_latency_seconds", "From receipt to verdict, the oldest of a batch."
    ),
    "baseline_updates": Family(Counter, "baseline_updates", "Series records saved."),
    "baselines": Family(Gauge, "baselines", "Series that have a baseline."),
    "incidents": Family(Counter, "incidents", "What happened to incidents.", ("kind",)),
    "incidents_open": Family(Gauge, "incidents_open", "Incidents that are open.", ("severity",)),
    "storage_errors": Family(Counter, "storage_errors", "Failed writes."),
    "storage_gaps": Family(
        Counter, "storage_gaps", "Starts at which the store lacked rows that it once had."
    ),
    "storage_backlog": Family(Gauge, "storage_backlog_bytes", "Rows that wait to be written."),
    "storage_cursor": Family(Gauge, "storage_cursor", "Position up to which rows are kept."),
    "journal_errors": Family(Counter, "journal_errors", "Records that could not be written."),
    "journal_bytes": Family(Gauge, "journal_bytes", "Bytes on disk."),
    "journal_offset": Family(Gauge, "journal_offset", "Position after the last durable record."),
    "kafka_consumed": Family(
        Counter, "kafka_messages_consumed", "Messages that came from topics.", ("topic",)
    ),
    "kafka_errors": Family(
        Counter, "kafka_consumption_errors", "What the Kafka client could not do.", ("reason",)
    ),
    "kafka_lag": Family(
        Gauge, "kafka_lag", "Messages that wait in the topic.", ("topic", "partition")
    ),
    "kafka_rebalances": Family(
        Counter, "kafka_rebalances", "Partitions that came or went, by how.", ("kind",)
    ),
    "kafka_dead_letters": Family(
        Counter, "kafka_dead_letters", "Messages and events that were not judged.", ("reason",)
    ),
    "kafka_misplaced": Family(
        Counter, "kafka_misplaced", "Batches with messages whose key is not their service."
    ),
    "commits": Family(Counter, "checkpoint_commits", "Positions committed with their state."),
    "fenced": Family(
        Counter, "partitions_fenced", "Partitions given up because another process has them."
    ),
    "process_restarts": Family(
        Counter,
        "process_restarts",
        "Processes beside this one that ended and were started again.",
        ("process",),
    ),
    "state_losses": Family(
        Counter, "state_losses", "Partitions that had to start without what was there.", ("reason",)
    ),
    "services_split": Family(
        Gauge, "services_split", "Services that this process judges on several partitions."
    ),
    "state_cold_starts": Family(
        Counter, "state_cold_starts", "Starts without the state of a log that has records."
    ),
    "cache_hits": Family(Counter, "cache_hits", "Answers given again.", ("level",)),
    "cache_misses": Family(Counter, "cache_misses", "Answers that the store had to be asked for."),
    "cache_size": Family(Gauge, "cache_size", "Answers kept in this process."),
    "alerts_sent": Family(Counter, "alerts_sent", "Alerts told.", ("channel",)),
    "alerts_deduplicated": Family(
        Counter, "alerts_deduplicated", "Alerts held back as equal to one before."
    ),
    "outbox_bytes": Family(Gauge, "outbox_bytes", "Alerts that wait to be told."),
    "stream_clients": Family(Gauge, "stream_clients", "Live readers."),
    "stream_dropped": Family(Counter, "stream_dropped", "What a live reader did not get."),
}
"""Every family by the attribute of `Vitals` that holds it."""


class Vitals:
    """The families, in a registry of their own."""

    build: Gauge
    received: Counter
    processed: Counter
    ingestion_errors: Counter
    refused_requests: Counter
    quota_refused: Counter
    validation_failures: Counter
    otlp_records: Counter
    redactions: Counter
    unpriced: Counter
    event_states: Counter
    anomalies: Counter
    detection_latency: Histogram
    baseline_updates: Counter
    baselines: Gauge
    incidents: Counter
    incidents_open: Gauge
    storage_errors: Counter
    storage_gaps: Counter
    storage_backlog: Gauge
    storage_cursor: Gauge
    journal_errors: Counter
    journal_bytes: Gauge
    journal_offset: Gauge
    kafka_consumed: Counter
    kafka_errors: Counter
    kafka_lag: Gauge
    kafka_rebalances: Counter
    kafka_dead_letters: Counter
    kafka_misplaced: Counter
    commits: Counter
    fenced: Counter
    process_restarts: Counter
    state_losses: Counter
    services_split: Gauge
    state_cold_starts: Counter
    cache_hits: Counter
    cache_misses: Counter
    cache_size: Gauge
    alerts_sent: Counter
    alerts_deduplicated: Counter
    outbox_bytes: Gauge
    stream_clients: Gauge
    stream_dropped: Counter

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._services: set[str] = set()
        for attribute, family in FAMILIES.items():
            buckets: dict[str, Any] = {"buckets": _LATENCY} if family.kind is Histogram else {}
            made = family.kind(
                f"sentinel_{family.name}",
                family.text,
                family.labels,
                registry=self.registry,
                **buckets,
            )
            setattr(self, attribute, made)
        self.build.labels(__version__).set(1)

    def count_otlp(self, signal: str, outcomes: dict[str, int]) -> None:
        """Count what an OTLP request held."""
        for outcome, count in outcomes.items():
            if count:
                self.otlp_records.labels(signal, outcome).inc(count)

    def count_processed(self, tally: Tally[str]) -> None:
        """Count judged events by service."""
        for service, count in tally.items():
            self.processed.labels(self._bounded(service)).inc(count)

    def count_anomalies(self, votes: VoteColumns) -> None:
        """Count votes by severity and detector."""
        counts = np.bincount(votes.severity.astype(np.int64) * len(VOTERS) + votes.voter)
        for code in np.flatnonzero(counts).tolist():
            severity, voter = divmod(code, len(VOTERS))
            self.anomalies.labels(SEVERITIES[severity], VOTERS[voter]).inc(int(counts[code]))

    def _bounded(self, service: str) -> str:
        if service in self._services or len(self._services) < SERVICES:
            self._services.add(service)
            return service
        return "other"

    def exposition(self) -> bytes:
        """Return all families as Prometheus text."""
        return generate_latest(self.registry)
