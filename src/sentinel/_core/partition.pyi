from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sentinel._core.bank import Bank
from sentinel._core.recent import RecentIds

EVENT_REPEATED: int
EVENT_LATE: int
EVENT_STALE: int
EVENT_OVERFLOWED: int
EVENT_UNJUDGED: int
OTHER: str
OTHER_KEY: tuple[str, str, str]

Names = tuple[str, str, str, str]

class Partition:
    bank: Bank
    recent: RecentIds
    clock: int
    max_series: int
    def __init__(
        self,
        *,
        max_series: int = 100_000,
        lateness_ns: int = ...,
        stale_ns: int = ...,
        voters: Sequence[int],
        zscore: float = 3.0,
        iqr: float = 1.5,
        mad: float = 3.5,
        cusum: float = 5.0,
        drift: float = 0.5,
        window_size: int = 1000,
        min_samples: int = 10,
        idle_ns: int = ...,
    ) -> None: ...
    def key_of(self, slot: int) -> tuple[Names, int] | None: ...
    def slot_of(self, key: Names, metric: int) -> int | None: ...
    def adopt(self, key: Names, metric: int) -> int: ...
    def live_slots(self) -> list[int]: ...
    def judge(
        self,
        keys: Sequence[Names],
        key: NDArray[np.int32],
        time: NDArray[np.int64],
        received: NDArray[np.int64],
        values: NDArray[np.float64],
        id_high: NDArray[np.uint64],
        id_low: NDArray[np.uint64],
        offset: NDArray[np.int64],
        index: NDArray[np.int32],
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]: ...
