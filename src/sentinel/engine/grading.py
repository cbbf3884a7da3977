"""How bad it is: a rule of effect, not of evidence.

Evidence says how sure we are that something changed, and grows with every call.  How bad it is
depends on how large the change is, and how many calls it takes: one table, told in
docs/concepts/incidents.md.
"""

from typing import Final, NamedTuple

from sentinel.detectors.channels import CHANNELS, RATE_TESTS
from sentinel.engine.causes import (
    CLUSTER,
    COST,
    CUT_OFF,
    ERRORS,
    LATENCY,
    PROMPT,
    RATE,
    RESPONSE,
    SESSION,
    SINGLE,
    SPEED,
    TTFT,
    USER,
    direction_of,
    is_level,
)
from sentinel.model.severity import Severity

_NEVER: Final = float("inf")


class _Grade(NamedTuple):
    """From which size on it is a warning, and critical.

    Sizes are factors in the direction of the trouble, of shares the share itself.
    """

    warning: float
    critical: float


_GRADES: Final = {
    # Twice the wait is felt, five times is an outage to whoever waits.
    LATENCY: _Grade(2, 5),
    TTFT: _Grade(2, 5),
    SPEED: _Grade(2, 5),
    # Larger prompts are somebody's choice more often than a fault.
    PROMPT: _Grade(2, _NEVER),
    RESPONSE: _Grade(2, 5),
    # Money: a price that is three times as high is a bill by the evening.
    COST: _Grade(1.5, 3),
    ERRORS: _Grade(0.05, 0.20),
    CUT_OFF: _Grade(0.20, 0.60),
    USER: _Grade(0.50, _NEVER),
    SESSION: _Grade(0.50, _NEVER),
}
_SURGE: Final = _Grade(3, 10)
_DROP: Final = _Grade(2, 10)
_ONE_CALL_WARNS: Final = 5.0
"""One slow call is news, and a warning only where it is as slow as an outage."""


def size_of(channel: int, test: int, observed: float, usual: float) -> float:
    """Return how large a change is, as its grades are given.

    >>> size_of(LATENCY, 0, 300.0, 100.0), size_of(SPEED, 1, 20.0, 80.0), size_of(ERRORS, 0, 0.2, 0)
    (3.0, 4.0, 0.2)
    """
    if not is_level(channel) and channel != RATE:
        return observed
    if direction_of(channel, test) == "down":
        observed, usual = usual, observed
    if usual > 0:
        return observed / usual
    return _NEVER if observed > 0 else 1.0


def grade(channel: int, test: int, size: float, *, whole: bool) -> Severity:
    """Return how bad a change of a size is; `whole`: it is the service's, not one model's.

    >>> grade(ERRORS, 0, 0.24, whole=False), grade(LATENCY, 3, 3.0, whole=False)
    ('critical', 'info')
    """
    if channel == RATE:
        if RATE_TESTS[test] == "silence":
            return "critical" if whole else "warning"
        limits = _SURGE if RATE_TESTS[test] == "surge" else _DROP
    else:
        limits = _GRADES[channel]
    if is_level(channel) and test == SINGLE and channel != COST:
        # What a call costs follows from its tokens: there one call is proof.
        return "warning" if size >= _ONE_CALL_WARNS else "info"
    if size >= limits.critical and not (is_level(channel) and test in (CLUSTER, SINGLE)):
        # A cluster is a part of the calls: the rest is served as usual.
        return "critical"
    return "warning" if size >= limits.warning else "info"


assert {*_GRADES, RATE} == set(range(len(CHANNELS))), "a grade for every channel"
