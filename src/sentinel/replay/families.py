"""Families of metrics: what a label and an alert must agree on to be about the same thing.

An incident shows on more than one metric, and which of them a test names first is no matter of
right or wrong: a call that hangs is slow in `latency_ms` and in its 99th percentile.
"""

from typing import Final

FAMILIES: Final = {
    "latency": (
        "latency_ms",
        "ttft_ms",
        "tokens_per_second",
        "latency_ms_p50",
        "latency_ms_p95",
        "latency_ms_p99",
    ),
    "tokens": ("total_tokens", "prompt_tokens", "completion_tokens"),
    "cost": ("cost_usd", "cost_rate"),
    "errors": ("error", "error_rate"),
    "throughput": ("request_rate", "silence"),
    "user": ("user_request_share", "session_share"),
    "quality": ("finish_length_rate", "response_length", "model_drift"),
}

_FAMILY = {metric: family for family, metrics in FAMILIES.items() for metric in metrics}


def family_of(metric: str) -> str | None:
    """Return the family of a metric; None where no family holds it.

    >>> family_of("error"), family_of("shoe_size")
    ('errors', None)
    """
    return _FAMILY.get(metric)
