"""Which votes become rows: all, or those of series that had an open incident."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from msgspec import structs

from sentinel.engine import Judgement
from sentinel.model.batch import Key
from sentinel.model.incident import Incident

_END = 2**63 - 1


def of_open_incidents(judgement: Judgement, standing: Iterable[Incident]) -> Judgement:
    """Return a judgement without the anomalies that no incident was open for.

    An incident is that of a key (tenant, environment, service, model), from the T at which it
    opened to that at which it closed, both included.

    Parameters
    ----------
    standing
        What was open before the batch.
    """
    began = {_key_of(incident): 0 for incident in standing}
    spans: defaultdict[Key, list[tuple[int, int]]] = defaultdict(list)
    for event in judgement.incident_events:
        key = _key_of(event.incident)
        if event.kind == "close":
            spans[key].append((began.pop(key, 0), event.clock))
        else:
            began.setdefault(key, event.clock)
    for key, start in began.items():
        spans[key].append((start, _END))
    about = judgement.anomaly_event
    kept = [
        row
        for row, (anomaly, clock) in enumerate(
            zip(judgement.anomalies, judgement.clock[about].tolist(), strict=True)
        )
        for start, end in spans.get(
            Key(anomaly.tenant, anomaly.environment, anomaly.service, anomaly.model), ()
        )
        if start <= clock <= end
    ]
    kept = sorted(set(kept))
    return structs.replace(
        judgement,
        anomalies=[judgement.anomalies[row] for row in kept],
        anomaly_event=about[np.array(kept, np.int64)],
    )


def _key_of(incident: Incident) -> Key:
    return Key(incident.tenant, incident.environment, incident.service, incident.model)
