"""The state of one partition: judge a batch, open and close incidents, save and restore.

Lives here: everything that depends on what came before.
Never here: a clock, randomness, a socket, a file, a log.  Time arrives as data, so live running,
replay, recovery and property tests are one call and give the same bytes.
May import: detectors, model, errors, and the compiled core.
"""

from sentinel.engine.partition import Judgement, Partition
from sentinel.engine.rules import Rules

__all__ = ["Judgement", "Partition", "Rules"]
