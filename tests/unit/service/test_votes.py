"""Which votes become rows where only those of incidents are to."""

from typing import Any

import msgspec
import numpy as np
import pytest

from oracle.stored import anomaly_of, incident_of
from sentinel.engine import Judgement
from sentinel.model.incident import IncidentEvent, IncidentEventKind
from sentinel.service.votes import of_open_incidents

SERVICE = incident_of(0, 1).service


def kept(standing: bool, *happened: tuple[IncidentEventKind, int]) -> list[int]:
    """Return the T of the votes that are kept, of one vote at each T from 1 to 6."""
    clock = np.arange(1, 7)
    anomalies = [
        msgspec.structs.replace(anomaly_of(int(t), 0, "iqr"), service=SERVICE) for t in clock
    ]
    incident = incident_of(0, 1)
    events = [IncidentEvent(kind=kind, clock=at, incident=incident) for kind, at in happened]
    judgement = Judgement(anomalies, events, clock, np.zeros(6, np.uint8), np.arange(6))
    found = of_open_incidents(judgement, [incident] if standing else [])
    assert found.anomalies == [anomalies[event] for event in found.anomaly_event]
    assert found.incident_events == events
    times: list[int] = clock[found.anomaly_event].tolist()
    return times


@pytest.mark.parametrize(
    ("standing", "happened", "expected"),
    [
        (False, [], []),
        (True, [], [1, 2, 3, 4, 5, 6]),
        (False, [("open", 4)], [4, 5, 6]),
        (True, [("progress", 2), ("close", 3)], [1, 2, 3]),
        (False, [("open", 2), ("evidence", 3), ("close", 4)], [2, 3, 4]),
        (True, [("close", 2), ("open", 5)], [1, 2, 5, 6]),
        (True, [("close", 3), ("open", 3), ("close", 4)], [1, 2, 3, 4]),
    ],
)
def test_votes_are_kept_from_the_opening_of_an_incident_to_its_end(
    standing: bool, happened: Any, expected: list[int]
) -> None:
    assert kept(standing, *happened) == expected


def test_votes_of_another_model_are_not_those_of_an_incident() -> None:
    anomaly = msgspec.structs.replace(anomaly_of(1, 0, "iqr"), service=SERVICE, model="other")
    none = np.zeros(1, np.int64)
    judgement = Judgement([anomaly], [], none, none.astype(np.uint8), none)
    assert of_open_incidents(judgement, [incident_of(0, 1)]).anomalies == []
