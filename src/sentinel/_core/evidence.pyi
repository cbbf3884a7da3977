from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Subject = tuple[str, str, str, str | None]

class Evidence:
    def __init__(self, *, lateness_ns: int, idle_ns: int, **laws: Any) -> None: ...
    def judge_by(
        self,
        *,
        levels: Sequence[tuple[float, float, bool, bool, bool]],
        shares: Sequence[tuple[float, float]],
        off: Sequence[int],
        fixed: float,
        allowed: float,
        lean: float,
        zone: Sequence[tuple[int, int]],
    ) -> None: ...
    def subjects_live(self, clock: int) -> list[Subject]: ...
    def touched_at(self, key: Subject) -> int: ...
    def learned(self, key: Subject) -> list[int] | None: ...
    def accept(self, key: Subject, channel: int) -> bool: ...
    def judge(
        self,
        keys: Sequence[tuple[str, str, str, str]],
        key: NDArray[np.int32],
        values: NDArray[np.float64],
        time: NDArray[np.int64],
        clock: NDArray[np.int64],
        finish: NDArray[np.uint8],
        user: NDArray[np.uint32],
        session: NDArray[np.uint32],
    ) -> None: ...
    def advance(self, clock: int) -> None: ...
    def findings(self) -> list[dict[str, Any]]: ...
    def hits(self) -> list[tuple[int, Subject, int, float]]: ...
