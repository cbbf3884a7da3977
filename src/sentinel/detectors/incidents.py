"""Incidents: how many false alarms are borne, and which tests may open one."""

from math import log
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from sentinel.detectors.channels import CHANNELS, LEVEL_TESTS, RATE_TESTS, ChannelName
from sentinel.detectors.zscore import Sensitivity

TestName = (
    ChannelName | Literal["shift_up", "shift_down", "cluster", "single", "surge", "drop", "silence"]
)

_NATS: Final[dict[Sensitivity, float]] = {"low": -log(4), "medium": 0.0, "high": log(4)}


class Incidents(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence opens an incident when the statistic of a test reaches the threshold H.

    A likelihood-ratio CUSUM over calibrated scores raises a false alarm at a sample with a
    probability of at most exp(-H). So H = max(10, ln(calls a week x tests / allowed)), where the
    calls are those of the service and 22 tests share one allowance.

    References
    ----------
    Lorden, G. (1971), Procedures for Reacting to a Change in Distribution, Annals of Mathematical
    Statistics 42(6).
    """

    false_alarms_per_service_week: Annotated[
        float, Meta(gt=0, le=1000, description="What chance alone may open, a service and week.")
    ] = 1.0
    sensitivity: Annotated[
        Sensitivity,
        Meta(description="Divides (low) or multiplies (high) the allowance by 4."),
    ] = "medium"
    evidence_threshold: (
        Annotated[float, Meta(ge=2, le=100, description="Fixes H, in nats, for studies.")] | None
    ) = None
    disabled_tests: Annotated[
        tuple[TestName, ...],
        Meta(
            description="Channels or tests that open nothing.",
            extra_json_schema={"uniqueItems": True},
        ),
    ] = ()

    @property
    def lean(self) -> float:
        """Nats that the sensitivity takes off every threshold."""
        return _NATS[self.sensitivity]

    def off(self) -> list[int]:
        """Return by channel the bits of the tests that are switched off.

        >>> Incidents(disabled_tests=("cluster", "errors")).off()
        [4, 4, 4, 4, 4, 4, 15, 0, 0, 0, 0]
        """
        bits = []
        for channel in CHANNELS:
            tests = RATE_TESTS if channel == "rate" else LEVEL_TESTS
            of_levels = channel == "rate" or CHANNELS.index(channel) < 6
            off = sum(
                1 << bit
                for bit, test in enumerate(tests)
                if of_levels and test in self.disabled_tests
            )
            bits.append(15 if channel in self.disabled_tests else off)
        return bits
