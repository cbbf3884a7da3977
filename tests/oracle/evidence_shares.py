"""Shares and speakers, slowly: how many calls go one of two ways, and who takes how many."""

import math
from collections import deque
from typing import Any

from oracle.evidence import At, Numbers, Said, Sum


class Share:
    """The share of calls that fail, or whose answers are cut off."""

    def __init__(self) -> None:
        self.sums = [Sum(), Sum()]
        self.calls = self.hits = self.closing = self.usual = self.recent = 0.0
        self.ratio_hit = [0.0, 0.0]
        self.ratio_miss = [0.0, 0.0]
        self.open_for = self.open_hits = 0
        self.since_look = Numbers.share_refresh
        self.open = False

    def mean(self) -> float:
        """Return the usual share."""
        return (self.hits + Numbers.share_prior_hits) / (self.calls + Numbers.share_prior_calls)

    def look(self, more: float, large: float) -> None:
        """Take the log-likelihood ratios from what is usual now, at its upper end."""
        p, n = self.mean(), self.calls + Numbers.share_prior_calls
        p = self.usual = min(p + math.sqrt(p * (1 - p) / n) + 1 / n, 0.5)
        for i, shifted in enumerate((p + more, min(max(p + 2.5 * more, large), 0.9))):
            self.ratio_hit[i] = math.log(shifted / p)
            self.ratio_miss[i] = math.log((1 - shifted) / (1 - p))

    def end(self) -> None:
        """Close what is open; the usual is looked at again."""
        self.open = False
        self.since_look = Numbers.share_refresh
        for one in self.sums:
            one.value = 0.0

    def accept(self) -> None:
        """Take the share of now, as if 64 calls had shown it."""
        share = self.open_hits / self.open_for if self.open_for else self.recent
        self.calls, self.hits = 64.0, 64 * share
        self.end()

    def step(self, law: tuple[float, float], hit: bool, high: float, off: bool, at: At) -> Said:
        """Judge one call, then learn it unless the test is open."""
        said = Said()
        self.recent += (hit - self.recent) / 30
        if self.calls < Numbers.armed:
            self.calls += 1
            self.hits += hit
            self.since_look = Numbers.share_refresh
            return said
        if self.since_look >= Numbers.share_refresh and not self.open:
            self.since_look = 0
            self.look(*law)
        self.since_look += 1
        for one, yes, no in zip(self.sums, self.ratio_hit, self.ratio_miss, strict=True):
            one.add(yes if hit else no, Numbers.cap * high, at)
        larger = self.sums[1] if self.sums[1].value > self.sums[0].value else self.sums[0]
        if not self.open:
            if larger.value >= high and not off:
                said.opened, said.statistic, said.since = 0, larger.value, larger.since
                said.hits, said.hits_of = larger.hits, larger.n
                self.open, self.open_for, self.open_hits, self.closing = True, 0, 0, 0.0
        else:
            self.follow(said, hit)
        if not self.open:
            forget = 1 - 1 / Numbers.share_memory
            self.calls = self.calls * forget + 1
            self.hits = self.hits * forget + hit
        return said

    def follow(self, said: Said, hit: bool) -> None:
        """Close what is open where the reverse has evidence, or where it lasts."""
        self.open_for += 1
        self.open_hits += hit
        self.closing = max(self.closing - (self.ratio_hit if hit else self.ratio_miss)[0], 0.0)
        if self.closing >= Numbers.closing:
            said.ended = "closed"
            self.end()
        elif self.open_for >= Numbers.lasting:
            said.ended = "accepted"
            self.accept()

    def state(self) -> dict[str, Any]:
        """Return what a record holds of it, by the record's names."""
        return {
            "calls": self.calls, "hits": self.hits, "closing": self.closing, "usual": self.usual,
            "recent": self.recent, "ratio_hit": self.ratio_hit, "ratio_miss": self.ratio_miss,
            "sums": [one.state() for one in self.sums], "open": 0 if self.open else -1,
        }  # fmt: skip


class Speakers:
    """Who speaks: one user, or one session, that takes far more of the calls than its share."""

    def __init__(self) -> None:
        self.calls: deque[int] = deque(maxlen=Numbers.speakers)
        self.usual = [0.0, 0.0]
        self.hits = self.hits_of = self.quiet_for = self.who = 0
        self.expected = self.nats = 0.0
        self.open = False

    def surplus(self, who: int) -> tuple[float, int, int, float]:
        """Return the evidence of one who speaks, his calls, of how many, and what was expected."""
        calls = list(self.calls)
        before, window = calls[: -Numbers.middle], calls[-Numbers.middle :]
        expected = max(
            (before.count(who) + 1) / (len(before) + 50), Numbers.expected_least
        )  # fmt: skip
        expected += math.sqrt(expected * (1 - expected) / len(before))
        best = 0.0, self.hits, self.hits_of, self.expected
        for usual, m, least in zip(
            self.usual, (Numbers.middle, Numbers.short),
            (Numbers.middle_least, Numbers.short_least), strict=True,
        ):  # fmt: skip
            count = window[-m:].count(who)
            allowed = max(expected, min(2 * usual, 0.5))
            f = count / m
            if count < least or f <= allowed:
                continue
            away = (1 - f) * math.log((1 - f) / (1 - allowed)) if f < 1 else 0.0
            nats = m * (f * math.log(f / allowed) + away) - Numbers.scan_nats
            if nats > best[0]:
                best = nats, count, m, expected
        return best

    def step(self, who: int, high: float, off: bool, at: At) -> Said:
        """Judge who speaks now."""
        said = Said()
        self.calls.append(who)
        n = len(self.calls)
        if n <= Numbers.middle:
            return said
        nats = 0.0
        if n >= Numbers.armed + Numbers.middle:
            nats, hits, of, expected = self.surplus(who)
            if not self.open:
                self.hits, self.hits_of, self.expected = hits, of, expected
        if nats < 0.5 * high:
            self.learn(who)
        self.nats = said.statistic = nats
        said.hits, said.hits_of = self.hits, self.hits_of
        if not self.open:
            if nats >= high and not off:
                self.open, self.who, self.quiet_for = True, who, 0
                said.opened, said.since = 0, at
        else:
            self.quiet_for = 0 if nats >= 0.5 * high else self.quiet_for + 1
            if self.quiet_for >= Numbers.middle:
                self.end()
                said.ended = "closed"
        return said

    def end(self) -> None:
        """Close what is open."""
        self.open = False

    def learn(self, who: int) -> None:
        """Learn what share of the newest calls is usually the speaker's, beside this call."""
        n = len(self.calls)
        armed = n >= Numbers.armed + Numbers.middle
        memory = Numbers.usual_memory if armed else n - Numbers.middle
        newest = list(self.calls)
        for i, m in enumerate((Numbers.middle, Numbers.short)):
            share = (newest[-m:].count(who) - 1) / (m - 1)
            self.usual[i] += (share - self.usual[i]) / memory

    def state(self) -> dict[str, Any]:
        """Return what a record holds of it, by the record's names."""
        return {
            "usual": self.usual, "who": self.who, "n": len(self.calls), "nats": self.nats,
            "hits": self.hits, "hits_of": self.hits_of, "expected": self.expected,
            "quiet_for": self.quiet_for, "open": 0 if self.open else -1, "ring": list(self.calls),
        }  # fmt: skip
