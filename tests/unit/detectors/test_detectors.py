"""The detectors' settings say what the specification says."""

from typing import Any, get_args

import msgspec
import pytest

from sentinel.detectors import (
    DETECTORS,
    Cusum,
    DetectorName,
    Iqr,
    Mad,
    MetricName,
    Novelty,
    VoterName,
    ZScore,
)
from sentinel.model.metric import METRICS

STRUCTS: dict[str, type[msgspec.Struct]] = {
    "zscore": ZScore,
    "iqr": Iqr,
    "mad": Mad,
    "cusum": Cusum,
    "novelty": Novelty,
}


def test_the_order_of_the_vote_bits_never_changes() -> None:
    assert DETECTORS == ("zscore", "iqr", "mad", "cusum")
    assert get_args(VoterName) == DETECTORS


def test_every_detector_can_be_enabled() -> None:
    assert get_args(DetectorName) == tuple(STRUCTS)


def test_a_detector_can_vote_on_every_metric_of_an_event() -> None:
    assert get_args(MetricName) == METRICS


def test_the_defaults_are_the_published_ones() -> None:
    assert (ZScore().threshold, ZScore().sensitivity) == (3.0, "medium")
    assert ZScore().metrics == ("latency_ms", "total_tokens", "cost_usd")
    assert (Iqr().multiplier, Iqr().metrics) == (1.5, ("latency_ms", "total_tokens"))
    assert (Mad().threshold, Mad().metrics) == (3.5, ("latency_ms",))
    assert (Cusum().threshold, Cusum().drift, Cusum().metrics) == (5.0, 0.5, ("latency_ms",))


@pytest.mark.parametrize(
    ("sensitivity", "threshold"), [("low", 4.0), ("medium", 3.0), ("high", 2.4)]
)
def test_a_higher_sensitivity_lowers_the_threshold_of_zscore(
    sensitivity: Any, threshold: float
) -> None:
    settings = ZScore(threshold=3.0, sensitivity=sensitivity)
    assert settings.effective_threshold == pytest.approx(threshold)


def test_the_other_detectors_fire_at_the_number_as_given() -> None:
    assert Iqr(multiplier=2.0).effective_threshold == 2.0
    assert Mad(threshold=4.0).effective_threshold == 4.0
    assert Cusum(threshold=6.0).effective_threshold == 6.0
    assert Novelty(threshold=0.9).effective_threshold == 0.9


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_refuses_unknown_keys_and_unknown_metrics(name: str) -> None:
    for wrong in ({"thresold": 1.0}, {"metrics": ["latency"]}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, STRUCTS[name])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("zscore", "threshold"),
        ("iqr", "multiplier"),
        ("mad", "threshold"),
        ("cusum", "threshold"),
        ("novelty", "threshold"),
    ],
)
def test_a_threshold_is_above_zero_and_finite(name: str, key: str) -> None:
    for wrong in (0, -1.0, float("inf")):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({key: wrong}, STRUCTS[name])


def test_cusum_may_forgive_nothing_but_not_less() -> None:
    assert msgspec.convert({"drift": 0.0}, Cusum).drift == 0.0
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"drift": -0.1}, Cusum)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_tells_its_formula_its_zero_spread_and_its_source(name: str) -> None:
    text = STRUCTS[name].__doc__ or ""
    assert " = " in text
    assert "References" in text
    assert "score 1000" in text
