"""Which votes become rows: all, or those of series that had an open incident."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from sentinel.engine import Judgement
from sentinel.model.batch import Key
from sentinel.model.incident import Incident
from sentinel.model.votes import VoteColumns

_END = 2**63 - 1

_Place = tuple[str, str, str, str | None]
"""Tenant, environment, service, and a model or, of a service as a whole, None."""


def of_open_incidents(judgement: Judgement, standing: Iterable[Incident]) -> VoteColumns:
    """Return the votes of a judgement that an incident was open for.

    An incident is that of a service and a model, or of all its models, from the T at which it
    opened to that at which it closed, both included.

    Parameters
    ----------
    standing
        What was open before the batch.
    """
    began = {incident.id: (_place_of(incident), 0) for incident in standing}
    spans: defaultdict[_Place, list[tuple[int, int]]] = defaultdict(list)
    for event in judgement.incident_events:
        place = _place_of(event.incident)
        if event.kind == "close":
            _, start = began.pop(event.incident.id, (place, 0))
            spans[place].append((start, event.clock))
        else:
            began.setdefault(event.incident.id, (place, event.clock))
    for place, start in began.values():
        spans[place].append((start, _END))
    votes = judgement.anomalies
    about = votes.columns.event
    keys = [votes.batch.keys[number] for number in votes.batch.key[about].tolist()]
    kept = [
        any(
            start <= clock <= end
            for place in _places_of(key)
            for start, end in spans.get(place, ())
        )
        for key, clock in zip(keys, judgement.clock[about].tolist(), strict=True)
    ]
    return votes.columns.of(np.array(kept, np.bool_))


def _place_of(incident: Incident) -> _Place:
    return incident.tenant, incident.environment, incident.service, incident.model


def _places_of(key: Key) -> tuple[_Place, _Place]:
    service = key.tenant, key.environment, key.service
    return (*service, key.model), (*service, None)
