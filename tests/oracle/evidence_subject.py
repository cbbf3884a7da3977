"""Subjects, slowly: a service and model, and the service as a whole; one call at a time."""

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracle.evidence import NS, WEEK_S, At, Laws, Numbers, Said
from oracle.evidence_fit import new_fit
from oracle.evidence_levels import CLUSTER, DENSE, DOWN, SINGLE, Channel, test_of
from oracle.evidence_rates import DROP, SILENCE, SURGE, Rate, Zone
from oracle.evidence_shares import Share, Speakers
from sentinel.detectors.channels import CHANNELS

LATENCY, TTFT, PROMPT, RESPONSE, COST, SPEED, ERRORS, CUT_OFF, USER, SESSION, RATE = range(11)
TESTS = 4
Key = tuple[str, str, str, str | None]
METRICS = (
    "latency_ms", "ttft_ms", "prompt_tokens", "completion_tokens", "total_tokens", "cost_usd",
    "tokens_per_second", "error",
)  # fmt: skip


@dataclass
class Call:
    """One call: what it says, where it stands, and T."""

    values: dict[str, float]
    """Of METRICS; what it does not say is left out."""
    at: At
    clock: int
    counted_at: int
    """When it counts for the rate: min(time, received)."""
    finish: int = 2
    user: int = 0
    session: int = 0
    event: int = 0


