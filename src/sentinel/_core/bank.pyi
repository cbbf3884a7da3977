from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class Bank:
    capacity: int
    live: int
    idle_ns: int
    def __init__(
        self,
        *,
        voters: Sequence[int],
        zscore: float = 3.0,
        iqr: float = 1.5,
        mad: float = 3.5,
        cusum: float = 5.0,
        drift: float = 0.5,
        window_size: int = 1000,
        min_samples: int = 10,
        capacity: int = 100_000,
        idle_ns: int = ...,
    ) -> None: ...
    def set_thresholds(
        self,
        *,
        voters: Sequence[int],
        zscore: float,
        iqr: float,
        mad: float,
        cusum: float,
        drift: float,
    ) -> None: ...
    def open(self, key: int = 0, metric: int = 0) -> int: ...
    def judge(
        self,
        slot: NDArray[np.int32],
        value: NDArray[np.float64],
        time: NDArray[np.int64],
        every: bool = False,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
