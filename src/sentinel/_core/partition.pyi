from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel._core.bank import Bank
from sentinel._core.evidence import Evidence
from sentinel._core.recent import RecentIds
from sentinel._core.roster import Names, Roster

EVENT_REPEATED: int
EVENT_LATE: int
EVENT_STALE: int
EVENT_OVERFLOWED: int
EVENT_UNJUDGED: int

class Partition:
    roster: Roster
    bank: Bank
    evidence: Evidence
    recent: RecentIds
    clock: int
    def __init__(
        self,
        *,
        laws: dict[str, Any],
        lateness_ns: int = ...,
        stale_ns: int = ...,
        max_series: int = 100_000,
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
    def advance(self, clock: int) -> None: ...
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
        finish: NDArray[np.uint8],
        user: NDArray[np.uint32],
        session: NDArray[np.uint32],
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]: ...
