"""The journal on a disk that fails: what is refused is not in the log, and it goes on."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from journals import SMALL, Bench
from sentinel.errors import JournalFull, StateError
from sentinel.sources.journal import TICK, Appended, Journal, read_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    bench = Bench(folder)
    yield bench
    bench.journal.close()


def failing(number: int) -> Callable[..., int]:
    def fail(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("pwrite", errno.ENOSPC, JournalFull),
        ("fdatasync", errno.ENOSPC, JournalFull),
        ("pwrite", errno.EIO, StateError),
        ("fdatasync", errno.EIO, StateError),
    ],
)
def test_a_record_whose_write_or_sync_fails_is_refused_and_not_in_the_log(
    bench: Bench, name: str, number: int, expected: type[Exception]
) -> None:
    bench.append(b"before")
    size = bench.journal.nbytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, failing(number))
        bench.append(b"refused")
    assert [token for token, _ in bench.failed] == [b"refused"]
    assert type(bench.failed[0][1]) is expected
    newest = max(bench.journal.folder.glob("*.log"))
    assert newest.stat().st_size == bench.journal.nbytes == size
    bench.append(b"after")
    assert bench.payloads() == [b"before", b"after"]
    assert bench.durable[-1].offset == 1
    assert not bench.broken


def test_a_write_that_comes_out_short_leaves_nothing_behind(bench: Bench) -> None:
    real = os.pwrite
    calls = []

    def short(file: int, data: Any, at: int) -> int:
        calls.append(at)
        if len(calls) == 1:
            return real(file, data[:20], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.append(b"before")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", short)
        bench.append(b"refused" * 10)
    bench.append(b"after")
    assert len(calls) == 2
    assert [type(error) for _, error in bench.failed] == [JournalFull]
    bench.journal.close()
    assert [r.payload for r in read_folder(bench.journal.folder).records] == [b"before", b"after"]


@pytest.mark.parametrize("name", ["pwrite", "fsync"])
def test_a_segment_that_cannot_be_made_refuses_its_group_and_is_made_later(
    folder: Path, name: str
) -> None:
    bench = Bench(folder, SMALL)
    bench.append(b"x" * 300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, failing(errno.ENOSPC))
        bench.append(b"refused")
        bench.append(b"refused too")
    assert [path.name for path in folder.iterdir()] == [f"{0:020d}.log"]
    bench.append(b"after")
    assert len(bench.failed) == 2
    assert bench.payloads() == [b"x" * 300, b"after"]
    assert len(list(folder.glob("*.log"))) == 2
    bench.journal.close()


def test_a_journal_that_cannot_take_back_a_write_is_broken_for_good(bench: Bench) -> None:
    bench.append(b"before")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", failing(errno.EIO))
        patch.setattr(os, "ftruncate", failing(errno.EIO))
        bench.append(b"uncertain")
        bench.journal._thread.join(10)  # type: ignore[union-attr]
    assert bench.journal.broken
    assert [token for token, _ in bench.failed] == [b"uncertain"]
    assert "after a failed write" in str(bench.broken[0])
    with pytest.raises(StateError, match="is broken"):
        bench.journal.append(TICK, b"", received_at=0, token=0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_breaks_the_journal_and_says_so(folder: Path) -> None:
    go_on = threading.Event()
    broken: list[StateError] = []
    failed: list[Any] = []

    def durable(_: list[Appended]) -> None:
        assert go_on.wait(10)
        raise RuntimeError("a bug of the caller")

    journal = Journal.open(
        folder,
        on_durable=durable,
        on_failed=lambda tokens, _: failed.extend(tokens),
        on_broken=broken.append,
    )
    journal.start()
    journal.append(TICK, b"", received_at=0, token=0)
    while journal.next_offset == 0:
        pass
    journal.append(TICK, b"", received_at=0, token=1)
    go_on.set()
    journal.close()
    assert failed == [1]
    assert len(broken) == 1
    assert journal.broken
