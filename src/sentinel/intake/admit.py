"""Which measured events are refused, and which values are unlikely enough to be flagged.

The compiled pass has found what is impossible (`Columns.fault`); here stand the checks that need
the settings or the time of receipt, on whole columns.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentinel._core.columns import FAULTS, PATHS, Columns
from sentinel._core.odd import is_odd
from sentinel.intake.settings import IntakeSettings
from sentinel.model.metric import METRIC_INDEX, METRICS

FUTURE_MAX: Final = 600_000_000
"""Microseconds that a timestamp may lie ahead of its receipt: clocks differ, but not by more."""

_LAST: Final = 1 << 62
"""Microseconds: later than all that is accepted."""

_LATENCY: Final = METRIC_INDEX["latency_ms"]
_RATE: Final = METRIC_INDEX["tokens_per_second"]
_METRIC_PATHS: Final = {
    "prompt_tokens": "$.prompt.tokens",
    "completion_tokens": "$.response.tokens",
}
_KIND: Final = 64  # a fault is kind * 64 + path

REASONS: Final = {
    "missing_field": "absent, but required",
    "wrong_type": "not of the expected type",
    "bad_name": "expected 1 to 256 bytes without control characters",
    "bad_time": "expected a time with its zone in [1970-01-01, 2200-01-01)",
    "no_time": "absent, but required where nothing else tells the time",
    "future_time": "more than 10 minutes ahead of its receipt",
    "too_large": "beyond 2^53, in metadata beyond 64 bits",
    "bad_number": "NaN or infinity, expected a number",
    "negative": "below 0",
    "over_limit": "outside a configured limit",
}


class Refusal(NamedTuple):
    """A row that is not admitted."""

    row: int
    code: str
    path: str


class Gate:
    """The configured limits, as one row to hold against the columns."""

    def __init__(self, settings: IntakeSettings) -> None:
        upper = dict.fromkeys(METRICS, np.inf)
        upper |= dict.fromkeys(("latency_ms", "ttft_ms"), settings.max_latency_ms)
        upper |= dict.fromkeys(
            ("prompt_tokens", "completion_tokens", "total_tokens"), float(settings.max_tokens)
        )
        upper["cost_usd"] = settings.max_cost_usd
        self._upper = np.array([upper[metric] for metric in METRICS])
        self._min_latency_ms = settings.min_latency_ms
        self._refuses = settings.on_limit == "refuse"

    def check(
        self, columns: Columns, received_at: int | NDArray[np.int64] | None
    ) -> tuple[NDArray[np.uint8], list[Refusal]]:
        """Return which rows lie outside a limit, and which are refused, by row.

        `received_at` is in microseconds since 1970, of all or of each row; None = replay, where
        nothing is in the future.
        Latencies under their minimum become NaN in the columns, with the rate that hangs on them.
        """
        n = len(columns.time)
        limits = (self._upper, _LATENCY, self._min_latency_ms, _earliest(received_at) + FUTURE_MAX)
        if not is_odd(columns.fault, columns.time, columns.values, *limits):
            return np.zeros(n, np.uint8), []
        refused: list[Refusal] = []
        if np.count_nonzero(columns.fault):
            refused = [
                Refusal(int(row), FAULTS[fault // _KIND], PATHS[fault % _KIND])
                for row in np.flatnonzero(columns.fault)
                for fault in (int(columns.fault[row]),)
            ]
        fine = columns.fault == 0 if refused else np.True_
        if received_at is not None:
            late = (columns.time > received_at + FUTURE_MAX) & fine
            refused += (
                Refusal(int(row), "future_time", "$.timestamp") for row in np.flatnonzero(late)
            )
        outside = columns.values > self._upper
        short = columns.values[:, _LATENCY] < self._min_latency_ms
        if np.count_nonzero(short):
            outside[:, _LATENCY] |= short
            columns.values[short, _LATENCY] = np.nan
            columns.values[short, _RATE] = np.nan
        over_limit = np.zeros(n, np.uint8)
        if np.count_nonzero(outside):
            over_limit |= outside.any(axis=1)
            if self._refuses:
                taken = {refusal.row for refusal in refused}
                refused += (
                    Refusal(int(row), "over_limit", _path_of(outside[row]))
                    for row in np.flatnonzero(over_limit)
                    if row not in taken
                )
        return over_limit, sorted(refused)


def _earliest(received_at: int | NDArray[np.int64] | None) -> int:
    """Return the first time of receipt."""
    if isinstance(received_at, np.ndarray):
        return int(received_at.min()) if len(received_at) else _LAST
    return _LAST if received_at is None else received_at


def _path_of(outside: NDArray[np.bool_]) -> str:
    metric = METRICS[int(outside.argmax())]
    return _METRIC_PATHS.get(metric, f"$.{metric}")
