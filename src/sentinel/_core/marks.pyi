from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CUT_OFF: frozenset[str]

class Marker:
    def __init__(self, event: type, response: type) -> None: ...
    def read(
        self, events: Sequence[object]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint32]]: ...
