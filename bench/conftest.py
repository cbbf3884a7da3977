"""Shows what the benchmarks measured at the end of the run."""

import pytest

from yardstick import Table

TABLE = pytest.StashKey[Table]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the table of this run."""
    config.stash[TABLE] = Table()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    """Return the table of this run."""
    return request.config.stash[TABLE]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    if config.stash[TABLE].rows:
        terminalreporter.section("measured")
        for line in config.stash[TABLE].lines():
            terminalreporter.write_line(line)
