"""The log as a channel: one line an alert, whose first words stand alone on a locked phone."""

from typing import Final

import msgspec

from sentinel.model.alert import Alert
from sentinel.vitals.logs import log

_LEVEL: Final = {"info": "info", "warning": "warning", "critical": "error"}


class LogChannel:
    """Tells alerts to the service's own log."""

    name = "log"

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Alert)

    def tell(self, body: bytes) -> None:
        """Write one alert, given as JSON."""
        alert = self._decoder.decode(body)
        level = "info" if alert.kind == "resolve" else _LEVEL[alert.severity]
        getattr(log, level)(
            f"alert.{alert.kind}",
            title=title_line(alert),
            id=alert.id,
            incident=alert.incident,
            sequence=alert.sequence,
            held_back=alert.held_back,
        )


def title_line(alert: Alert) -> str:
    """Return the line that says all of it."""
    what = alert.title.split(": ", 1)[-1]
    head = "RESOLVED" if alert.kind == "resolve" else alert.severity.upper()
    since = f"since {alert.started_at:%H:%M} UTC"
    if alert.ended_at is not None:
        minutes = (alert.ended_at - alert.started_at).total_seconds() / 60
        since = f"after {minutes:.0f} min" if minutes >= 2 else f"after {minutes * 60:.0f} s"
    hits = f"{alert.impact.hits:,} of {alert.impact.calls:,}" if alert.impact.calls else ""
    counted = f", {hits}" if hits else ""
    where = alert.service if alert.model is None else f"{alert.service} · {alert.model}"
    return f"[{head}] {where} · {what}{counted} {since}"
