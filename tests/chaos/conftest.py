"""The log of a service that runs in the process of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """Send the log to a file, one JSON object a line; whoever empties it begins anew."""
    path = tmp_path / "log"
    with path.open("a", buffering=1) as file:
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(20),
            logger_factory=structlog.WriteLoggerFactory(file=file),
            cache_logger_on_first_use=False,
        )
        yield path
        structlog.reset_defaults()
