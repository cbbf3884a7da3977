"""Levels, slowly: normal scores of ranks in a window, and the four tests that add them up."""

import copy
import math
from collections import deque
from typing import Any

from oracle.evidence import At, Numbers, Said, Sum, allowance_of
from oracle.evidence_tails import Record, Tail, Window, code_of

UP, DOWN, CLUSTER, SINGLE = range(4)
DENSE = 3
"""The other sum of the cluster test."""


class Wander:
    """How much the level wanders by itself, and how alike neighbours are."""

    def __init__(self) -> None:
        self.wander, self.alike, self.pair_var = 0.02, 1.0, 1.0
        self.blocks = self.pairs = 0
        self.scores: list[float] = []

    def look_back(self, window: Window) -> None:
        """Learn from the first window, before anything is judged by it."""
        if self.blocks:
            return
        codes = list(window.codes)
        for start in range(0, len(codes) - Numbers.block + 1, Numbers.block):
            part = codes[start : start + Numbers.block]
            mean = sum(window.score(code / Numbers.codes) for code in part) / Numbers.block
            self.blocks += 1
            extra = mean * mean - 1 / Numbers.block
            self.wander += (extra - self.wander) / (self.blocks + 2)
        self.wander = max(self.wander, 0.0)

    def learn(self, z: float) -> None:
        """Learn a score, held to +-3."""
        self.scores.append(min(max(z, -3.0), 3.0))
        if len(self.scores) % Numbers.neighbours == 0:
            self.learn_neighbours(sum(self.scores[-Numbers.neighbours :]))
        if len(self.scores) == Numbers.block:
            self.learn_block(sum(self.scores) / Numbers.block)
            self.scores = []

    def learn_neighbours(self, total: float) -> None:
        """Learn the variance of sums of four beyond what slow wandering gives them."""
        self.pairs = min(self.pairs + 1, 256)
        square = min(total * total / Numbers.neighbours, 12.0)
        self.pair_var += (square - self.pair_var) / (self.pairs + 4)
        independent = max(1 - self.wander, 0.25)
        extra = self.pair_var - Numbers.neighbours * self.wander
        self.alike = max(extra / independent, 1.0)

    def learn_block(self, mean: float) -> None:
        """Learn the variance of block means beyond independence; one odd block says little."""
        self.blocks = min(self.blocks + 1, 48)
        extra = min(mean * mean, 2.0) - 1 / Numbers.block
        most = (4 if self.blocks < 16 else 2) * max(self.wander, 0.03)
        self.wander = max(self.wander + (min(extra, most) - self.wander) / (self.blocks + 2), 0.0)


def sparse(log_p: float, likelier: float) -> float:
    """Return the log-likelihood ratio of a tenth of bad calls, from a tail probability."""
    share = Numbers.cluster_share
    if log_p >= math.log(Numbers.cluster_tail):
        return math.log(1 - share)
    p = max(math.exp(log_p), Numbers.cluster_floor)
    among = 1 + math.log(Numbers.cluster_tail / Numbers.cluster_floor)
    density = 1 / (p * likelier * among)
    return math.log(1 - share + share * density)


def dense(beyond: bool, likelier: float) -> float:
    """Return that of a fifth of the calls beyond the 98th percentile."""
    share = Numbers.dense_share
    usual = min((1 - Numbers.tail_beyond) * likelier, 1.0)
    return math.log(1 - share + (share / usual if beyond else 0))


def test_of(which: int) -> int:
    """Return the test that a sum belongs to."""
    return CLUSTER if which == DENSE else which


