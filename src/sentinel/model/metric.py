"""The metrics of one event, in the order in which the core keeps their columns."""

from typing import Final

METRICS: Final = (
    "latency_ms",
    "ttft_ms",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost_usd",
    "tokens_per_second",
    "error",
)
"""Column order of `Batch.values` and of a series' metric byte: append, never reorder."""

MINUTE_METRICS: Final = (
    "request_rate",
    "error_rate",
    "cost_rate",
    "finish_length_rate",
    "latency_ms_p50",
    "latency_ms_p95",
    "latency_ms_p99",
)
"""Metrics of the calls of one minute: calls, share that failed, US dollars, share of the answers
that were cut off for their length, quantiles (type 7)."""

METRIC_INDEX: Final = {name: index for index, name in enumerate(METRICS)}

UNITS: Final = {
    "latency_ms": "ms",
    "ttft_ms": "ms",
    "prompt_tokens": "tokens",
    "completion_tokens": "tokens",
    "total_tokens": "tokens",
    "cost_usd": "usd",
    "tokens_per_second": "tokens/s",
    "error": "ratio",
}
