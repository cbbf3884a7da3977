"""What intake, engine and grouping read of the configuration, each in its own Struct."""

from sentinel.alerting import GroupingRules
from sentinel.engine import Rules
from sentinel.intake import IntakeSettings, Pattern
from sentinel.settings.schema import Settings


def intake_settings(settings: Settings) -> IntakeSettings:
    """Return what intake admits and what it takes out."""
    parsing, limits = settings.ingestion.parsing, settings.ingestion.validation
    privacy = settings.privacy
    return IntakeSettings(
        min_latency_ms=limits.min_latency_ms,
        max_latency_ms=limits.max_latency_ms,
        max_tokens=limits.max_tokens,
        max_cost_usd=limits.max_cost_usd,
        on_limit=limits.on_limit,
        max_text_length=parsing.max_text_length,
        sanitize_patterns=parsing.sanitize_patterns,
        enable_sanitization=parsing.enable_sanitization,
        enable_pii_detection=limits.enable_pii_detection,
        content=privacy.content,
        patterns=tuple(Pattern(name=p.name, pattern=p.pattern) for p in privacy.patterns),
    )


def engine_rules(settings: Settings) -> Rules:
    """Return what is judged, by whom, and how much is remembered."""
    detection = settings.detection
    return Rules(
        enabled_detectors=detection.enabled_detectors,
        zscore=detection.zscore,
        iqr=detection.iqr,
        mad=detection.mad,
        cusum=detection.cusum,
        window_size=detection.baseline.window_size,
        min_samples=detection.baseline.min_samples,
        max_series=detection.baseline.max_series,
        allowed_lateness_secs=detection.allowed_lateness_secs,
    )


def grouping_rules(settings: Settings) -> GroupingRules:
    """Return how often the same is told."""
    deduplication = settings.alerting.deduplication
    return GroupingRules(
        enabled=deduplication.enabled,
        window_secs=deduplication.window_secs,
        repeat_interval_secs=deduplication.repeat_interval_secs,
    )
