"""The last record of the journal cut or changed, as a crash leaves it; and what no crash leaves."""

import asyncio
import shutil
from pathlib import Path
from random import Random

import pytest

from chaos.callers import PATH, Calls, ask
from chaos.killing import Running, free_port
from chaos.remains import assert_as_if_nothing_had_happened
from chaos.service_program import Plan
from sentinel.errors import Gap, TornState
from sentinel.service.assemble import Service
from sentinel.settings import Settings
from sentinel.sources.journal import EVENTS, Record, read_folder
from sentinel.sources.segments import encode

CALLS = 300
POSITIONS = 20


class Crashed:
    """The folder of a process that died with one durable record that nobody had judged yet."""

    def __init__(self, folder: Path) -> None:
        self.copy = folder / "copy"
        plan = Plan(
            folder=str(folder / "crashed"),
            port=free_port(Random()),
            point="answer",
            passing=CALLS,
            segment_bytes=1 << 26,
        )
        self.data_dir = plan.data_dir
        self.acknowledged: set[str] = set()
        with Running(plan) as running:
            assert running.wait_ready()
            self._call(plan.port)
            assert running.process.wait(10) == -9
        self.log = running.log
        self.bytes = self._segment(self.data_dir).read_bytes()
        *_, before, last = read_folder(self.data_dir / "journal").records
        assert last.kind == EVENTS
        self.last_at = len(self.bytes) - size_of(last)
        self.before_at = self.last_at - size_of(before)

    def _call(self, port: int) -> None:
        calls = Calls("svc", 3, calls_each=CALLS)
        while True:
            (name,), body = calls.body(1)
            try:
                answer = ask(port, "POST", PATH, body)
            except OSError:
                return
            assert answer.status == 200
            self.acknowledged.add(name)

    @staticmethod
    def _segment(data_dir: Path) -> Path:
        return max((data_dir / "journal").glob("*.log"))

    def with_bytes(self, data: bytes) -> Path:
        """Return a copy of the folder whose journal holds this."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.data_dir, self.copy)
        self._segment(self.copy).write_bytes(data)
        return self.copy

    def changed(self, at: int, bits: int = 0xFF) -> Path:
        """Return a copy of the folder with one byte of the journal changed."""
        data = bytearray(self.bytes)
        data[at] ^= bits
        return self.with_bytes(bytes(data))


def size_of(record: Record) -> int:
    return len(encode(record, begins=True)) + len(record.payload)


def come_back(data_dir: Path) -> None:
    """Start a service, let it judge what it finds, and stop it in order."""

    async def run() -> None:
        service = Service(Settings(data_dir=str(data_dir)), crash_point=lambda _: None)
        service.open()
        await service.agree()
        await asyncio.to_thread(service.close)

    asyncio.run(run())


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    return Crashed(tmp_path_factory.mktemp("torn"))


def check(crashed: Crashed, folder: Path, log_file: Path) -> int:
    """Come back in a folder, compare with a replay; returns how many events there are."""
    log_file.write_text("")
    come_back(folder)
    replayed = assert_as_if_nothing_had_happened(
        folder, [crashed.log, log_file], crashed.acknowledged
    )
    assert len(replayed.incidents) > 0
    return len(replayed.events)


def test_a_durable_record_that_nobody_had_judged_is_judged(
    crashed: Crashed, log_file: Path
) -> None:
    assert (
        check(crashed, crashed.with_bytes(crashed.bytes), log_file) == len(crashed.acknowledged) + 1
    )


def test_a_last_record_cut_anywhere_is_dropped_and_all_else_is_as_if_nothing_had_happened(
    crashed: Crashed, log_file: Path
) -> None:
    places = _sample(crashed.last_at, len(crashed.bytes))
    for end in places:
        folder = crashed.with_bytes(crashed.bytes[:end])
        assert check(crashed, folder, log_file) == len(crashed.acknowledged)


def test_a_last_record_with_a_byte_changed_is_dropped_and_all_else_is_as_if_nothing_had_happened(
    crashed: Crashed, log_file: Path
) -> None:
    for at in _sample(crashed.last_at, len(crashed.bytes)):
        folder = crashed.changed(at)
        assert check(crashed, folder, log_file) == len(crashed.acknowledged)


def test_a_changed_byte_in_a_record_that_was_acknowledged_stops_the_start(crashed: Crashed) -> None:
    for at in _sample(crashed.before_at, crashed.last_at)[::4]:
        with pytest.raises(TornState, match="damaged"):
            come_back(crashed.changed(at))


def test_a_journal_that_lost_records_that_were_judged_is_no_journal_to_go_on_from(
    crashed: Crashed, log_file: Path
) -> None:
    check(crashed, crashed.with_bytes(crashed.bytes), log_file)
    segment = max((crashed.copy / "journal").glob("*.log"))
    segment.write_bytes(crashed.bytes[: crashed.last_at])
    with pytest.raises(Gap, match="the journal lost records that were judged"):
        come_back(crashed.copy)


def _sample(begin: int, end: int) -> list[int]:
    """Return places in a record: all of its first bytes' fields, and some of its payload."""
    fields = [begin, begin + 1, begin + 4, begin + 8, begin + 16, begin + 17, begin + 25]
    step = (end - begin - 27) // (POSITIONS - len(fields) - 1)
    return [*fields, *range(begin + 27, end - 1, step), end - 1]
