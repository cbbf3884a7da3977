from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sentinel.model.event import Event, Response

class Tariff:
    def __init__(self, prices: Sequence[Sequence[float]]) -> None: ...

class Costs:
    def __init__(
        self,
        event: type[Event],
        response: type[Response],
        find: Callable[[str, str | None, str | None], Tariff | None],
    ) -> None: ...
    def fill(
        self,
        events: list[Event],
        fault: NDArray[np.uint16],
        time: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> dict[str, int] | None: ...
