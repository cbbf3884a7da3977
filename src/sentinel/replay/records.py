"""A record of a log, as the middle takes it."""

from sentinel.intake import Intake
from sentinel.model.batch import Batch
from sentinel.sources.segments import Record


def batch_of(record: Record, intake: Intake) -> Batch:
    """Return the events of an EVENTS record at its position; they were accepted before."""
    batch, _, _ = intake.take(
        record.payload,
        offset=record.offset,
        received_at=record.received_at,
        tenant=record.tenant,
        record=True,
        lines=True,
    )
    return batch
