"""What evidence opens where nothing happens, held to what is allowed."""

import pytest

from detection.stationary import cases, measured, told
from yardstick import Table, gates

GATES = gates("detection")
SAMPLES = 100_000


@pytest.mark.parametrize(("stream", "form", "arrivals"), cases())
def test_stationary_streams_open_little(
    stream: str, form: str, arrivals: str, table: Table
) -> None:
    row = measured(stream, form, arrivals, SAMPLES)
    name = f"{stream} as {form}, {arrivals}"
    table.note(f"{name}, low and high", row.low.total(), f"and {row.high.total()} alerts")
    gate = GATES["wandering_streams" if row.wanders else "stationary_streams"]
    table.hold(gate, row.per_100_000, f"alerts per 100,000 events: {told(row.fixed)}")
    # One false alarm is allowed in such a week, so chance alone brings two now and then.
    table.note(f"{name}, default allowance", row.default.total(), f"alerts: {told(row.default)}")