@dataclass
class Subject:
    """Everything that is tested of one service and model, or of a service as a whole."""

    key: Key
    laws: Laws
    high: float
    last: int = 0
    calls: int = 0
    parent: int = 0
    """From whom it borrowed: 0 nobody, 1 its model elsewhere, 2 its house."""
    week: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Calls and seconds, with forgetting."""
    week_at: int = 0
    week_new: int = 0

    def __post_init__(self) -> None:
        self.channels: dict[int, Channel] = {}
        self.fits = {which: new_fit(which == COST) for which in (LATENCY, TTFT, COST)}
        self.shares = [Share(), Share()]
        self.speakers = [Speakers(), Speakers()]
        self.rate = Rate(Zone(self.laws.zone), self.laws.lateness_s)
        self.learned = np.zeros(len(CHANNELS))

    def borrow(self, parent: "Subject") -> None:
        """Take what another one knows: of the same model levels, of any the usual shares."""
        same = parent.key[3] == self.key[3]
        self.parent = 1 if same else 2
        for mine, theirs in zip(self.shares, parent.shares, strict=True):
            mine.calls = min(theirs.calls, float(Numbers.own))
            mine.hits = theirs.hits * (mine.calls / theirs.calls) if theirs.calls > 0 else 0.0
        if not same:
            return
        self.fits = copy.deepcopy(parent.fits)
        for which in (LATENCY, TTFT, COST, SPEED):
            channel = parent.channels.get(which)
            if channel and len(channel.window) >= Numbers.armed and not channel.borrowed:
                self.channels[which] = channel.lent()

    def count_week(self, clock: int) -> None:
        """Count a call of a service, and set its threshold from how often it speaks."""
        self.week_new += 1
        self.week_at = self.week_at or clock
        if self.week_new < Numbers.week_calls:
            return
        seconds = (clock - self.week_at) / NS
        keep = math.exp(-seconds / WEEK_S)
        self.week = [self.week[0] * keep + self.week_new, self.week[1] * keep + seconds]
        self.week_at, self.week_new = clock, 0
        calls_a_week = self.week[0] / max(self.week[1], 1.0) * WEEK_S
        high = math.log(calls_a_week * Numbers.tests_a_service / self.laws.allowed)
        self.high = (self.laws.fixed or max(high, Numbers.threshold_least)) - self.laws.lean

    # What is judged of a call

    def unexplained(self, which: int, v: dict[str, float]) -> tuple[float, float, float] | None:
        """Return residual, value and expected value of latency, first token or cost; learn it."""
        name = METRICS[{LATENCY: 0, TTFT: 1, COST: 5}[which]]
        if name not in v:
            return None
        prompt, response = v.get("prompt_tokens"), v.get("completion_tokens")
        if prompt is None:
            prompt = v.get("total_tokens", 0.0) if response is None else 0.0
        response = response or 0.0
        least, fit, value = (1e-9 if which == COST else 1.0), self.fits[which], v[name]
        if which == COST:
            x = [prompt / 1000, response / 1000, float(prompt <= 0 and response <= 0)]
        else:
            x = [1.0, prompt / 1000, response / 100 if which == LATENCY else 0.0]
        expected = fit.predict(x)
        r = math.log(max(value, least) / max(expected, least))
        r = min(max(r, -Numbers.residual_max), Numbers.residual_max)
        known, seen = self.channels.get(which), fit.seen(x, least)
        if fit.n < Numbers.first_fits or known is None or known.open is None:
            fit.learn(x, value, r, least)
            if which == COST:
                size = abs(r) if abs(r) < 0.5 else 0.5
                fit.typical = max(fit.typical + 0.01 * (size - fit.typical), 0.02)
            if not fit.sound:
                fit = self.fits[which] = new_fit(which == COST)
        if not seen or fit.n <= Numbers.first_fits:
            return None
        return r, value, max(expected, least)

    def levels(self, v: dict[str, float]) -> Any:
        """Yield channel, level, value and what the level is a ratio to, in their order."""
        for which in (LATENCY, TTFT):
            found = self.unexplained(which, v)
            if found:
                yield which, found[0], found[1], math.log(found[2])
        for which, name in ((PROMPT, "prompt_tokens"), (RESPONSE, "completion_tokens")):
            if name in v:
                yield which, math.log(1 + v[name]), v[name], 0.0
        found = self.unexplained(COST, v)
        if found:
            yield COST, found[0], found[1], math.log(found[2])
        nan = float("nan")
        after = v.get("latency_ms", nan) - v.get("ttft_ms", nan)
        if after > 0 and v.get("completion_tokens", nan) > 1:
            speed = math.log(1000 * v["completion_tokens"] / after)
            yield SPEED, speed, v.get("tokens_per_second", nan), 0.0

    def call(self, call: Call, book: "Book") -> None:
        """Show one call to all tests; one that failed says nothing of levels."""
        failed = call.values.get("error", 0.0) > 0
        self.share(0, failed, call, book)
        for which, who in enumerate((call.user, call.session)):
            if who:
                self.speaker(which, who, call, book)
        if failed:
            return
        if call.finish < 2:
            self.share(1, call.finish == 1, call, book)
        for which, y, value, reference in self.levels(call.values):
            self.level(which, y, value, reference, call, book)

    def level(self, which: int, y: float, value: float, reference: float, call: Call,
              book: "Book") -> None:  # fmt: skip
        """Show one level to its channel."""
        channel, what = self.channels.setdefault(which, Channel()), self.laws.levels[which]
        was_open = None if channel.open is None else test_of(channel.open)
        beaten = channel.record.value
        said = channel.step(what, y, self.high, self.laws.off[which], call.at)
        self.learned[which] = len(channel.window)
        pace = 0.1 if len(channel.window) >= 10 else 0.5
        channel.reference += (reference - channel.reference) * pace
        if channel.open is not None or said.opened is not None:
            median = channel.tail.median
            if (median - y if channel.open == DOWN else y - median) >= what.effect:
                book.hits.append((call.event, self.key, which, value))
        if not said.kind:
            return
        test = said.opened if said.opened is not None else was_open
        one_call = test in (SINGLE, CLUSTER)
        base = reference if one_call else channel.reference
        minus = 1 if which in (PROMPT, RESPONSE) else 0
        upper = channel.window.at(0.995)
        record = beaten if test == SINGLE else channel.record.value
        if one_call and record is not None:
            upper = max(upper, record)
        median = channel.tail.median
        observed = value if one_call else math.exp(median + channel.recent + base) - minus
        found = self.finding(said, which, test, call.clock, event=call.event)
        found["statistics"][which * TESTS + SINGLE] = said.single
        found.update(
            observed=observed, usual=math.exp(median + base) - minus,
            lower=math.exp(channel.window.at(0.005) + base) - minus,
            upper=math.exp(upper + base) - minus, borrowed=int(channel.borrowed > 0),
            n=channel.borrowed or len(channel.window),
        )  # fmt: skip
        book.findings.append(found)

    def share(self, which: int, hit: bool, call: Call, book: "Book") -> None:
        """Show one call to the share of failures (0) or of answers cut off (1)."""
        share, channel = self.shares[which], ERRORS + which
        off = bool(self.laws.off[channel] & 1)
        self.learned[channel] = int(share.calls) + 1
        said = share.step(self.laws.shares[which], hit, self.high, off, call.at)
        if hit and share.open:
            book.hits.append((call.event, self.key, channel, 1.0))
        if not said.kind:
            return
        found = self.finding(said, channel, 0, call.clock, event=call.event)
        observed = said.hits / said.hits_of if said.hits_of else share.recent
        found.update(observed=observed, usual=share.mean(), upper=share.usual, n=int(share.calls))
        if self.calls < Numbers.own:
            found["borrowed"] = self.parent
        book.findings.append(found)

    def speaker(self, which: int, who: int, call: Call, book: "Book") -> None:
        """Show who speaks, a user (0) or a session (1)."""
        speakers, channel = self.speakers[which], USER + which
        off = bool(self.laws.off[channel] & 1)
        self.learned[channel] = min(len(speakers.calls) + 1, Numbers.speakers)
        said = speakers.step(who, self.high, off, call.at)
        if speakers.open and who == speakers.who:
            book.hits.append((call.event, self.key, channel, 1.0))
        if not said.kind:
            return
        found = self.finding(said, channel, 0, call.clock, event=call.event)
        expected = speakers.expected
        found.update(
            observed=speakers.hits / speakers.hits_of, usual=expected, n=len(speakers.calls),
            upper=expected + (1 - expected) / 2,
        )  # fmt: skip
        book.findings.append(found)

    # What time brings

    def pass_silence(self, call: Call, book: "Book") -> None:
        """Close what is open where its calls were absent for long; a rate judges that itself."""
        quiet = max(Numbers.quiet_buckets * self.rate.length, Numbers.quiet_s) * NS
        if not self.last or call.clock - self.last <= quiet:
            return
        for which, channel in sorted(self.channels.items()):
            if channel.open is not None:
                self.silenced(which, test_of(channel.open), call, book)
                channel.end()
                channel.waiting.clear()
        parts: list[tuple[int, Share | Speakers]] = [
            *enumerate(self.shares, ERRORS), *enumerate(self.speakers, USER),
        ]  # fmt: skip
        for which, part in parts:
            if part.open:
                self.silenced(which, 0, call, book)
                part.end()

    def silenced(self, channel: int, test: int, call: Call, book: "Book") -> None:
        """Write down that a test ended because nobody called."""
        over = Said(ended="closed")
        book.findings.append(self.finding(over, channel, test, call.clock, event=call.event))

    def close_due(self, now: int, book: "Book") -> None:
        """Close every bucket that is due at second `now`, up to when it has been idle too long."""
        rate = self.rate
        now = min(now, (self.last + self.laws.idle_ns) // NS)
        while rate.length and rate.due <= now:
            if rate.level <= 0 and rate.open is None and rate.pass_gap(now):
                continue
            due, was_open = rate.due, rate.open
            said = rate.close(self.high, self.laws.off[RATE])
            self.learned[RATE] = max(rate.buckets, 0)
            if not said.kind:
                continue
            test = said.opened if said.opened is not None else was_open
            found = self.finding(said, RATE, test, due * NS, event=book.event, due=True)
            calls, usual = (sum(part) for part in zip(*rate.run, strict=True))
            minutes = len(rate.run) * rate.length / 60
            found.update(
                n=rate.buckets, observed=calls / minutes, usual=usual / minutes, hits=int(calls),
                upper=2 * usual / minutes, lower=0.5 * usual / minutes, hits_of=int(usual),
            )  # fmt: skip
            book.findings.append(found)

    # What is told

    def finding(self, said: Said, channel: int, test: int | None, clock: int, *, event: int = 0,
                due: bool = False) -> dict[str, Any]:  # fmt: skip
        """Return what a step said, with the statistic of every test."""
        opened = said.opened is not None
        return {
            "key": self.key, "channel": channel, "test": test, "kind": said.kind, "clock": clock,
            "event": event, "due": due, "threshold": self.high, "borrowed": 0, "last": self.last,
            "linger_ns": Numbers.linger_buckets * self.rate.length * NS,
            "statistic": said.statistic if opened else 0.0,
            "first": said.since if opened else (0, 0, 0), "hits": said.hits if opened else 0,
            "hits_of": said.hits_of if opened else 0, "lower": 0.0, **self.told(),
        }  # fmt: skip

    def told(self) -> dict[str, Any]:
        """Return statistic by channel and test, and ratio to the usual and samples by channel."""
        statistics, ratios = np.zeros((len(CHANNELS), TESTS)), np.zeros(len(CHANNELS))
        for which, channel in self.channels.items():
            if len(channel.window) >= Numbers.armed:
                ratios[which] = math.exp(channel.recent)
            statistics[which, :3] = [one.value for one in channel.sums[:3]]
            dense = channel.sums[DENSE].value
            statistics[which, CLUSTER] = max(statistics[which, CLUSTER], dense)
        for i, share in enumerate(self.shares):
            if share.calls >= Numbers.armed:
                ratios[ERRORS + i] = share.recent / share.mean()
            statistics[ERRORS + i, 0] = max(one.value for one in share.sums)
        for i, speakers in enumerate(self.speakers):
            statistics[USER + i, 0] = speakers.nats
        rate = self.rate
        if rate.buckets > 0 and rate.level > 0:
            ratios[RATE] = rate.recent / rate.level
        statistics[RATE, [SURGE, DROP]] = rate.nats()
        statistics[RATE, SILENCE] = rate.silence()
        return {"statistics": statistics.ravel(), "ratios": ratios, "learned": self.learned.copy()}


def name_of(key: Key) -> int:
    """Return FNV-1a of a key's names, 64 bits."""
    found = 0xCBF29CE484222325
    for byte in "\0".join(part or "" for part in key).encode():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found


