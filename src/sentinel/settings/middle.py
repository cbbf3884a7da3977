"""What intake, engine and grouping read of the configuration, each in its own Struct."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

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
        incidents=detection.incidents,
        zone=zone_of(detection.time_zone),
        novelty=detection.novelty,
        window_size=detection.baseline.window_size,
        min_samples=detection.baseline.min_samples,
        max_series=detection.baseline.max_series,
        allowed_lateness_secs=detection.allowed_lateness_secs,
    )


_FIRST_DAY, _LAST_DAY = datetime(2020, 1, 1, tzinfo=UTC), datetime(2045, 1, 1, tzinfo=UTC)
"""Between these the hours of a time zone are known; before and after, those of the ends hold."""


def zone_of(name: str) -> tuple[tuple[int, int], ...]:
    """Return from which second since 1970 on local time is how many seconds ahead of UTC.

    >>> zone_of("UTC"), zone_of("Europe/Berlin")[1]
    (((1577836800, 0),), (1585443600, 7200))
    """
    zone = ZoneInfo(name)

    def ahead(second: int) -> int:
        offset = datetime.fromtimestamp(second, zone).utcoffset()
        return int((offset or timedelta()).total_seconds())

    first, last = int(_FIRST_DAY.timestamp()), int(_LAST_DAY.timestamp())
    found = [(first, ahead(first))]
    if name == "UTC":
        return tuple(found)
    for day in range(first, last, 86_400):
        if ahead(day + 86_400) == found[-1][1]:
            continue
        low, high = day, day + 86_400
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if ahead(middle) == found[-1][1] else (low, middle)
        found.append((high, ahead(high)))
    return tuple(found)


def grouping_rules(settings: Settings) -> GroupingRules:
    """Return how often the same is told."""
    deduplication = settings.alerting.deduplication
    return GroupingRules(
        enabled=deduplication.enabled,
        window_secs=deduplication.window_secs,
        repeat_interval_secs=deduplication.repeat_interval_secs,
    )
