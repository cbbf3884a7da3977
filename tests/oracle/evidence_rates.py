"""Rates, slowly: buckets of event time against the recent level, the hour and the hour of the week.

A bucket is a number k: it begins at second k x length, and is closed when T is `lateness` past its
end.
"""

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.evidence import HOUR_S, NS, WEEK_S, At, Height, Numbers, Said, Sum, allowance_of

SURGE, DROP, SILENCE = range(3)
DAYS, WEEKS = 4, 3
"""Of how many days, and weeks, an hour is the mean; then the oldest counts less and less."""


def held(x: float, low: float, high: float) -> float:
    """Return x, but no less than `low` and no more than `high`."""
    return min(max(x, low), high)


def is_weekend(day: int) -> bool:
    """Say whether a day since 1970, a Thursday, is a Saturday or a Sunday."""
    return day % 7 in (2, 3)


@dataclass
class Zone:
    """Local time: from which second on how many seconds are added to UTC."""

    changes: list[tuple[int, int]]

    def hour(self, second: int) -> int:
        """Return local hours since 1970, a Thursday; before the first change as after it."""
        if not self.changes:
            return second // HOUR_S
        at = bisect_right([change for change, _ in self.changes], second)
        return (second + self.changes[max(at - 1, 0)][1]) // HOUR_S


class Hours:
    """Calls a second in each hour of the day, or of the week, as 32-bit numbers."""

    def __init__(self, slots: int, memory: int) -> None:
        self.mean = np.zeros(slots, np.float32)
        self.n = np.zeros(slots, np.uint8)
        self.memory = memory

    def learn(self, hour: int, rate: float) -> None:
        """Learn one hour."""
        slot = hour % len(self.mean)
        self.n[slot] = min(self.n[slot] + 1, self.memory)
        self.mean[slot] += np.float32((rate - float(self.mean[slot])) / int(self.n[slot]))

    def rate(self, hour: int) -> float | None:
        """Return calls a second at this hour, or None where it was not seen yet."""
        slot = hour % len(self.mean)
        return float(self.mean[slot]) if self.n[slot] else None


