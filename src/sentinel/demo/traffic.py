"""Traffic of a few imagined services: ten minutes of ordinary calls, then two with trouble.

Token counts are lognormal, latency is a line in the answer's tokens with multiplicative noise, cost
is a price by the token, and a few calls in a thousand fail.  Everything follows from the seed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sentinel.model.event import Event, Prompt, Response

START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday, when history ends and the live part begins, unless told otherwise."""
HISTORY_SECONDS: Final = 600
"""As many calls a second as live, so that counts of calls are known too: some 6,000 to 11,000 of
each service and model, several full windows."""
LIVE_SECONDS: Final = 110


class Route(Struct, frozen=True):
    """One service calling one model."""

    service: str
    model: str
    provider: str
    calls_a_second: float
    prompt_tokens: float
    """Median; so are all that follow."""
    answer_tokens: float
    first_token_ms: float
    token_ms: float
    prompt_usd: float
    """Per million tokens."""
    answer_usd: float
    failing: float
    """Share of calls that fail."""


ROUTES: Final = (
    Route("chat-api", "gpt-4o", "openai", 16, 900, 220, 420, 14, 2.5, 10, 0.004),
    Route("support-bot", "gpt-4o-mini", "azure.ai.openai", 18, 650, 160, 280, 8, 0.15, 0.6, 0.006),
    Route("search-rag", "claude-haiku-4-5", "anthropic", 14, 3_400, 120, 350, 9, 1, 5, 0.003),
    Route("code-assist", "claude-sonnet-4-5", "anthropic", 12, 5_200, 480, 600, 13, 3, 15, 0.005),
    Route("report-gen", "gpt-4.1", "openai", 11, 2_100, 700, 450, 12, 2, 8, 0.004),
    Route("report-gen", "gpt-4.1-mini", "openai", 10, 1_500, 380, 300, 7, 0.4, 1.6, 0.004),
)

_FAILURES: Final = ("429 rate limit reached", "504 gateway timeout", "500 internal server error")


class Plant(Struct, frozen=True):
    """One incident that is put into the live part."""

    kind: str
    types: tuple[str, ...]
    """Types of incident that are a true finding of it."""
    route: int
    start: float
    """Seconds into the live part."""
    end: float
    size: float


def planted(seed: int) -> list[Plant]:
    """Return the five incidents of a seed: where, when and how large, in order of their start."""
    rng = np.random.default_rng([seed, 1])
    routes = rng.permutation(len(ROUTES))
    shift = rng.uniform(-2, 2, 5)
    size = rng.uniform(0.9, 1.2, 5)
    kinds = (
        ("error burst", ("error_rate_increase",), 18.0, 42.0, 0.6),
        ("latency spike", ("latency_spike",), 33.0, 53.0, 5.0),
        ("token runaway", ("token_usage_spike", "cost_anomaly", "latency_spike"), 48.0, 66.0, 9.0),
        ("cost jump", ("cost_anomaly",), 62.0, 82.0, 7.0),
        ("latency drift", ("latency_drift", "latency_spike"), 68.0, 100.0, 4.0),
    )
    return [
        Plant(kind, types, int(routes[i]), start + shift[i], end + shift[i], scale * size[i])
        for i, (kind, types, start, end, scale) in enumerate(kinds)
    ]


class Traffic:
    """The calls of one seed.

    Parameters
    ----------
    start : datetime
        When the live part begins.
    pace : float
        How long a second of the live part takes; 0.5: twice as fast, with twice the calls a second.
    """

    def __init__(self, seed: int, *, start: datetime = START, pace: float = 1.0) -> None:
        self.seed, self.start, self.pace = seed, start, pace
        self.plants = planted(seed)
        self.odd_call = (int(np.random.default_rng([seed, 2]).integers(len(ROUTES))), 11.0)
        """Route and second of one call that is strange by itself and means nothing."""

    def second_of(self, when: datetime) -> float:
        """Return the second of the live part at an instant."""
        return (when - self.start).total_seconds() / self.pace

    def history(self) -> Iterator[bytes]:
        """Yield ten minutes of ordinary calls as bodies of NDJSON."""
        rng = np.random.default_rng([self.seed, 3])
        when, route = _ordinary(rng, HISTORY_SECONDS)
        start = self.start - timedelta(seconds=HISTORY_SECONDS * self.pace)
        calls = _Calls(rng, start, when, route, self.pace)
        for first in range(0, len(calls), 2_000):
            yield calls.body(first, first + 2_000)

    def live(self) -> Iterator[tuple[float, bytes]]:
        """Yield the live part in steps of a quarter of a second: its second, and its calls."""
        rng = np.random.default_rng([self.seed, 4])
        when, which = _ordinary(rng, LIVE_SECONDS)
        calls = _Calls(rng, self.start, when, which, self.pace)
        for plant in self.plants:
            calls.plant(plant, rng)
        calls.make_odd(*self.odd_call)
        steps = np.arange(0.25, LIVE_SECONDS + 0.25, 0.25)
        ends = np.searchsorted(calls.when, steps)
        first = 0
        for second, end in zip(steps.tolist(), ends.tolist(), strict=True):
            yield second, calls.body(first, end)
            first = end


