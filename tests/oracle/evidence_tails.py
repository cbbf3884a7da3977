"""What levels were, slowly: the window of their codes, their record, and their tail."""

import heapq
import math
from collections import deque

import numpy as np

from oracle.evidence import Numbers


def probit(p: float) -> float:
    """Return the normal quantile by PPND7 of Wichura's AS 241: seven digits."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.425**2 - q * q
        above = np.polyval([59.109374720, 159.29113202, 50.434271938, 3.3871327179], r)
        below = np.polyval([67.187563600, 78.757757664, 17.895169469, 1.0], r)
        return float(q * above / below)
    r = math.sqrt(-math.log(min(p, 1 - p)))
    if r <= 5:
        above = np.polyval([0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777], r - 1.6)
        below = np.polyval([0.12021132975, 0.73700164250, 1.0], r - 1.6)
    else:
        above = np.polyval([0.017337203997, 0.42868294337, 3.0812263860, 6.6579051150], r - 5)
        below = np.polyval([0.012258202635, 0.24197894225, 1.0], r - 5)
    return float(math.copysign(above / below, q))


def code_of(level: float) -> int:
    """Return a level as a code of 1/2000, held to +-16.3."""
    return round(min(max(level, -Numbers.level_max), Numbers.level_max) * Numbers.codes)


class Window:
    """The newest thousand codes, in order of arrival."""

    def __init__(self) -> None:
        self.codes: deque[int] = deque(maxlen=Numbers.levels)

    def __len__(self) -> int:
        return len(self.codes)

    def score(self, level: float) -> float:
        """Return the normal score of the mid-rank of a level."""
        codes, code = np.array(self.codes), code_of(level)
        below = np.count_nonzero(codes < code) + 0.5 * np.count_nonzero(codes == code)
        return probit((below + 0.5) / (len(codes) + 1))

    def at(self, share: float) -> float:
        """Return the level below which about this share lies."""
        return sorted(self.codes)[int(share * len(self.codes))] / Numbers.codes


class Record:
    """The second largest level of this epoch and of the last one: one outlier is no record."""

    def __init__(self) -> None:
        self.epoch: list[float] = []
        self.before: deque[float] = deque(maxlen=Numbers.record_epochs - 1)
        """Second largest of the epochs before, the newest first."""

    def move(self, by: float) -> None:
        """Keep how far levels stray from a median that has moved."""
        self.epoch = [level + by for level in heapq.nlargest(2, self.epoch)] + [-math.inf] * (
            len(self.epoch) - 2
        )
        self.before = deque((one + by for one in self.before), self.before.maxlen)

    def note(self, level: float) -> None:
        """Let a level count; an epoch that is full ends."""
        self.epoch.append(level)
        if len(self.epoch) == Numbers.epoch:
            self.before.appendleft(self.second)
            self.epoch = []

    @property
    def second(self) -> float:
        """The second largest of this epoch; the only one counts as that."""
        return heapq.nlargest(2, self.epoch)[-1]

    @property
    def value(self) -> float | None:
        """The record; None before the first level."""
        return self.of_epochs(2)

    def of_epochs(self, epochs: int) -> float | None:
        """Return the second largest of this epoch and of those before it, `epochs` together."""
        known = [self.second] if self.epoch else []
        return max([*known, *list(self.before)[: epochs - 1]], default=None)

    @property
    def seen(self) -> int:
        """How many levels it is the record of."""
        return len(self.epoch) + (Numbers.epoch if self.before else 0)


class Tail:
    """Median, scale and tail of a window, as of the last look."""

    def __init__(self) -> None:
        self.at = self.median = self.scale = 0.0
        self.tail = self.alone = Numbers.tail_least
        self.share, self.need = 1 - Numbers.tail_beyond, Numbers.record_armed
        self.excess = self.excesses = self.after = self.after_n = 0.0
        self.learned_far = False

    def look(self, window: Window, record: Record) -> None:
        """Take everything from the window anew; the tail must also explain the record."""
        ordered = sorted(window.codes)
        first = int(Numbers.tail_beyond * len(ordered))
        self.at = ordered[first] / Numbers.codes
        self.median = window.at(0.5)
        self.scale = max(0.5 * (window.at(0.84) - window.at(0.16)), 1e-6)
        beyond = [code - ordered[first] for code in ordered if code > ordered[first]]
        self.share = min((len(beyond) + 1) / len(ordered), 1 - Numbers.tail_beyond)
        excess = sum(beyond) / Numbers.codes / max(len(beyond), 1)
        if self.excesses > len(beyond) and self.excesses >= Numbers.excesses_least:
            excess = max(excess, self.excess)
        self.alone = self.tail = max(Numbers.tail_safety * excess, Numbers.tail_least)
        thin = sum(beyond[:-1]) <= Numbers.tail_least * Numbers.codes * len(beyond)
        self.need = Numbers.record_thin if thin else Numbers.record_armed
        if record.seen >= 200 and record.value is not None:
            demanded = math.log(max(self.share * record.seen, 2.72))
            self.tail = max(self.tail, (record.value - self.at) / demanded)

    def follow(self, level: float) -> None:
        """Learn how far levels lie beyond the 98th percentile, and how often one after another."""
        far = level > self.at
        if self.learned_far:
            if self.after_n >= Numbers.excesses:
                self.after *= 1 - 1 / Numbers.excesses
                self.after_n *= 1 - 1 / Numbers.excesses
            self.after += far
            self.after_n += 1
        self.learned_far = far
        if far:
            self.excesses = min(self.excesses + 1, Numbers.excesses)
            self.excess += (level - self.at - self.excess) / self.excesses

    def forget(self) -> None:
        """Forget what was followed."""
        self.excess = self.excesses = self.after = self.after_n = 0.0

    @property
    def likelier(self) -> float:
        """How many times likelier one beyond is after one beyond."""
        prior = Numbers.after_prior
        share = (self.after + prior * self.share) / (self.after_n + prior)
        return max(share / self.share, 1.0)

    def log_p(self, level: float) -> float:
        """Return ln p of a level beyond the 98th percentile."""
        return math.log(self.share) - (level - self.at) / self.tail
