"""A service that kills itself at a named crash point, or whose disk fails while a file says so.

Argument: a `Plan` as JSON.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from sentinel.service.serve import run
from sentinel.settings import Settings
from sentinel.settings.schema import Api, Baseline, Detection, Ingestion, Otlp, Storage
from sentinel.settings.shared import Checkpoint, Redis
from sentinel.sources.journal import Journal, Limits
from sentinel.vitals.logs import configure


class Plan(Struct, frozen=True, kw_only=True):
    """How one process is to run and to end."""

    folder: str
    port: int
    point: str = ""
    """Where it kills itself; nowhere where it is empty."""
    passing: int = 1
    """Which passing of the point kills."""
    segment_bytes: int = 200_000
    min_free_bytes: int = 0
    update_interval_secs: int = 1
    redis: str = ""
    """Where the state lies; on the disk where it is empty."""

    @property
    def data_dir(self) -> Path:
        return Path(self.folder) / "data"

    @property
    def hits(self) -> Path:
        """Where the process writes the point at which it kills itself, one line each."""
        return Path(self.folder) / "hits"

    @property
    def sync_fails(self) -> Path:
        """While it is there, one fdatasync takes it away and fails."""
        return Path(self.folder) / "sync_fails"

    @property
    def commit_fails(self) -> Path:
        """While it is there, a commit of the state finds the disk full."""
        return Path(self.folder) / "commit_fails"

    @property
    def is_full(self) -> Path:
        """While it is there, the journal's writes find the disk full."""
        return Path(self.folder) / "is_full"


def killer(plan: Plan) -> Callable[[str], None]:
    """Return a crash point that ends the process as planned."""
    passed = 0

    def crash_point(name: str) -> None:
        nonlocal passed
        if name == "commit" and plan.commit_fails.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        passed += name == plan.point
        if name == plan.point and passed == plan.passing:
            with plan.hits.open("a") as file:
                file.write(f"{name}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    return crash_point


def let_fail(plan: Plan) -> None:
    """Put what fails on request in the place of what writes to the disk."""
    fdatasync, pwrite = os.fdatasync, os.pwrite

    def failing_fdatasync(file: int) -> None:
        if plan.sync_fails.exists():
            plan.sync_fails.unlink()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fdatasync(file)

    def failing_pwrite(file: int, data: Any, at: int) -> int:
        if plan.is_full.exists():
            # As a disk does that fills up: some of it is written, and then no more.
            if len(data) > 100:
                return pwrite(file, data[: len(data) // 2], at)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(file, data, at)

    setattr(os, "fdatasync", failing_fdatasync)  # noqa: B010
    setattr(os, "pwrite", failing_pwrite)  # noqa: B010


def limit_journal(limits: Limits) -> None:
    """Have every journal opened with these limits."""
    as_it_was = Journal.open

    def opened(folder: Path, **calls: Any) -> Journal:
        return as_it_was(folder, limits, **calls)

    setattr(Journal, "open", opened)  # noqa: B010


def main(plan: Plan) -> int:
    configure("info", as_json=True)
    limit_journal(Limits(segment_bytes=plan.segment_bytes, min_free_bytes=plan.min_free_bytes))
    let_fail(plan)
    settings = Settings(
        data_dir=str(plan.data_dir),
        api=Api(bind_addr=f"127.0.0.1:{plan.port}"),
        ingestion=Ingestion(otlp=Otlp(enabled=False)),
        detection=Detection(baseline=Baseline(update_interval_secs=plan.update_interval_secs)),
        checkpoint=Checkpoint(type="redis" if plan.redis else "disk"),
        storage=Storage(redis=Redis(url=plan.redis) if plan.redis else None),
    )
    return run(settings, crash_point=killer(plan))


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Plan)))
