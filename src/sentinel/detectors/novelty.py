"""Novelty: a stretch of a series unlike all that it has had before."""

from typing import Annotated

from msgspec import Meta, Struct


class Novelty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last stretch lies far from every earlier one, at several scales at once.

    At scales of 1, 2, 4, 8 and 16 samples the means of the last eight blocks are compared with
    every earlier eight; the distance to the nearest, and that to a slow mean, are held against the
    maxima that they reach anyway in blocks of 64. The statistic is the mean over these six streams
    of z = (ln r - mean) / sd of the logarithms of maxima, at least 0; it fires once an episode.

    References
    ----------
    Gumbel, E. J. (1958), Statistics of Extremes: maxima of blocks. The rest, and the 0.85, are
    this project's own, chosen on half of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015).
    """

    threshold: Annotated[
        float,
        Meta(
            gt=0,
            le=1000,
            description="Mean surprise to reach, a fifth more after each alarm. Higher is quieter.",
        ),
    ] = 0.85

    @property
    def effective_threshold(self) -> float:
        """The mean surprise at which a series that has been calm fires."""
        return self.threshold
