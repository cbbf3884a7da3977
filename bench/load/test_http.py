"""What one core of the service takes in by HTTP, from request to journal and verdicts.

The client (wrk) and the service have a core each.  The yardstick is a bare ASGI application on the
same server that only writes and fdatasyncs each body, in the same sitting.
SENTINEL_BENCH_SECONDS is how long each run takes (10; 60 for figures to quote).
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = int(os.environ.get("SENTINEL_BENCH_SECONDS", "10"))
BATCH_GATE_RATIO = 0.12
SINGLE_GATE_RATIO = 0.25
"""Of what the bare application takes of the same bodies.  It decodes, judges and stores nothing:
measured are 0.15 to 0.37 of its bodies of 1,000 events and 0.38 of its single events."""

BARE = """
import asyncio, os, sys
from granian.constants import Interfaces
from granian.server.embed import Server
import uvloop
file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
waiting = []
async def app(scope, receive, send):
    if scope["type"] != "http": return
    body = (await receive())["body"]
    future = asyncio.get_running_loop().create_future()
    waiting.append((body, future))
    if len(waiting) == 1:
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, sync())
    await future
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})
def write(group):
    os.write(file, b"".join(body for body, _ in group)); os.fdatasync(file)
async def sync():
    while waiting:
        group = list(waiting)
        await asyncio.to_thread(write, group)
        del waiting[:len(group)]
        for _, future in group: future.set_result(None)
async def main():
    await Server(app, port=int(sys.argv[1]), interface=Interfaces.ASGI, log_enabled=False).serve()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())
"""

LOAD = """
local n = tonumber(os.getenv("EVENTS"))
math.randomseed(os.time())
request = function()
  local lines = {}
  for i = 1, n do
    lines[i] = string.format('{"event_id":"%08x-%04x-4000-8000-%012x","service_name":"s%d",' ..
      '"model":"m%d","prompt":{"tokens":%d},"response":{"tokens":%d,"finish_reason":"stop"},' ..
      '"latency_ms":%.1f,"cost_usd":%.6f,"metadata":{"user_id":"u%d"},"errors":[]}',
      math.random(0, 2147483647), math.random(0, 65535), math.random(0, 2147483647) * 1000 + i,
      math.random(20), math.random(3), math.random(100, 4000), math.random(10, 800),
      math.random() * 3000 + 200, math.random() * 0.1, math.random(500))
  end
  return wrk.format("POST", "/api/v1/events", nil, table.concat(lines, "\\n"))
end
"""

pytestmark = [
    pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk, a load generator"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs a core for the client"),
]


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on core 0 until the end of the block."""
    server = subprocess.Popen(["taskset", "-c", "0", *command], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def requests_a_second(port: int, script: Path, *, events: int, connections: int) -> float:
    url = f"http://127.0.0.1:{port}"
    wrk = ["wrk", "-t1", "-s", str(script), f"-c{connections}", f"-d{SECONDS}s", url]
    done = subprocess.run(
        ["taskset", "-c", "1", *wrk],
        env=os.environ | {"EVENTS": str(events)},
        capture_output=True,
        text=True,
        check=True,
    )
    answered = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec: +([\d.]+)", done.stdout)
    assert answered is not None, done.stdout
    assert rate is not None, done.stdout
    # Over its bounds the service answers 503; what it refused it did not take.
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    return float(rate[1]) * (1 - int(refused[1] if refused else 0) / int(answered[1]))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "load.lua"
    path.write_text(LOAD)
    return path


def served(folder: Path, port: int) -> list[str]:
    config = folder / "sentinel.yaml"
    api, otlp = {"bind_addr": f"127.0.0.1:{port}"}, {"enabled": False}
    config.write_text(
        json.dumps({"data_dir": str(folder / "data"), "api": api, "ingestion": {"otlp": otlp}})
    )
    return [sys.executable, "-m", "sentinel", "serve", "-c", str(config)]


@pytest.mark.parametrize(
    ("events", "connections", "gate"), [(1000, 4, BATCH_GATE_RATIO), (1, 64, SINGLE_GATE_RATIO)]
)
def test_the_service_beside_a_bare_application(
    tmp_path: Path, script: Path, *, events: int, connections: int, gate: float
) -> None:
    port, bare_port = free_port(), free_port()
    bare = [sys.executable, "-c", BARE, str(bare_port), str(tmp_path / "bare.log")]
    with running(bare, bare_port):
        yardstick = requests_a_second(bare_port, script, events=events, connections=connections)
    with running(served(tmp_path, port), port):
        rate = requests_a_second(port, script, events=events, connections=connections)
    print(
        f"\nbodies of {events:,}: {events * rate:,.0f} events/s taken, judged and stored; "
        f"a bare application {events * yardstick:,.0f} (ratio {rate / yardstick:.2f})"
    )
    assert rate >= gate * yardstick
