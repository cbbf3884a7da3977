"""What is tested, and what explains what: two declared tables.

A finding that an open incident explains is further evidence of that incident, and tells nobody
anew.  Each row says why.
"""

from typing import Final, Literal, NamedTuple

from sentinel.detectors.channels import (
    ARMED_BUCKETS,
    ARMED_LEVELS,
    ARMED_SPEAKERS,
    CHANNELS,
    LEVEL_TESTS,
    LEVELS,
    RATE_TESTS,
)

Direction = Literal["up", "down"]

LATENCY, TTFT, PROMPT, RESPONSE, COST, SPEED, ERRORS, CUT_OFF, USER, SESSION, RATE = range(11)
"""Numbers of the channels, in the order of CHANNELS."""
SHIFT_UP, SHIFT_DOWN, CLUSTER, SINGLE = range(4)
"""Numbers of the tests of levels."""


class Told(NamedTuple):
    """How people are told of a channel."""

    metric: str
    unit: str
    noun: str
    """As in `prompt tokens +3 %`."""


TOLD: Final = (
    Told("latency_ms", "ms", "latency"),
    Told("ttft_ms", "ms", "first token"),
    Told("prompt_tokens", "tokens", "prompt tokens"),
    Told("completion_tokens", "tokens", "answer tokens"),
    Told("cost_usd", "usd", "cost"),
    Told("tokens_per_second", "tokens/s", "speed"),
    Told("error_rate", "ratio", "failures"),
    Told("finish_length_rate", "ratio", "cut-off answers"),
    Told("user_request_share", "ratio", "largest user"),
    Told("session_share", "ratio", "largest session"),
    Told("request_rate", "calls/min", "traffic"),
)


def is_level(channel: int) -> bool:
    """Say whether a channel is of one quantity a call."""
    return channel < len(LEVELS)


def opening_tests(channel: int) -> dict[int, str]:
    """Return number and name of the tests of a channel that look for trouble.

    >>> opening_tests(SPEED), opening_tests(RATE), opening_tests(ERRORS)
    ({1: 'shift_down'}, {0: 'surge', 1: 'drop', 2: 'silence'}, {0: 'share'})
    """
    if channel == RATE:
        return dict(enumerate(RATE_TESTS))
    if not is_level(channel):
        return {0: "share"}
    level = LEVELS[channel]
    looks = (level.up, level.down, level.up, level.singles)
    return {test: name for test, name in enumerate(LEVEL_TESTS) if looks[test]}


def armed_of(channel: int) -> int:
    """Return how many samples, or buckets, a channel learns before it judges."""
    if channel == RATE:
        return ARMED_BUCKETS
    return ARMED_SPEAKERS if channel in (USER, SESSION) else ARMED_LEVELS


class Subject(NamedTuple):
    """Whose test it is, within a service."""

    channel: int
    test: int
    model: str | None
    """None: the service as a whole, which meets all of its models."""


class Explanation(NamedTuple):
    """That one channel's trouble brings another's."""

    effect: str
    """A channel, or of calls that are counted one of the tests."""
    across: bool
    """Also where the effect is seen on another model of the service."""
    why: str


EXPLAINS: Final[dict[str, tuple[Explanation, ...]]] = {
    "latency": (
        Explanation("latency", True, "models of a service share its gateway and its queues"),
        Explanation("ttft", False, "the first token is part of the answer's time"),
        Explanation("speed", False, "the rest of the answer is the other part"),
    ),
    "ttft": (
        Explanation("ttft", False, "the same"),
        Explanation("latency", False, "an answer cannot end before its first token"),
        Explanation("speed", False, "a provider that is slow to begin is slow to go on"),
    ),
    "speed": (
        Explanation("speed", False, "the same"),
        Explanation("latency", False, "slow tokens make a slow answer"),
        Explanation("ttft", False, "a provider that is slow to go on is slow to begin"),
    ),
    "prompt": (
        Explanation("prompt", False, "the same"),
        Explanation("response", False, "more is asked, more is answered"),
    ),
    "response": (
        Explanation("response", False, "the same"),
        Explanation("cut_off", False, "longer answers reach the limit more often"),
        Explanation("prompt", False, "in a conversation answers are the next prompt"),
    ),
    "cost": (Explanation("cost", False, "the same"),),
    "errors": (Explanation("errors", True, "models of a service fail together"),),
    "cut_off": (
        Explanation("cut_off", False, "the same"),
        Explanation("response", False, "answers that are cut off have another length"),
    ),
    "user": (
        Explanation("user", False, "the same"),
        Explanation("session", False, "whoever calls does so in sessions"),
        Explanation("surge", True, "the calls of one are calls of all"),
        Explanation("prompt", False, "a mix of other callers has other prompts"),
        Explanation("response", False, "and other answers"),
        Explanation("latency", True, "and load"),
        Explanation("cut_off", False, "and other limits"),
    ),
    "surge": (
        Explanation("surge", True, "the same"),
        Explanation("latency", True, "more calls wait longer"),
    ),
    "drop": (
        Explanation("drop", True, "the same"),
        Explanation("silence", True, "what falls may fall to nothing"),
    ),
    "silence": (
        Explanation("silence", True, "the same"),
        Explanation("drop", True, "a model is silent first, then its service has fewer calls"),
    ),
}
"""By cause; `session` is as `user`.  What is missing is not explained: tokens explain neither cost
nor latency here, since both are judged by what tokens leave unexplained."""

_CAUSE_FIRST: Final = (RATE, USER, SESSION, ERRORS, PROMPT, RESPONSE, CUT_OFF, COST, TTFT, SPEED)
"""Of what opens at one event the earlier here names the incident; latency comes last: it follows
from almost anything."""


def rank_of(channel: int) -> int:
    """Return where a channel stands among those that open at one event, causes first."""
    return _CAUSE_FIRST.index(channel) if channel in _CAUSE_FIRST else len(_CAUSE_FIRST)


def explains(cause: Subject, effect: Subject) -> bool:
    """Say whether what opened an incident explains a finding of the same service."""
    name = _name_of(cause.channel, cause.test)
    for row in EXPLAINS["user" if name == "session" else name]:
        if row.effect == _name_of(effect.channel, effect.test):
            met = cause.model == effect.model or None in (cause.model, effect.model)
            return met or row.across
    return False


def _name_of(channel: int, test: int) -> str:
    return RATE_TESTS[test] if channel == RATE else CHANNELS[channel]


def direction_of(channel: int, test: int) -> Direction:
    """Return which way a test looks."""
    if channel == RATE:
        return "up" if RATE_TESTS[test] == "surge" else "down"
    return "down" if is_level(channel) and test == SHIFT_DOWN else "up"


def metric_of(channel: int, test: int) -> str:
    """Return the metric that people are told: it says what changed.

    >>> metric_of(RESPONSE, 0), metric_of(RESPONSE, 1), metric_of(RATE, 2)
    ('completion_tokens', 'response_length', 'silence')
    """
    if channel == RESPONSE and test == SHIFT_DOWN:
        return "response_length"
    if channel == RATE and RATE_TESTS[test] == "silence":
        return "silence"
    return TOLD[channel].metric


assert EXPLAINS.keys() == {*CHANNELS, *RATE_TESTS} - {"session", "rate"}, "a row for every cause"