class Channel:
    """One channel of a subject."""

    def __init__(self) -> None:
        self.window, self.record, self.wandering, self.tail = Window(), Record(), Wander(), Tail()
        self.waiting: deque[int] = deque(maxlen=Numbers.guard)
        self.sums = [Sum(), Sum(), Sum(), Sum()]
        self.open: int | None = None
        self.open_for = self.since_look = 0
        self.closing = self.recent = self.reference = 0.0
        self.borrowed = self.own = 0
        self.far = False
        """The level before lies beyond the 98th percentile."""

    def lent(self) -> "Channel":
        """Return what a new subject borrows of it."""
        child = Channel()
        child.window.codes.extend(self.window.codes)
        child.record, child.tail = copy.deepcopy(self.record), copy.copy(self.tail)
        child.wandering = copy.copy(self.wandering)
        child.wandering.scores = []
        child.tail.learned_far = False
        child.reference, child.closing, child.open_for = self.reference, self.closing, self.open_for
        child.borrowed = len(self.window)
        return child

    def count_own(self) -> None:
        """Count a level of its own; once there are enough those of the parent go."""
        self.own += 1
        if self.own == Numbers.own:
            self.borrowed = 0
            newest = list(self.window.codes)[-Numbers.own :]
            self.window, self.record = Window(), Record()
            self.window.codes.extend(newest)
            self.tail.forget()
            self.tail.look(self.window, self.record)

    def accept(self) -> None:
        """Take what waits for the baseline, and close what is open; the record moves with it."""
        self.end()
        self.recent = 0.0
        if not self.waiting:
            return
        self.window, before = Window(), self.tail.median
        self.window.codes.extend(self.waiting)
        self.waiting.clear()
        self.tail.look(self.window, self.record)
        self.record.move(self.tail.median - before)
        self.tail.look(self.window, self.record)

    def end(self) -> None:
        """Close what is open."""
        self.open = None
        for one in self.sums:
            one.value = 0.0

    def surprise(self, level: float) -> float:
        """Return -ln p of one call beyond the record, 0 where it does not beat it by half."""
        known = self.record.value
        if self.tail.need == Numbers.record_thin:
            known = self.record.of_epochs(Numbers.record_epochs)
            if self.record.seen < Numbers.record_twice and known is not None:
                known = max(self.record.epoch)
        if level <= self.tail.at or known is None or self.record.seen < self.tail.need:
            return 0.0
        if level - known <= Numbers.record_margin:
            return 0.0
        beyond = (level - self.tail.at) / (Numbers.single_safety * self.tail.alone)
        return beyond - math.log(self.tail.share)

    def ratios(self, what: Any, y: float) -> tuple[float, float, float, float, float]:
        """Return the evidence of one level, by sum; and its plain score."""
        up, down = self.window.score(y - what.dead), self.window.score(y + what.dead)
        k, alike = allowance_of(self.wandering.wander), self.wandering.alike
        near = y - what.dead - k * self.tail.scale
        far = near > self.tail.at and y - self.tail.median >= what.effect
        likelier = self.tail.likelier if self.far else 1.0
        return (
            (up - k - 0.5) / alike,
            (-down - k - 0.5) / alike,
            sparse(self.tail.log_p(near) if far else 0.0, likelier),
            dense(far, likelier),
            (up + down) / 2,
        )

    def best(self, what: Any, off: int) -> tuple[float, int | None]:
        """Return the largest sum of a test that may open, and which sum that is."""
        may = {
            UP: what.up and not off >> UP & 1 and self.recent >= what.effect,
            DOWN: what.down and not off >> DOWN & 1 and -self.recent >= what.effect,
            CLUSTER: what.up and not off >> CLUSTER & 1,
            DENSE: what.up and not off >> CLUSTER & 1,
        }
        best: tuple[float, int | None] = (0.0, None)
        for which, allowed in may.items():
            if allowed and self.sums[which].value > best[0]:
                best = self.sums[which].value, which
        return best

    def step(self, what: Any, y: float, high: float, off: int, at: At) -> Said:
        """Judge one level, then learn it unless something is open."""
        said = Said()
        if self.borrowed:
            high *= Numbers.borrowed_more
        if len(self.window) < Numbers.armed:
            self.window.codes.append(code_of(y))
            if len(self.window) == Numbers.armed:
                self.tail.look(self.window, self.record)
                self.wandering.look_back(self.window)
            return said
        *ratios, score = self.ratios(what, y)
        for one, ratio in zip(self.sums, ratios, strict=True):
            one.add(ratio, Numbers.cap * high, at)
        self.far = y > self.tail.at
        self.recent += 0.1 * (y - self.tail.median - self.recent)
        if self.open is None:
            self.judge(said, what, y, high, off, at)
            if said.alone:
                self.record.note(y)
                return said
        else:
            self.follow(said, ratios[self.open])
            if said.ended == "accepted":
                return said
        self.learn(y, score, bool(said.ended))
        return said

    def judge(self, said: Said, what: Any, y: float, high: float, off: int, at: At) -> None:
        """Open a test, or tell of one call."""
        value, which = self.best(what, off)
        if value >= high and which is not None:
            one = self.sums[which]
            said.opened, said.statistic, said.since = test_of(which), value, one.since
            said.hits, said.hits_of = one.hits, one.n
            self.open, self.open_for, self.closing = which, 0, 0.0
            self.waiting.clear()
            return
        if what.singles and not off >> SINGLE & 1 and y - self.tail.median >= 2 * what.effect:
            said.single = self.surprise(y - what.dead)
        if said.single >= high:
            said.opened, said.alone, said.statistic = SINGLE, True, said.single
            said.since, said.hits, said.hits_of = at, 1, 1

    def follow(self, said: Said, ratio: float) -> None:
        """Close what is open where the reverse has evidence, or where it lasts."""
        self.open_for += 1
        self.closing = max(self.closing - ratio, 0.0)
        if self.closing >= Numbers.closing:
            said.ended = "closed"
            self.end()
        elif self.open_for >= Numbers.lasting:
            said.ended = "accepted"
            self.accept()

    def learn(self, y: float, score: float, ended: bool) -> None:
        """Let a level wait; what has waited long enough is learned, unless something is open."""
        if self.open is not None:
            self.waiting.append(code_of(y))
            return
        if ended:
            self.waiting.clear()
        self.wandering.learn(score)
        if len(self.waiting) == Numbers.guard:
            self.window.codes.append(self.waiting[0])
            self.record.note(self.waiting[0] / Numbers.codes)
            self.tail.follow(self.waiting[0] / Numbers.codes)
            if self.borrowed:
                self.count_own()
        self.waiting.append(code_of(y))
        self.since_look += 1
        if self.since_look >= Numbers.refresh:
            self.since_look = 0
            self.tail.look(self.window, self.record)

    def state(self) -> dict[str, Any]:
        """Return what a record holds of it, by the record's names."""
        return {
            "waiting": list(self.waiting), "sums": [one.state() for one in self.sums],
            "closing": self.closing, "recent": self.recent, "reference": self.reference,
            "wander": self.wandering.wander, "wander_k": allowance_of(self.wandering.wander),
            "pair_var": self.wandering.pair_var,
            "alike": self.wandering.alike, "block_n": len(self.wandering.scores),
            "tail_at": self.tail.at, "tail": self.tail.tail, "tail_alone": self.tail.alone,
            "tail_share": self.tail.share, "record_need": self.tail.need,
            "excess": self.tail.excess, "excess_n": self.tail.excesses,
            "after": self.tail.after, "after_n": self.tail.after_n,
            "learned_far": self.tail.learned_far, "far": self.far,
            "median": self.tail.median, "scale": self.tail.scale,
            "open": -1 if self.open is None else self.open, "epoch_n": len(self.record.epoch),
            "borrowed": self.borrowed, "own": self.own, "ring": list(self.window.codes),
        }  # fmt: skip