class Rate:
    """How many calls come."""

    def __init__(self, zone: Zone, lateness: int) -> None:
        self.zone, self.lateness = zone, lateness
        self.length = self.bucket = self.since = self.calls = 0
        self.next_choice = Numbers.first_calls
        self.counts: Counter[int] = Counter()
        self.day, self.week = Hours(24, DAYS), Hours(168, WEEKS)
        self.sums = [Sum(), Sum()]
        self.heights = [Height(), Height()]
        self.over = self.wander = 0.1
        self.level = self.recent = self.silent_calls = self.z = 0.0
        self.silent_from = 0
        self.silences = [0, 0]
        self.run: list[tuple[float, float]] = []
        """Calls and usual calls of each bucket since both sums were zero."""
        self.scores: list[float] = []
        self.blocks = self.buckets = self.open_for = 0
        self.hour: int | None = None
        self.of_hour: list[float] = []
        self.open: int | None = None

    # Calls

    def count(self, at: int, now: int) -> None:
        """Count a call of second `at`, at T = `now`."""
        if self.calls == 0:
            self.since = now
        self.calls += 1
        if self.length:
            bucket = at // self.length
            if self.bucket <= bucket < self.bucket + Numbers.open_buckets:
                self.counts[bucket] += 1
        if self.calls >= self.next_choice:
            self.choose_length(now)

    def choose_length(self, now: int) -> None:
        """Choose how long a bucket is; one that is not half wrong stays."""
        seconds = max(now - self.since, 1)
        want = Numbers.calls_a_bucket * seconds / self.calls
        self.next_choice *= 2
        if self.length and (
            self.open is not None or 0.5 * self.length <= want <= 1.5 * self.length
        ):
            return
        fits = [
            length for length in Numbers.bucket_grid
            if length >= want and length * (Numbers.open_buckets - 2) >= self.lateness
        ]  # fmt: skip
        self.length = fits[0] if fits else Numbers.bucket_grid[-1]
        self.bucket = now // self.length
        self.counts.clear()
        self.buckets = -1
        self.level = self.recent = self.calls / seconds * self.length
        self.over = self.wander = 0.1
        self.end_sums()
        self.scores, self.blocks = [], 0
        self.silent_calls = 0.0
        self.hour = None

    @property
    def due(self) -> int:
        """The second at which the oldest bucket is to be closed."""
        return (self.bucket + 1) * self.length + self.lateness

    # Forecasts

    def deviation(self, count: float, forecast: float) -> float:
        """Return z of a count: square roots, over what counts vary beyond Poisson."""
        roots = math.sqrt(count + 0.375) - math.sqrt(forecast + 0.375)
        return 2 * roots / math.sqrt(1 + self.over * forecast)

    def compare(self, count: float) -> tuple[float, float]:
        """Return z against the mildest forecast, 0 where they disagree; and the least forecast."""
        hour = self.zone.hour(self.bucket * self.length + self.length // 2)
        known = [hours.rate(hour) for hours in (self.day, self.week)]
        forecasts = [self.level, *(rate * self.length for rate in known if rate is not None)]
        scores = [self.deviation(count, forecast) for forecast in forecasts]
        if len(scores) > 1 and not (all(z > 0 for z in scores) or all(z < 0 for z in scores)):
            return 0.0, min(forecasts)
        return held(min(scores, key=abs), -5, 5), min(forecasts)

    def is_unknown_day(self) -> bool:
        """Say whether the bucket's hour is known, but only of the other kind of day."""
        hour = self.zone.hour(self.bucket * self.length + self.length // 2)
        seen = {is_weekend(day) for day in range(7) if self.week.n[day * 24 + hour % 24]}
        return seen == {not is_weekend(hour // 24)}

    # Buckets

    def close(self, high: float, off: int) -> Said:
        """Close the oldest bucket: judge its count, then learn it unless something is open."""
        said, count = Said(), float(self.counts.pop(self.bucket, 0))
        if self.level <= 0 and count > 0:
            self.buckets = 0
        self.buckets += 1
        if self.buckets <= 0:
            self.bucket += 1
            return said
        self.recent += (count - self.recent) / 4
        self.z, least = self.compare(count)
        self.add(count, high)
        self.follow_silence(count, least)
        if self.buckets < Numbers.warm_buckets or self.is_unknown_day():
            self.end_sums()
            self.silent_calls = 0.0
        elif self.open is None:
            for height, one in zip(self.heights, self.sums, strict=True):
                height.follow(one.value, high)
        evidence = [*self.nats(), self.silence()]
        evidence = [0.0 if off >> test & 1 else value for test, value in enumerate(evidence)]
        if self.open is None:
            self.judge(said, evidence, high)
        else:
            self.follow(said, evidence, high, count)
        if self.open is None and said.ended != "accepted":
            self.learn(count)
        if self.open is None:
            self.learn_hours(count)
        self.bucket += 1
        return said

    def add(self, count: float, high: float) -> None:
        """Add a bucket's evidence to both sums."""
        k = allowance_of(self.wander)
        begins: At = (self.bucket * self.length * NS, -1, -1)
        if self.sums[SURGE].value <= 0 and self.sums[DROP].value <= 0:
            self.run = []
        self.run.append((count, self.level))
        for one, height, sign in zip(self.sums, self.heights, (1, -1), strict=True):
            ratio = Numbers.rate_shift * (sign * self.z - k - 0.5 * Numbers.rate_shift)
            one.add(ratio, Numbers.cap * high * height.worth, begins)

    def nats(self) -> list[float]:
        """Return the evidence of a surge and of a drop, worth less where it rises by itself."""
        return [
            one.value / height.worth for one, height in zip(self.sums, self.heights, strict=True)
        ]

    def judge(self, said: Said, evidence: list[float], high: float) -> None:
        """Open a test."""
        if max(evidence) < high:
            return
        quiet = SILENCE if self.silent_calls > 0 else DROP
        self.open = SURGE if evidence[SURGE] >= high else quiet
        self.open_for = 0
        said.opened = self.open
        said.statistic = evidence[SURGE] if self.open == SURGE else max(evidence[DROP:])
        said.since = self.sums[SURGE if self.open == SURGE else DROP].since
        if self.open == SILENCE:
            said.since = (self.silent_from * NS, -1, -1)

    def follow(self, said: Said, evidence: list[float], high: float, count: float) -> None:
        """Close what is open once calls come as they used to, or where it lasts."""
        self.open_for += 1
        over = max(evidence[:SILENCE]) < 0.3 * high or abs(self.z) < 0.75
        if count > 0 and over:
            said.ended = "closed"
        elif self.open_for >= Numbers.lasting_buckets:
            said.ended = "accepted"
            self.level = count
        if said.ended:
            self.end()

    def end(self) -> None:
        """Close what is open."""
        self.open = None
        self.end_sums()

    def end_sums(self) -> None:
        """Begin both sums anew; how high they were is no peak."""
        for one, height in zip(self.sums, self.heights, strict=True):
            one.value, height.path = 0.0, []

    def accept(self) -> None:
        """Take the level of now for what is usual."""
        self.level = self.recent
        self.end()

    # What is learned

    def learn(self, count: float) -> None:
        """Learn wandering, over-dispersion and level from a bucket."""
        self.scores.append(held(self.z, -3, 3))
        if len(self.scores) == 4:
            self.blocks = min(self.blocks + 1, 32)
            mean = sum(self.scores) / 4
            most = 5 * max(self.wander, 0.1)
            extra = min(mean * mean - 0.25, most)
            self.wander = max(self.wander + (extra - self.wander) / (self.blocks + 2), 0.0)
            self.scores = []
        level = self.level
        extra = ((count - level) ** 2 - level) / (level * level if level > 1 else 1)
        most = (8 if self.buckets < 40 else 4) * max(self.over, 0.05)
        self.over += (min(extra, most) - self.over) / (min(self.buckets, 80) + 4)
        self.over = max(self.over, 0.02)
        if self.buckets <= 4:
            self.level += (count - level) / self.buckets
        else:
            self.level += (max(min(count, 3 * level + 4), 0.25 * level - 2) - level) / 16

    def learn_hours(self, count: float) -> None:
        """Give the hours that the bucket covers what it counted; half an hour seen is one seen."""
        start = self.bucket * self.length
        if self.length > HOUR_S:
            for second in range(start, start + self.length, HOUR_S):
                self.learn_hour(self.zone.hour(second), count / self.length)
            return
        hour = self.zone.hour(start + self.length // 2)
        if hour != self.hour:
            seconds = len(self.of_hour) * self.length
            if self.hour is not None and seconds >= HOUR_S // 2:
                self.learn_hour(self.hour, sum(self.of_hour) / seconds)
            self.hour, self.of_hour = hour, []
        self.of_hour.append(count)

    def learn_hour(self, hour: int, rate: float) -> None:
        """Learn an hour of the day and of the week."""
        self.day.learn(hour, rate)
        self.week.learn(hour, rate)

    # Silence

    def silence(self) -> float:
        """Return -ln of the chance of this silence; 0 unless twice as long as those before."""
        lasted = (self.bucket + 1) * self.length - self.silent_from
        if self.silent_calls <= 0 or lasted < 2 * self.silences[1] + self.length:
            return 0.0
        return math.log(1 + self.over * self.silent_calls) / self.over / self.heights[DROP].worth

    def follow_silence(self, count: float, expected: float) -> None:
        """Add what was expected while nothing came; a silence that ends is noted."""
        if count > 0:
            if self.silent_calls > 0:
                lasted = self.bucket * self.length - self.silent_from
                if lasted > self.silences[0]:
                    self.silences = [lasted, self.silences[0]]
                elif lasted > self.silences[1]:
                    self.silences[1] = lasted
            self.silent_calls = 0.0
            return
        if self.silent_calls <= 0:
            self.silent_from = self.bucket * self.length
        self.silent_calls += max(expected, 1e-9)

    def pass_gap(self, now: int) -> bool:
        """Pass the empty buckets of a silence that is accepted; says whether there were any."""
        last, begun = (now - self.lateness) // self.length, self.bucket
        if not self.counts.total():
            self.bucket = max(self.bucket, last - WEEK_S // self.length)
        while self.bucket < last and not self.counts[self.bucket]:
            self.learn_hours(0.0)
            self.bucket += 1
        return self.bucket > begun

    def state(self) -> dict[str, Any]:
        """Return what a record holds of it, by the record's names."""
        return {
            "length": self.length, "bucket": self.bucket, "since": self.since,
            "calls": self.calls, "next_choice": self.next_choice, "level": self.level,
            "recent": self.recent, "over": self.over, "wander": self.wander, "z": self.z,
            "silent_calls": self.silent_calls, "silent_from": self.silent_from,
            "longest": self.silences, "buckets": self.buckets, "open_for": self.open_for,
            "run_calls": sum(calls for calls, _ in self.run), "run_buckets": len(self.run),
            "run_expected": sum(usual for _, usual in self.run),
            "sums": [one.state() for one in self.sums],
            "heights": [height.state() for height in self.heights],
            "open": -1 if self.open is None else self.open,
            "day": self.day.mean, "week": self.week.mean,
            "day_n": self.day.n, "week_n": self.week.n,
        }  # fmt: skip
