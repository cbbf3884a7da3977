"""How bad it is: one scale for votes, incidents and alerts."""

from typing import Final, Literal

Severity = Literal["info", "warning", "critical"]

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
SCORE_MAX: Final = 1000.0
"""A score is statistic / threshold, held to this; zero spread scores exactly this."""


def severity_of(score: float) -> Severity:
    """Return the severity of a score (statistic / threshold; higher is stranger).

    >>> [severity_of(score) for score in (1.1, 1.5, 3.0, 1000.0)]
    ['info', 'warning', 'critical', 'critical']
    """
    if score >= 3.0:
        return "critical"
    return "warning" if score >= 1.5 else "info"
