"""Where telemetry, anomalies and incidents are kept so that they can be asked for.

Lives here: edges that write rows together with their cursor, and answer queries.
Never here: what a row means, routes of the API, another edge.  Nothing is judged here.
May import: connections, vitals, model, errors; not another edge.
"""

from sentinel.stores.duckdb import DuckDbStore
from sentinel.stores.queries import AnomalyFilter, IncidentFilter, Page, TelemetryFilter
from sentinel.stores.rows import Rows
from sentinel.stores.tables import Retention, StoredEvent

__all__ = [
    "AnomalyFilter",
    "DuckDbStore",
    "IncidentFilter",
    "Page",
    "Retention",
    "Rows",
    "StoredEvent",
    "TelemetryFilter",
]
