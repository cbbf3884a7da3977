from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel._core.bank import Bank

VoteArrays = tuple[
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.int8],
    NDArray[np.int8],
    NDArray[np.int64],
    NDArray[np.float64],
]
Numbers = tuple[int, float, float, float, float, float, float, float, float]

def score_of(statistic: float, threshold: float) -> float: ...
def votes(bank: Bank) -> VoteArrays: ...
def verdicts(bank: Bank) -> dict[str, NDArray[Any]]: ...
def summary(bank: Bank, slot: int) -> Numbers | None: ...
def samples(bank: Bank, slot: int) -> NDArray[np.float64]: ...
def last_of(bank: Bank, slot: int) -> int: ...
