"""The journal in one process: what goes in comes out, in order, or is refused and not there."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from journals import HOUR_NS, LOG_ID, OTHER_ID, SMALL, Bench, assert_, filled, unexpected
from sentinel.errors import ForeignState, Gap, InputError, JournalFull, StateError, TornState
from sentinel.sources.journal import (
    CONTROL,
    EVENTS,
    TICK,
    Appended,
    Journal,
    Limits,
    Record,
    read_folder,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    bench = Bench(folder)
    yield bench
    bench.journal.close()


def test_what_is_appended_is_read_back_with_everything_that_was_said_of_it(bench: Bench) -> None:
    journal = bench.journal
    journal.append(EVENTS, b'{"a":1}\n', received_at=5, tenant="größe", token="a")
    journal.append(TICK, b"", received_at=6, token="b")
    journal.append(CONTROL, bytes(range(256)) * 9000, received_at=2**62, token="c")
    journal.close()
    expected = [
        Record(0, EVENTS, 5, "größe", b'{"a":1}\n'),
        Record(1, TICK, 6, "default", b""),
        Record(2, CONTROL, 2**62, "default", bytes(range(256)) * 9000),
    ]
    assert [item.record for item in bench.durable] == expected
    assert [(item.offset, item.token) for item in bench.durable] == [(0, "a"), (1, "b"), (2, "c")]
    assert list(read_folder(journal.folder).records) == expected
    bench.journal = Bench(journal.folder).journal
    assert list(bench.journal.read(1)) == expected[1:]


def test_all_that_waits_is_one_group_with_one_sync(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, real = threading.Event(), os.fdatasync
    syncs: list[int] = []

    def sync(file: int) -> None:
        syncs.append(file)
        real(file)

    monkeypatch.setattr(os, "fdatasync", sync)
    bench = Bench(folder, crash_point=lambda _: assert_(go_on.wait(10)))
    bench.journal.append(TICK, b"", received_at=0, token=0)
    while bench.journal._waiting:
        pass
    for number in range(1, 501):
        bench.journal.append(EVENTS, b"x" * number, received_at=0, token=number)
    go_on.set()
    bench.journal.close()
    assert [len(group) for group in bench.groups] == [1, 500]
    assert len(syncs) == 2
    assert [item.token for item in bench.durable] == list(range(501))


def test_nobody_is_answered_before_the_record_and_the_name_of_its_segment_are_on_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9 cannot show this, as what was written survives it; so look at every sync."""
    on_disk: dict[str, bytes | list[str]] = {}

    def seen(real: Callable[[int], None]) -> Callable[[int], None]:
        def sync(file: int) -> None:
            real(file)
            path = Path(f"/proc/self/fd/{file}").resolve()
            if path.is_dir():
                on_disk[str(path)] = [found.name for found in path.iterdir()]
            else:
                on_disk[path.name] = path.read_bytes()

        return sync

    monkeypatch.setattr(os, "fsync", seen(os.fsync))
    monkeypatch.setattr(os, "fdatasync", seen(os.fdatasync))
    missing: list[Appended] = []

    def durable(appended: list[Appended]) -> None:
        names = on_disk[str(folder)]
        synced = b"".join(data for name, data in on_disk.items() if name in names)  # type: ignore
        missing.extend(item for item in appended if item.record.payload not in synced)

    journal = Journal.open(
        folder, SMALL, on_durable=durable, on_failed=unexpected, on_broken=unexpected
    )
    journal.start()
    for number in range(100):
        journal.append(EVENTS, b"<%d>" % number * 10, received_at=0, token=None)
        while number % 7 == 0 and journal.next_offset <= number:
            pass
    journal.close()
    assert len(list(folder.glob("*.log"))) > 3
    assert journal.next_offset == 100
    assert not missing


def test_closing_makes_durable_what_waits(folder: Path) -> None:
    bench = Bench(folder)
    for number in range(100):
        bench.journal.append(EVENTS, b"%d" % number, received_at=0, token=number)
    bench.journal.close()
    assert len(list(read_folder(folder).records)) == 100
    with pytest.raises(StateError, match="is closed"):
        bench.journal.append(TICK, b"", received_at=0, token=0)


def test_a_journal_that_is_not_started_refuses_records(folder: Path) -> None:
    journal = Journal.open(
        folder, on_durable=unexpected, on_failed=unexpected, on_broken=unexpected
    )
    with pytest.raises(StateError, match="not started"):
        journal.append(TICK, b"", received_at=0, token=0)
    journal.close()


@pytest.mark.parametrize(
    ("kind", "received_at", "tenant"), [(4, 0, "a"), (0, 0, "a"), (1, -1, "a"), (1, 0, "a" * 65536)]
)
def test_an_argument_that_fits_no_field_is_refused_before_it_can_break_the_thread(
    bench: Bench, kind: int, received_at: int, tenant: str
) -> None:
    with pytest.raises(ValueError, match="expected a kind"):
        bench.journal.append(kind, b"", received_at=received_at, tenant=tenant, token=0)
    bench.append(b"fine")


# Identity and ownership


def test_the_log_id_is_made_once_and_stays(folder: Path) -> None:
    first = Bench(folder)
    first.journal.close()
    second = Bench(folder, log_id=OTHER_ID)
    second.journal.close()
    assert first.journal.log_id == second.journal.log_id == read_folder(folder).log_id == LOG_ID


def test_a_second_opener_is_refused_until_the_first_has_closed(folder: Path) -> None:
    bench = Bench(folder)
    with pytest.raises(StateError, match=f"{folder}: another process"):
        Bench(folder)
    bench.append(b"still mine")
    bench.journal.close()
    Bench(folder).journal.close()


