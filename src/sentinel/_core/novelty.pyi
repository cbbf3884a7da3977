import numpy as np
from numpy.typing import NDArray

VERSION: int

class BadRecord(ValueError): ...

class Novelty:
    samples: int
    statistic: float
    limit: float
    def score(
        self, values: NDArray[np.float64], threshold: float = 0.85
    ) -> NDArray[np.float64]: ...
    def remembered(self) -> NDArray[np.float64]: ...
    def save(self) -> bytes: ...
    @staticmethod
    def load(record: bytes) -> Novelty: ...
