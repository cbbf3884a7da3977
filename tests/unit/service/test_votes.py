"""Which votes become rows where only those of incidents are to."""

from typing import Any

import msgspec
import numpy as np
import pytest

from oracle.stored import KEYS, anomaly_of, batch_of, event_of, incident_of
from sentinel.engine import Judgement
from sentinel.model.incident import IncidentEvent, IncidentEventKind
from sentinel.model.votes import Votes, columns_of
from sentinel.service.votes import of_open_incidents

SERVICE = incident_of(0, 1).service


def votes_of(model: str, count: int) -> Votes:
    """Return a vote on each of some calls of the service."""
    calls = batch_of([event_of(0, 0)] * count, [0] * count, [0] * count)
    key = KEYS[0]._replace(service=SERVICE, model=model)
    batch = msgspec.structs.replace(calls, keys=[key], key=np.zeros(count, np.int32))
    return Votes(batch, columns_of([(at, anomaly_of(at, 0, "iqr")) for at in range(count)]))


def kept(standing: bool, *happened: tuple[IncidentEventKind, int]) -> list[int]:
    """Return the T of the votes that are kept, of one vote at each T from 1 to 6."""
    clock = np.arange(1, 7)
    incident = incident_of(0, 1)
    events = [IncidentEvent(kind=kind, clock=at, incident=incident) for kind, at in happened]
    votes = votes_of(str(incident_of(0, 1).model), len(clock))
    judgement = Judgement(votes, events, clock, np.zeros(6, np.uint8))
    found = of_open_incidents(judgement, [incident] if standing else [])
    assert found.ids.tolist() == votes.columns.ids[found.event].tolist()
    times: list[int] = clock[found.event].tolist()
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
    none = np.zeros(1, np.int64)
    judgement = Judgement(votes_of("other", 1), [], none, none.astype(np.uint8))
    assert len(of_open_incidents(judgement, [incident_of(0, 1)])) == 0
