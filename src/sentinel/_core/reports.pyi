from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel._core.bank import Bank

Fired = tuple[
    int,
    int,
    int,
    float,
    float | None,
    float,
    float,
    float | None,
    int,
    float,
    float,
    float,
    float | None,
    float | None,
]
Numbers = tuple[int, float, float, float, float, float, float, float, float]

def score_of(statistic: float, threshold: float) -> float: ...
def fired(bank: Bank) -> list[Fired]: ...
def verdicts(bank: Bank) -> dict[str, NDArray[Any]]: ...
def summary(bank: Bank, slot: int) -> Numbers | None: ...
def samples(bank: Bank, slot: int) -> NDArray[np.float64]: ...
def last_of(bank: Bank, slot: int) -> int: ...
