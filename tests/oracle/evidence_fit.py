"""What tokens explain, slowly: a robust regression, sample by sample."""

import math

from oracle.evidence import Numbers


class Fit:
    """Weighted recursive least squares on three terms.

    Every sum is taken in the order of the terms: on streams that leave a coefficient all but
    unknown another order gives other digits.
    """

    def __init__(self, uncertain: float, typical: float) -> None:
        self.theta = [0.0] * 3
        self.spread = [[uncertain if i == j else 0.0 for j in range(3)] for i in range(3)]
        self.typical = typical
        self.n = 0

    def predict(self, x: list[float]) -> float:
        """Return what the terms explain."""
        return in_turn(0.0, self.theta, x)

    def learn(self, x: list[float], y: float, residual: float, least: float) -> None:
        """Learn one sample; its weight is that of a relative error, and falls with its residual."""
        expected = self.predict(x)
        size = max(expected, 0.3 * y, least)
        scale = residual / self.typical if self.n > 20 else 0.0
        weight = 1 / (size * size * (1 + scale * scale))
        unknown = max(self.spread[i][i] for i in range(3)) > Numbers.uncertain_max
        forget = 1.0 if unknown else 1 - 1 / Numbers.fit_memory
        gain = [in_turn(0.0, row, x) for row in self.spread]
        divisor = in_turn(forget / weight, x, gain)
        for i in range(3):
            self.theta[i] += gain[i] * (y - expected) / divisor
            for j in range(3):
                self.spread[i][j] = (self.spread[i][j] - gain[i] * gain[j] / divisor) / forget
        self.n += 1

    def seen(self, x: list[float], least: float) -> bool:
        """Say whether what is expected of x is at least as certain as one sample is."""
        spread = 0.0
        for i in range(3):
            for j in range(3):
                spread += x[i] * self.spread[i][j] * x[j]
        size = max(self.predict(x), least)
        return spread <= size * size

    @property
    def sound(self) -> bool:
        """Say whether the spread can be one; rounding may spoil it."""
        return all(0 < self.spread[i][i] < math.inf for i in range(3))


def new_fit(of_cost: bool) -> Fit:
    """Return a regression that has learned nothing, of cost or of latency."""
    return Fit(1e3, 0.2) if of_cost else Fit(1e8, 0.3)


def in_turn(start: float, a: list[float], b: list[float]) -> float:
    """Return start + a . b, the first product added first."""
    total = start
    for one, other in zip(a, b, strict=True):
        total += one * other
    return total