def test_a_segment_of_another_log_is_refused(folder: Path, tmp_path: Path) -> None:
    filled(folder, b"a" * 200, b"b", limits=SMALL)
    other = Bench(tmp_path / "other", SMALL, log_id=OTHER_ID)
    other.append(b"a" * 200)
    other.journal.close()
    (tmp_path / "other" / f"{0:020d}.log").replace(folder / f"{0:020d}.log")
    with pytest.raises(ForeignState, match=OTHER_ID):
        Bench(folder)
    with pytest.raises(TornState, match=OTHER_ID):
        list(read_folder(folder).records)


def test_a_header_changed_at_any_byte_is_refused(folder: Path) -> None:
    segment = filled(folder, b"a")
    whole = segment.read_bytes()
    for at in range(34):
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((TornState, ForeignState)):
            Bench(folder)
    segment.write_bytes(whole[:20])
    with pytest.raises(TornState, match="header"):
        Bench(folder)


def test_a_folder_without_a_journal_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no journal"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read_folder(tmp_path / "missing")


# Bounds


def test_more_than_may_wait_is_refused_and_taken_again_later(folder: Path) -> None:
    go_on = threading.Event()
    limits = Limits(max_waiting_bytes=1000, min_free_bytes=0)
    bench = Bench(folder, limits, crash_point=lambda _: assert_(go_on.wait(10)))
    bench.journal.append(EVENTS, b"x" * 900, received_at=0, token=0)
    with pytest.raises(JournalFull, match="wait to be written"):
        bench.journal.append(EVENTS, b"x" * 100, received_at=0, token=1)
    go_on.set()
    bench.journal.append(TICK, b"", received_at=0, token=2)
    bench.journal.close()
    assert [item.token for item in bench.durable] == [0, 2]
    assert bench.journal.waiting_bytes == 0


def test_a_disk_with_too_little_left_refuses_records(folder: Path) -> None:
    bench = Bench(folder, Limits(min_free_bytes=1 << 60))
    with pytest.raises(JournalFull, match="bytes free"):
        bench.journal.append(TICK, b"", received_at=0, token=0)
    bench.journal.close()


# Reading, segments and retention


def test_reading_goes_from_segment_to_segment_from_any_offset(folder: Path) -> None:
    bench = Bench(folder, SMALL)
    payloads = [b"%d" % number * 30 for number in range(40)]
    for payload in payloads:
        bench.append(payload)
    assert len(list(folder.glob("*.log"))) > 5
    for offset in range(41):
        assert [record.payload for record in bench.journal.read(offset)] == payloads[offset:]
        read = read_folder(folder, offset).records
        assert [record.offset for record in read] == list(range(offset, 40))
    with pytest.raises(Gap, match="behind the end"):
        bench.journal.read(41)
    assert bench.journal.nbytes == sum(path.stat().st_size for path in folder.glob("*.log"))
    bench.journal.close()


def test_a_reader_keeps_up_with_a_live_writer(folder: Path) -> None:
    """Read again and again while four threads append: always a prefix, never a false alarm."""
    bench = Bench(folder, Limits(segment_bytes=20_000, min_free_bytes=0))

    def write(name: int) -> None:
        for number in range(500):
            bench.journal.append(EVENTS, b"%d:%d" % (name, number) * 9, received_at=0, token=None)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while bench.journal.next_offset < 2000:
        for records in (bench.journal.read(0), read_folder(folder).records):
            offsets = [record.offset for record in records]
            assert offsets == list(range(len(offsets)))
    for thread in threads:
        thread.join()
    bench.journal.close()


def test_a_segment_that_is_missing_between_others_is_damage(folder: Path) -> None:
    filled(folder, *[b"x" * 200] * 4, limits=SMALL)
    (folder / f"{1:020d}.log").unlink()
    with pytest.raises(TornState, match="record 1 is damaged or missing"):
        list(read_folder(folder).records)


def test_a_damaged_record_in_an_older_segment_is_found_by_reading(folder: Path) -> None:
    filled(folder, *[b"x" * 200] * 4, limits=SMALL)
    older = folder / f"{2:020d}.log"
    older.write_bytes(older.read_bytes()[:-1] + b"y")
    with pytest.raises(TornState, match="record 2 is damaged"):
        list(read_folder(folder).records)


def test_retention_deletes_whole_segments_by_age_and_size_but_none_that_is_needed(
    folder: Path,
) -> None:
    filled(folder, *[b"x" * 200] * 6, limits=SMALL)
    bench = Bench(folder, SMALL)
    journal, much = bench.journal, 1 << 40
    size = journal.nbytes // 6
    assert journal.retain(6, 5 * HOUR_NS, 5, much) == 0  # the oldest is five hours old
    assert journal.retain(6, 5 * HOUR_NS, 4, much) == 1
    assert journal.retain(1, 9 * HOUR_NS, 1, 0) == 1  # somebody still needs offset 1
    assert journal.retain(6, 5 * HOUR_NS, 99, 3 * size) == 3
    assert journal.retain(6, 99 * HOUR_NS, 1, 0) == 5  # the newest stays
    assert journal.first_offset == 5
    assert [path.name for path in folder.glob("*.log")] == [f"{5:020d}.log"]
    with pytest.raises(Gap, match="offset 4 is not kept"):
        journal.read(4)
    bench.append(b"on it goes")
    assert bench.durable[-1].offset == 6
    journal.close()
    Bench(folder).journal.close()


def test_a_reader_that_retention_overtakes_is_told(folder: Path) -> None:
    filled(folder, *[b"x" * 200] * 4, limits=SMALL)
    bench = Bench(folder, SMALL)
    reading = bench.journal.read(0)
    next(reading)
    bench.journal.retain(4, 0, 0, 0)
    with pytest.raises(Gap, match="not kept any more"):
        list(reading)
    bench.journal.close()
