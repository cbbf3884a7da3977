"""What is told of incidents, and when: a pure stage after the engine.

Lives here: deduplication, escalation, repeats, and the alert itself.
Never here: a clock, a channel, a store.  T comes with each incident event.
May import: model and errors.
"""

from sentinel.alerting.group import Grouper, GroupingRules

__all__ = ["Grouper", "GroupingRules"]
