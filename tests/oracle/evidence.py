"""Evidence, slowly: the numbers that everything is judged by, and a sum of evidence."""

import math
from dataclasses import dataclass, field
from typing import Any

NS = 1_000_000_000
WEEK_S = 604_800
HOUR_S = 3600


class Numbers:
    """Every constant of the core's evidence, in one place."""

    codes = 2000
    level_max = 16.3
    levels = 1000
    guard = 64
    armed = 100
    lasting = 400
    epoch = 5000
    refresh = 25
    block = 32
    neighbours = 4
    cluster_share = 0.10
    cluster_tail = 0.01
    cluster_floor = 1e-4
    dense_share = 0.20
    tail_beyond = 0.98
    tail_safety = 1.1
    tail_least = 0.02
    record_margin = 0.40
    record_armed, record_thin, record_twice, record_epochs = 400, 2000, 3500, 5
    excesses, excesses_least, after_prior = 250, 20, 10
    single_safety = 1.05
    wandering, wandering_more = 0.3, 10.0

    parent_calls = 400
    own = 256
    borrowed_more = 1.5

    closing = 4.0
    cap = 1.5

    share_memory = 3000.0
    share_prior_hits = 0.5
    share_prior_calls = 50.0
    share_refresh = 16

    speakers = 1000
    middle, middle_least = 64, 10
    short, short_least = 16, 6
    scan_nats = 3.0
    expected_least = 0.02
    usual_memory = 2000.0

    first_fits = 200
    fit_memory = 2000.0
    residual_max = 4.0
    uncertain_max = 1e10

    bucket_grid = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14400)
    open_buckets = 16
    first_calls = 200
    calls_a_bucket = 16
    warm_buckets = 24
    lasting_buckets = 48
    rate_shift = 2.0
    linger_buckets = 3
    quiet_buckets, quiet_s = 8, 900
    peak_least, peak_prior, peak_memory = 3.0, 4, 64

    week_calls = 64
    threshold_least = 10.0
    tests_a_service = 22.0


At = tuple[int, int, int]
"""Where a sample stands: its time, and offset and index in the log."""

NOWHERE: At = (0, 0, 0)


@dataclass
class Sum:
    """One CUSUM, and what it counted since it last left zero."""

    value: float = 0.0
    since: At = NOWHERE
    n: int = 0
    hits: int = 0

    def add(self, ratio: float, cap: float, at: At) -> None:
        """Add one log-likelihood ratio, held between 0 and the cap."""
        if self.value <= 0:
            self.since, self.n, self.hits = at, 0, 0
        self.value = min(max(self.value + ratio, 0.0), cap)
        self.n += 1
        self.hits += ratio > 0

    def state(self) -> dict[str, Any]:
        """Return what a record holds of it."""
        return {"value": self.value, "n": self.n, "hits": self.hits, "since": self.since}


@dataclass
class Height:
    """How high a sum rises by itself: the mean of its peaks beyond 3 nats."""

    excess: float = 1.0
    path: list[float] = field(default_factory=list)
    """The sum since it last was at zero."""
    peaks: int = 0

    @property
    def worth(self) -> float:
        """By what the sum is divided."""
        return max(self.excess, 1.0)

    def follow(self, value: float, most: float) -> None:
        """Follow a sum; back at zero, its peak is learned."""
        self.path.append(value)
        if value > 0:
            return
        beyond = min(max(self.path), most) - Numbers.peak_least
        self.path = []
        if beyond > 0:
            self.peaks = min(self.peaks + 1, Numbers.peak_memory)
            self.excess += (beyond - self.excess) / (self.peaks + Numbers.peak_prior)

    def state(self) -> dict[str, Any]:
        """Return what a record holds of it."""
        return {"excess": self.excess, "top": max(self.path, default=0.0), "peaks": self.peaks}


def allowance_of(wander: float) -> float:
    """Return k: what a level may stray without being a shift, in standard scores."""
    more = max(wander - Numbers.wandering, 0.0)
    return 2 * math.sqrt(wander) * (1 + Numbers.wandering_more * more)


@dataclass
class Said:
    """What a step says: a test that opened, or that what was open has ended."""

    opened: int | None = None
    ended: str = ""
    """`closed`, `accepted` or nothing."""
    alone: bool = False
    statistic: float = 0.0
    since: At = NOWHERE
    hits: int = 0
    hits_of: int = 0
    single: float = 0.0

    @property
    def kind(self) -> int:
        """What the core calls it: 1 opened, 2 closed, 3 accepted, 4 alone, 0 nothing."""
        if self.opened is not None:
            return 4 if self.alone else 1
        return {"closed": 2, "accepted": 3, "": 0}[self.ended]


@dataclass
class Laws:
    """What everything is judged by."""

    levels: Any
    shares: Any
    off: list[int] = field(default_factory=lambda: [0] * 11)
    fixed: float = 0.0
    allowed: float = 1.0
    lean: float = 0.0
    zone: list[tuple[int, int]] = field(default_factory=list)
    lateness_s: int = 10
    idle_ns: int = WEEK_S * NS
