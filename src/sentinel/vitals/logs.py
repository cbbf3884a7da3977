"""The log: one line an occurrence, `noun.verb_past` and key-values, on standard error."""

import logging
import sys
from typing import Any

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def configure(level: str, *, as_json: bool, process: int = 0) -> None:
    """Send everything to standard error, as JSON or as text for a person.

    `process`: which of several this is; the first one says nothing of it.
    """

    def name_process(_: object, __: str, line: structlog.typing.EventDict) -> Any:
        if process:
            line["process"] = process
        return line

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            name_process,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        # Where standard error is now, not where it was: somebody may have put another in its place.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=LEVELS["warning"], stream=sys.stderr)


log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
