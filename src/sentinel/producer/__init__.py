"""What an application imports to send its events; also importable as `llm_sentinel`.

Lives here: the producer, its bounded queue, its ways out (HTTP, Kafka), timing of calls.
Never here: judging, redacting, pricing: the service does that. Nothing that loads the core, and no
library before it is used: an application pays for what it sends, not for what LLM-Sentinel is.
May import: model.
"""

from sentinel.model.event import Event
from sentinel.producer.measure import Call, Measure
from sentinel.producer.producer import TelemetryProducer
from sentinel.producer.tally import Counts

__all__ = ["Call", "Counts", "Event", "Measure", "TelemetryProducer"]
