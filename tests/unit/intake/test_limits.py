"""Configured limits: flagged and judged, or refused; and the clock of the edge."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sentinel.errors import SettingsError
from sentinel.intake import Intake, IntakeSettings

Make = Callable[..., bytes]
T0 = 1_740_992_400_000_000_000


def intake_with(**settings: Any) -> Intake:
    return Intake(IntakeSettings(**settings), key=b"k" * 32, log_id="replay")


OVER = [
    ({"latency_ms": 3_600_001}, "$.latency_ms"),
    ({"ttft_ms": 3_600_001}, "$.ttft_ms"),
    ({"prompt": {"tokens": 10_000_001}}, "$.prompt.tokens"),
    ({"response": {"tokens": 10_000_001}}, "$.response.tokens"),
    ({"total_tokens": 10_000_001}, "$.total_tokens"),
    ({"cost_usd": 1000.01}, "$.cost_usd"),
    ({"latency_ms": 0.05}, "$.latency_ms"),
]


@pytest.mark.parametrize(("change", "path"), OVER)
def test_a_value_over_a_limit_is_admitted_and_flagged(
    make: Make, change: dict[str, Any], path: str
) -> None:
    batch, rejections, _ = intake_with().take(
        make() + b"\n" + make(**change), offset=0, received_at=T0
    )
    assert rejections == []
    assert batch.over_limit.tolist() == [0, 1]


@pytest.mark.parametrize(("change", "path"), OVER)
def test_with_refuse_it_is_refused_by_its_path(
    make: Make, change: dict[str, Any], path: str
) -> None:
    batch, rejections, _ = intake_with(on_limit="refuse").take(
        make() + b"\n" + make(**change), offset=0, received_at=T0
    )
    assert [(r.code, r.path, r.position) for r in rejections] == [("over_limit", path, 1)]
    assert len(batch) == 1


def test_values_at_a_limit_are_within_it(make: Make) -> None:
    body = make(latency_ms=3_600_000, cost_usd=1000, total_tokens=10_000_000)
    batch, _, _ = intake_with().take(body, offset=0, received_at=T0)
    assert batch.over_limit.tolist() == [0]
    assert intake_with().take(make(latency_ms=0.1), offset=0, received_at=T0)[0].over_limit[0] == 0


def test_a_latency_under_its_minimum_counts_as_absent_but_stays_in_the_event(make: Make) -> None:
    batch, _, _ = intake_with().take(make(latency_ms=0.05), offset=0, received_at=T0)
    assert np.isnan(batch.values[0, 0])
    assert np.isnan(batch.values[0, 6])
    assert batch.events[0].latency_ms == 0.05


def test_a_timestamp_may_lie_ten_minutes_ahead_and_no_more(make: Make) -> None:
    ahead = T0 // 1000 + 600_000_000
    body = make(timestamp=ahead) + b"\n" + make(timestamp=ahead + 1)
    batch, rejections, _ = intake_with().take(body, offset=0, received_at=T0)
    assert len(batch) == 1
    assert [(r.code, r.path) for r in rejections] == [("future_time", "$.timestamp")]
    assert len(intake_with().take(body, offset=0, received_at=None)[0]) == 2


def test_a_tenant_that_is_no_name_gets_nothing_in(make: Make) -> None:
    batch, rejections, _ = intake_with().take(make(), offset=0, received_at=T0, tenant="a\nb")
    assert len(batch) == 0
    assert [(r.code, r.path) for r in rejections] == [("bad_name", "tenant")]


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_key_of_the_wrong_length_is_refused(size: int) -> None:
    with pytest.raises(SettingsError, match=f"got {size} bytes"):
        Intake(IntakeSettings(), key=b"k" * size, log_id="replay")
