"""The service on a disk that is full or fails, traced, and frozen."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from chaos.callers import PATH, Answer, Callers, Calls, ask
from chaos.killing import Running, free_port
from chaos.remains import Replayed, assert_as_if_nothing_had_happened
from chaos.service_program import Plan

STRACE_SECONDS = 15.0


def plan_for(folder: Path, *, min_free_bytes: int = 0) -> Plan:
    return Plan(folder=str(folder), port=free_port(Random()), min_free_bytes=min_free_bytes)


def post(running: Running, body: bytes) -> Answer:
    return ask(running.plan.port, "POST", PATH, body)


def wait_for_status(running: Running, calls: Calls, status: int, seconds: float = 20) -> Answer:
    """Send one event after the other until one is answered so."""
    deadline = time.monotonic() + seconds
    while True:
        answer = post(running, calls.body(1)[1])
        if answer.status == status:
            return answer
        assert time.monotonic() < deadline, f"{answer}\n{running.log.read_text()[-3000:]}"
        time.sleep(0.02)


def assert_refusal(answer: Answer) -> None:
    assert answer.status == 503
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.body["status"] == 503
    assert answer.body["type"].startswith("urn:sentinel:")


class Busy:
    """A service with callers, to do something to; compared with a replay at the end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.callers = Callers(7)
        self.probe = Calls("probe", 7)

    def __enter__(self) -> Running:
        self._running = Running(self.plan)
        assert self._running.wait_ready(), self._running.log.read_text()
        self.callers.start()
        self.callers.listen_at(self.plan.port)
        time.sleep(1.5)
        return self._running

    def __exit__(self, kind: object, *_: object) -> None:
        with self._running:
            if kind is not None:
                self.callers.abandon()
                return
            self.callers.end(30)
            self._running.stop()

    def assert_as_if_nothing_had_happened(self) -> Replayed:
        acknowledged: set[str] = set().union(*self.callers.acknowledged)
        assert len(acknowledged) > 500
        assert not self.callers.unexpected
        return assert_as_if_nothing_had_happened(
            self.plan.data_dir, [self._running.log], acknowledged
        )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small tmpfs")
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("min_free_bytes", [0, 8 << 20], ids=["to the last byte", "to a reserve"])
def test_a_full_disk_refuses_and_nothing_is_lost_and_it_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Path, min_free_bytes: int
) -> None:
    plan = plan_for(tmp_path, min_free_bytes=min_free_bytes)
    plan.data_dir.symlink_to(small_disk)
    busy = Busy(plan)
    ballast = small_disk / "ballast"
    with busy as running:
        with ballast.open("wb", buffering=0) as file:
            _fill(file.fileno(), small_disk, min_free_bytes)
        assert_refusal(wait_for_status(running, busy.probe, 503))
        time.sleep(3)
        assert_refusal(wait_for_status(running, busy.probe, 503, seconds=1))
        ballast.unlink()
        wait_for_status(running, busy.probe, 200)
        assert ask(plan.port, "GET", "/health/ready").status == 200
        time.sleep(1.5)
    busy.assert_as_if_nothing_had_happened()


def _fill(file: int, folder: Path, leave_bytes: int) -> None:
    """Write until a disk has no more than this free."""
    while (free := os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize) > leave_bytes:
        try:
            os.write(file, bytes(min(1 << 20, free - leave_bytes)))
        except OSError:
            return


def test_a_group_that_is_cut_short_by_a_full_disk_is_refused_whole(tmp_path: Path) -> None:
    busy = Busy(plan_for(tmp_path))
    with busy as running:
        for _ in range(3):
            busy.plan.is_full.touch()
            assert_refusal(wait_for_status(running, busy.probe, 503))
            time.sleep(0.3)
            busy.plan.is_full.unlink()
            wait_for_status(running, busy.probe, 200)
    busy.assert_as_if_nothing_had_happened()


