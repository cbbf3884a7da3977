"""The channels of evidence: what is tested of a service and a model, and how much of it matters."""

from typing import Final, Literal, NamedTuple, get_args

ChannelName = Literal[
    "latency",
    "ttft",
    "prompt",
    "response",
    "cost",
    "speed",
    "errors",
    "cut_off",
    "user",
    "session",
    "rate",
]

CHANNELS: Final[tuple[ChannelName, ...]] = get_args(ChannelName)
"""In the core's order: append, never reorder."""

LEVEL_TESTS: Final = ("shift_up", "shift_down", "cluster", "single")
RATE_TESTS: Final = ("surge", "drop", "silence")

ARMED_LEVELS: Final = 100
"""Samples before a channel is judged; the core holds the same."""
ARMED_SPEAKERS: Final = 164
ARMED_BUCKETS: Final = 24


class Level(NamedTuple):
    """How a channel of logarithms is judged."""

    dead: float
    """A score is taken this much nearer to the usual: what is smaller is rounding, or no news."""
    effect: float
    """The recent level must be this far from the usual before a shift opens."""
    singles: bool
    """One call alone can open."""
    up: bool
    down: bool


LEVELS: Final[tuple[Level, ...]] = (
    # Latency beyond what its tokens explain.  0.05: nobody is paged for 5 per cent; 0.35: calls
    # take 1.4 times as long.  Faster is no trouble.
    Level(dead=0.05, effect=0.35, singles=True, up=True, down=False),
    # Time to first token: as latency.
    Level(dead=0.05, effect=0.35, singles=True, up=True, down=False),
    # Prompts: a retrieval that brings too much, or nothing.  One long prompt is a user's affair.
    Level(dead=0.05, effect=0.35, singles=False, up=True, down=True),
    # Answers: runaways upwards, collapse downwards.
    Level(dead=0.05, effect=0.35, singles=False, up=True, down=True),
    # Cost beyond what tokens explain is exact: a wrong price shows at 10 per cent.  Cheaper is no
    # trouble.
    Level(dead=0.02, effect=0.10, singles=True, up=True, down=False),
    # Tokens a second after the first one: only slower is trouble.
    Level(dead=0.05, effect=0.35, singles=False, up=False, down=True),
)

SHARES: Final[tuple[tuple[float, float], ...]] = ((0.06, 0.30), (0.08, 0.40))
"""Of failed calls and of answers that are cut off, the two shifts that are looked for: so much more
than usual, and at least so much."""
