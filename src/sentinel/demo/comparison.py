"""What was planted against what was found."""

from statistics import median

from msgspec import Struct

from sentinel.demo.traffic import ROUTES, Plant, Traffic
from sentinel.model.incident import Incident

SLACK_SECONDS = 3.0
"""An incident may open this long after the planted one ended: it takes a few calls to be sure."""


class Comparison(Struct, frozen=True):
    """The score of a demo, made from the generator's list and the engine's."""

    planted: int
    found: int
    missed: list[Plant]
    false: list[Incident]
    delays: list[float]
    """Seconds from the start of each planted incident to the first that found it."""

    @property
    def median_delay(self) -> float | None:
        """Seconds; None where nothing was found."""
        return median(self.delays) if self.delays else None


def compare(traffic: Traffic, found: list[Incident]) -> Comparison:
    """Match what was found with what was planted: same service and model, a fitting type and time.

    What is told of the service as a whole is told of its models.

    Every found incident that fits no planted one is false, a second one in the same place too
    unless it fits.
    """
    plants = traffic.plants
    delays: dict[int, float] = {}
    false = []
    for incident in found:
        number = _plant_of(traffic, incident)
        if number is None:
            false.append(incident)
        else:
            delay = max(0.0, traffic.second_of(incident.timestamp) - plants[number].start)
            delays[number] = min(delay, delays.get(number, delay))
    missed = [plant for number, plant in enumerate(plants) if number not in delays]
    return Comparison(len(plants), len(found), missed, false, list(delays.values()))


def _plant_of(traffic: Traffic, incident: Incident) -> int | None:
    second = traffic.second_of(incident.timestamp)
    for number, plant in enumerate(traffic.plants):
        route = ROUTES[plant.route]
        here = incident.service == route.service and incident.model in (None, route.model)
        if (
            here
            and incident.type in plant.types
            and plant.start <= second <= plant.end + SLACK_SECONDS
        ):
            return number
    return None
