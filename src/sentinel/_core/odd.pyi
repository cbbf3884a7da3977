"""Whether any row of a batch needs a second look."""

import numpy as np
from numpy.typing import NDArray

def is_odd(
    fault: NDArray[np.uint16],
    time: NDArray[np.int64],
    values: NDArray[np.float64],
    upper: NDArray[np.float64],
    least_of: int,
    least: float,
    latest: int,
) -> bool:
    """Tell whether a row is at fault, is later than `latest`, or has a value outside its limits.

    A value lies outside above its `upper`, one a column, and that of column `least_of` below
    `least`.  NaN lies inside.  Raises ValueError where the columns are not of one length.
    """
