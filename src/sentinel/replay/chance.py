"""What the same alerts would find if they came at any other time.

A detector that alarms all the time finds everything; so do its alerts when they are moved.  Recall
says something only as far as it lies above that.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import numpy as np

from sentinel.replay.families import family_of
from sentinel.replay.labels import Span
from sentinel.replay.witness import Times, Told

MOVES: Final = 200
"""Standard error over 40 incidents that are hit independently: 0.006 at most."""
LEAST_MOVE: Final = 0.02
"""Of the time scored, at either end: less would leave alerts within their own incidents."""


def chance_recall(
    spans: list[Span], told: Iterable[Told], span_us: tuple[int, int], seed: str
) -> float | None:
    """Return the mean recall of alerts that are all moved by one time, round the end to the start.

    Parameters
    ----------
    span_us
        From when to when alerts are scored, microseconds.
    seed
        The same one gives the same moves.

    Returns
    -------
    0 to 1; None where there is nothing to find, or no time to move in.
    """
    start, end = span_us
    length = end - start
    if not spans or length <= 0:
        return None
    times: dict[tuple[str, str | None], dict[str | None, list[int]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for one in told:
        times[one.service, family_of(one.metric)][one.model].append((one.at - start) % length)
    rng = random.Random(f"chance/{seed}")  # noqa: S311
    moves = np.array(
        [int(rng.uniform(LEAST_MOVE, 1 - LEAST_MOVE) * length) for _ in range(MOVES)], np.int64
    )
    found = 0
    for span in spans:
        parts = [
            part
            for family in span.families
            for model, part in times[span.service, family].items()
            if model is None or span.model is None or model == span.model
        ]
        mine = np.unique(np.array([at for part in parts for at in part], np.int64))
        window = (span.start - start, span.detect_until - start)
        found += int(_hit(mine, moves, window, length).sum())
    return found / (len(spans) * MOVES)


def _hit(times: Times, moves: Times, window: tuple[int, int], length: int) -> np.ndarray:
    """Return for each move whether one of the moved times lies in the window.

    The window is moved the other way instead, and looked for on this side of the end and beyond.
    """
    first, last = window
    begin = (first - moves) % length
    finish = begin + (last - first)
    hit = np.searchsorted(times, finish, "right") > np.searchsorted(times, begin, "left")
    beyond = np.searchsorted(times, finish - length, "right") > 0
    return hit | (beyond & (finish >= length))
