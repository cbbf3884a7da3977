"""The metrics on which a detector can vote, as a type that a checker can read."""

from typing import Annotated, Literal

from msgspec import Meta

MetricName = Literal[
    "latency_ms",
    "ttft_ms",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost_usd",
    "tokens_per_second",
    "error",
]
"""The words of `model.metric.METRICS`; a type cannot be built from them, so a test compares."""

VotedMetrics = Annotated[
    tuple[MetricName, ...],
    Meta(
        description="Metrics this detector votes on. Others keep their baseline all the same.",
        extra_json_schema={"uniqueItems": True},
    ),
]