def _ordinary(
    rng: np.random.Generator, seconds: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return second and route of as many calls as come in some seconds, in order of time."""
    times, routes = [], []
    for number, route in enumerate(ROUTES):
        count = int(rng.poisson(route.calls_a_second * seconds))
        times.append(rng.uniform(0, seconds, count))
        routes.append(np.full(count, number))
    when, which = np.concatenate(times), np.concatenate(routes)
    order = np.argsort(when, kind="stable")
    return when[order], which[order]


class _Calls:
    """Calls in order of time, as columns."""

    def __init__(
        self,
        rng: np.random.Generator,
        start: datetime,
        when: NDArray[np.float64],
        route: NDArray[np.int64],
        pace: float = 1.0,
    ) -> None:
        n = len(when)
        self._start, self.when, self._route, self._pace = start, when, route, pace
        by_route = [ROUTES[number] for number in route.tolist()]
        self._routes = by_route

        def each(name: str) -> NDArray[np.float64]:
            return np.array([getattr(r, name) for r in by_route])

        self.prompt = np.maximum(1, np.round(each("prompt_tokens") * _noise(rng, n, 0.25)))
        self.answer = np.maximum(1, np.round(each("answer_tokens") * _noise(rng, n, 0.25)))
        self._first, self._token = each("first_token_ms"), each("token_ms")
        self._noise = _noise(rng, n, 0.14)
        self.slower = np.ones(n)
        self.dearer = np.ones(n)
        self.failed = rng.random(n) < each("failing")
        self._failure = rng.integers(0, len(_FAILURES), n)
        self._user = rng.integers(0, 300, n)
        self._ids = rng.integers(0, 256, (n, 16), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.when)

    def plant(self, plant: Plant, rng: np.random.Generator) -> None:
        """Put an incident into the calls that lie in it."""
        inside = (self._route == plant.route) & (self.when >= plant.start) & (self.when < plant.end)
        if plant.kind == "error burst":
            burst = inside & (rng.random(len(self)) < plant.size)
            self.failed |= burst
            self._failure[burst] = 0
        elif plant.kind == "latency spike":
            self.slower[inside] *= plant.size
        elif plant.kind == "token runaway":
            self.answer[inside] = np.round(self.answer[inside] * plant.size)
            self.prompt[inside] = np.round(self.prompt[inside] * plant.size)
        elif plant.kind == "cost jump":
            self.dearer[inside] *= plant.size
        else:
            way = (self.when[inside] - plant.start) / (plant.end - plant.start)
            self.slower[inside] *= 1 + (plant.size - 1) * np.minimum(1, way / 0.7)

    def make_odd(self, route: int, second: float) -> None:
        """Make one call 1.7 times as slow."""
        at = np.flatnonzero((self._route == route) & (self.when >= second))
        self.slower[at[0]] *= 1.7

    def body(self, first: int, end: int) -> bytes:
        """Return calls as NDJSON."""
        events = [self._event(i) for i in range(first, min(end, len(self)))]
        return msgspec.json.Encoder().encode_lines(events)

    def _event(self, i: int) -> Event:
        route = self._routes[i]
        at = self._start + timedelta(microseconds=int(self.when[i] * self._pace * 1e6))
        identity = self._ids[i].tobytes().hex()
        failed = bool(self.failed[i])
        prompt, answer = int(self.prompt[i]), int(self.answer[i])
        latency = (self._first[i] + self._token[i] * answer) * self._noise[i] * self.slower[i]
        cost = (prompt * route.prompt_usd + answer * route.answer_usd) / 1e6 * self.dearer[i]
        if failed:
            latency = self._first[i] * self._noise[i]
        return Event(
            service_name=route.service,
            event_id=f"{identity[:8]}-{identity[8:12]}-4{identity[13:16]}-"
            f"8{identity[17:20]}-{identity[20:]}",
            timestamp=at,
            model=route.model,
            provider=route.provider,
            prompt=Prompt(tokens=prompt),
            response=None if failed else Response(tokens=answer, finish_reason="stop"),
            latency_ms=round(float(latency), 1),
            cost_usd=None if failed else round(float(cost), 8),
            user_id=f"user-{int(self._user[i])}",
            errors=[_FAILURES[int(self._failure[i])]] if failed else [],
        )


def _noise(rng: np.random.Generator, n: int, sigma: float) -> NDArray[np.float64]:
    return np.exp(sigma * rng.standard_normal(n))
