"""What an application imports to tell LLM-Sentinel of its calls of models.

`from llm_sentinel import TelemetryProducer`; the code lies in `sentinel.producer`.
"""

from sentinel.producer import Call, Counts, Event, Measure, TelemetryProducer

__all__ = ["Call", "Counts", "Event", "Measure", "TelemetryProducer"]