class Book:
    """All subjects of a partition, and what is found of them."""

    def __init__(self, laws: Laws) -> None:
        self.laws = laws
        self.subjects: dict[Key, Subject] = {}
        self.findings: list[dict[str, Any]] = []
        self.hits: list[tuple[int, Key, int, float]] = []
        self.event = 0

    def subject(self, key: Key) -> Subject:
        """Return a subject, made where it is new."""
        high = (self.laws.fixed or Numbers.threshold_least) - self.laws.lean
        return self.subjects.setdefault(key, Subject(key, self.laws, high))

    def parent_of(self, subject: Subject, clock: int) -> Subject | None:
        """Return who knows the model best, else who knows most, and knows enough."""
        known = [
            one for key, one in self.subjects.items()
            if key[3] is not None and key[:2] == subject.key[:2]
            and one.calls >= Numbers.parent_calls and clock - one.last <= self.laws.idle_ns
        ]  # fmt: skip

        def knows(one: Subject) -> tuple[bool, int, int]:
            return one.key[3] == subject.key[3], one.calls, -name_of(one.key)

        return max(known, key=knows, default=None)

    def close_all(self, clock: int) -> None:
        """Close what is due at T = `clock`."""
        for subject in self.subjects.values():
            subject.close_due(clock // NS, self)

    def live(self, clock: int) -> list[Key]:
        """Return the keys that are not idle."""
        idle_ns = self.laws.idle_ns
        return [key for key, one in self.subjects.items() if clock - one.last <= idle_ns]

    def take(self, key: tuple[str, str, str, str] | None, call: Call) -> None:
        """Judge one call: what T has passed first, then the call; None: it is not judged."""
        self.event = call.event
        self.close_all(call.clock)
        if key is None:
            return
        whole_key = (*key[:3], None)
        for one in (key, whole_key):
            known = self.subjects.get(one)
            if known and call.clock - known.last > self.laws.idle_ns:
                del self.subjects[one]
        subject, whole = self.subject(key), self.subject(whole_key)
        for one_of_both in (whole, subject):
            one_of_both.pass_silence(call, self)
        if subject.calls == 0 and (parent := self.parent_of(subject, call.clock)):
            subject.borrow(parent)
        whole.count_week(call.clock)
        subject.high = whole.high
        for one_of_both in (whole, subject):
            one_of_both.rate.count(call.counted_at // NS, call.clock // NS)
            one_of_both.last = call.clock
            one_of_both.calls += 1
        whole.share(0, call.values.get("error", 0.0) > 0, call, self)
        subject.call(call, self)
