"""Files that only their owner may read."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there, for its owner alone (mode 0600)."""
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # what is left of a crash may have another mode
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)