def test_state_that_cannot_be_kept_is_kept_later_and_no_alert_goes_out_before_it(
    tmp_path: Path,
) -> None:
    busy = Busy(plan_for(tmp_path))
    with busy as running:
        busy.plan.commit_fails.touch()
        assert_refusal(wait_for_status(running, busy.probe, 503))
        told = running.log.read_text().count('"alert.')
        time.sleep(2.5)
        assert running.log.read_text().count('"alert.') == told
        assert ask(busy.plan.port, "GET", "/health/ready").status == 503
        busy.plan.commit_fails.unlink()
        wait_for_status(running, busy.probe, 200)
        time.sleep(1.5)
    assert busy.assert_as_if_nothing_had_happened().alerts


def test_what_could_not_be_synced_is_refused_and_not_in_the_log(tmp_path: Path) -> None:
    plan = plan_for(tmp_path)
    calls = Calls("one", 1)
    answers: list[tuple[int, str]] = []
    with Running(plan) as running:
        assert running.wait_ready()
        for number in range(30):
            if number % 10 == 5:
                plan.sync_fails.touch()
            (name,), body = calls.body(1)
            answer = post(running, body)
            if answer.status != 200:
                assert_refusal(answer)
            answers.append((answer.status, name))
        running.stop()
    accepted = {name for status, name in answers if status == 200}
    assert [status for status, _ in answers].count(503) in (2, 3), "one may hit a tick"
    replayed = assert_as_if_nothing_had_happened(plan.data_dir, [running.log], accepted)
    assert replayed.events == accepted


def test_between_the_write_and_the_answer_lies_a_sync(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("there is no strace here")
    plan = plan_for(tmp_path)
    trace = tmp_path / "trace"
    calls = Calls("one", 1)
    with Running(plan) as running:
        assert running.wait_ready()
        what = "trace=write,writev,pwrite64,pwritev,fdatasync,sendto,sendmsg"
        pid = str(running.process.pid)
        tracer = subprocess.Popen(
            [strace, "-f", "-y", "-s", "20000", "-e", what, "-o", str(trace), "-p", pid],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            if "attached" not in said:
                pytest.skip(f"tracing is not allowed here: {said}")
            names = []
            for _ in range(20):
                (name,), body = calls.body(1)
                assert post(running, body).status == 200
                names.append(name)
        finally:
            tracer.terminate()
            tracer.communicate(timeout=STRACE_SECONDS)
        running.stop()
    steps = list(_steps(trace.read_text(errors="replace"), names))
    expected = [step for name in names for step in (name, "sync", "answer")]
    assert steps == expected


def _steps(trace: str, names: list[str]) -> Iterator[str]:
    """Yield what was done, in order of its end: an event written, the journal synced, an answer."""
    begun: dict[str, str] = {}
    written = False
    for line in trace.splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call
            # An answer counts from its begin, everything else from its end.
            if "HTTP/1.1 200" in call:
                yield "answer"
            continue
        if call.startswith("<..."):
            call = begun.pop(pid, "") + call
            if "HTTP/1.1 200" in call:
                continue
        if "HTTP/1.1 200" in call:
            yield "answer"
        elif re.match(r"pwrite(64|v)\(.*\.log>", call):
            found = [name for name in names if name in call]
            written = bool(found)
            yield from found
        elif re.match(r"fdatasync\(.*\.log>", call) and written:
            assert call.endswith("= 0")
            yield "sync"


def test_a_process_that_was_frozen_goes_on(tmp_path: Path) -> None:
    busy = Busy(plan_for(tmp_path))
    with busy as running:
        for _ in range(2):
            running.process.send_signal(signal.SIGSTOP)
            time.sleep(2)
            running.process.send_signal(signal.SIGCONT)
            time.sleep(1)
    busy.assert_as_if_nothing_had_happened()
    assert '"level": "error"' not in "".join(
        line for line in running.log.read_text().splitlines() if "alert." not in line
    )
    assert json.loads(running.log.read_text().splitlines()[-1])["event"] == "service.stopped"
