"""The process from its start to its end: listen, serve, drain, stop."""

import asyncio
import ctypes
import errno
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from sentinel.api.app import build, build_otlp
from sentinel.api.door import with_door
from sentinel.api.guard import Door, with_guard
from sentinel.api.keys import Keyring
from sentinel.errors import SentinelError, SettingsError
from sentinel.service.assemble import Service
from sentinel.service.cluster import ClusterService
from sentinel.service.keys import is_loopback, keyring_of
from sentinel.service.running import Running
from sentinel.service.siblings import Siblings, stop_when_left_alone
from sentinel.settings import Settings
from sentinel.vitals.logs import log

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of options in glibc's malloc.h."""
DRAIN_SECONDS = 0.5
"""Between not being ready and closing the door: probes need to see it."""


def address_of(settings: Settings, key: str = "api.bind_addr") -> tuple[str, int]:
    """Return host and port of `api.bind_addr` or `ingestion.otlp.bind_addr`.

    Raises
    ------
    SettingsError
        It is no address.
    """
    ours = key == "api.bind_addr"
    address = settings.api.bind_addr if ours else settings.ingestion.otlp.bind_addr
    host, separator, port = address.rpartition(":")
    host = host.strip("[]")
    if not separator or not port.isdigit() or int(port) > 65_535:
        raise SettingsError(f"{key}: got {address}, expected host:port")
    return host, int(port)


def look_for_cycles_rarely() -> None:
    """Set the garbage collector for a process that takes events.

    They hold no cycles and go by reference count; looking through them for cycles took 5 % of the
    time under load.  What the imports left stays for good.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def keep_memory() -> None:
    """Let the C library keep what is freed: batches of columns come and go many times a second.

    Else it gives their pages back to the system, which clears them anew: 3 to 15 % of the time
    under load, against a tenth of memory.  Other libraries than glibc are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 256 << 20)
        mallopt(_MMAP_THRESHOLD, 32 << 20)


def take_long_turns() -> None:
    """Ask Linux not to interrupt one of our threads for another that wakes.

    On one core intake, engine and store push each other out of its cache at every turn: in longer
    turns the core takes a sixth more events.  Threads that are started from here on inherit it.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def run(settings: Settings, **rest: Any) -> int:
    """Serve on a loop of its own (uvloop: a quarter more requests a second); see `serve`."""
    look_for_cycles_rarely()
    keep_memory()
    take_long_turns()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings, **rest))


async def serve(
    settings: Settings,
    *,
    reload: Callable[[], Settings] | None = None,
    crash_point: Callable[[str], None] = lambda _: None,
    ready: Callable[[Any, str], Awaitable[None]] | None = None,
    number: int = 0,
    command: Callable[[int], Sequence[str]] | None = None,
) -> int:
    """Serve until a signal or a failure; returns the exit code.

    `reload` reads the configuration again, on SIGHUP.  `ready` is called with the service and its
    address once it listens; what it returns runs beside the service, which ends when it does.
    `number` says which of several processes of one command this is; the first starts the others by
    `command`.
    """
    Keyring(settings.api.keys)  # one that cannot be used is told before anything is opened
    host, port = address_of(settings)
    _claim("api.bind_addr", host, port)
    otlp_address = _otlp_address(settings)
    service = _service_of(settings, number, crash_point)
    recovered = service.open()
    if recovered is not None:
        log.info(
            "state.restored", snapshot_at=recovered.snapshot_at, judged_again=recovered.judged_again
        )
    await service.agree()
    servers = _servers_of(service, (host, port), otlp_address)
    if otlp_address is not None:
        log.info("otlp.listening", address="{}:{}".format(*otlp_address))
    stopping = asyncio.Event()
    _on_signals(stopping)
    if number:
        stop_when_left_alone(stopping)
    siblings = _siblings_of(service, number, command)
    if reload is not None:
        _on_hangup(service, reload, siblings)
    listening, *others = [asyncio.create_task(server.serve()) for server in servers]
    tasks = asyncio.create_task(service.run_tasks())
    watching = asyncio.create_task(siblings.watch())
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    log.info("service.started", url=url, docs=f"{url}/docs", data_dir=settings.data_dir)
    beside = asyncio.ensure_future(ready(service, url)) if ready is not None else None
    waiting = [
        asyncio.create_task(stopping.wait()),
        asyncio.create_task(service.failure.wait()),
        listening,
        tasks,
        watching,
    ]
    if beside is not None:
        waiting.append(beside)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    failed = service.failure.is_set() or any(
        task.done() and task.exception() is not None for task in (listening, tasks, watching)
    )
    service.drain()
    watching.cancel()
    siblings.ask_to_stop()
    if not failed and beside is None:
        await asyncio.sleep(DRAIN_SECONDS)
    for server in servers:
        server.stop()  # type: ignore[no-untyped-call]
    tasks.cancel()
    await asyncio.wait([listening, *others, tasks, watching], timeout=5)
    code = await _closed(service, siblings, failed=failed)
    if not failed and beside is not None and beside.done():
        beside.result()  # what went wrong in it is raised here
    return code


async def _closed(service: Running, siblings: Siblings, *, failed: bool) -> int:
    """Let everything go, and wait for the others to have done so; returns the exit code."""
    if not failed:
        await asyncio.to_thread(service.close)
    await asyncio.to_thread(siblings.wait)
    if failed:
        log.error("service.stopped", reason="failure; the next start takes up from the last commit")
    else:
        log.info("service.stopped")
    return int(failed)


def _service_of(settings: Settings, number: int, crash_point: Callable[[str], None]) -> Running:
    if settings.ingestion.kafka is None:
        return Service(settings, crash_point=crash_point)
    return ClusterService(settings, number=number, crash_point=crash_point)


def _siblings_of(
    service: Running, number: int, command: Callable[[int], Sequence[str]] | None
) -> Siblings:
    """Return the other processes, none of which runs yet; only the first one has any."""
    kafka = service.settings.ingestion.kafka
    if number or command is None or kafka is None:
        return Siblings(lambda _: (), range(0), service.vitals)
    return Siblings(command, range(1, kafka.processes), service.vitals)


def _servers_of(
    service: Running, address: tuple[str, int], otlp_address: tuple[str, int] | None
) -> list[Server]:
    """Return the HTTP servers of a service, not listening yet."""
    settings, desk = service.settings, service.desk()
    api = settings.api
    app = build(
        desk,
        metrics_path=api.metrics_path,
        cors_origins=api.cors_origins if api.enable_cors else (),
        log_questions=api.enable_logging,
    )
    ports = [(with_door(app, desk), address)]
    if otlp_address is not None:
        ports.append((build_otlp(desk), otlp_address))
    closed = any(_needs_key(settings, host) for _, (host, _) in ports)
    keys = keyring_of(settings, Path(settings.data_dir)) if closed else Keyring(())
    servers = []
    for one, (host, port) in ports:
        guarded: Any = with_guard(one, _door_of(settings, host, keys), service.vitals)
        servers.append(
            Server(guarded, address=host, port=port, interface=Interfaces.ASGI, log_enabled=False)
        )
    return servers


def _needs_key(settings: Settings, host: str) -> bool:
    """Say whether a port asks for keys: where some are configured, and where others reach it."""
    return not settings.api.insecure and (bool(settings.api.keys) or not is_loopback(host))


def _door_of(settings: Settings, host: str, keys: Keyring) -> Door:
    api = settings.api
    return Door(
        keys=keys,
        needs_key=_needs_key(settings, host),
        checks_names=is_loopback(host) and not api.insecure,
        metrics_path=api.metrics_path,
        hosts=api.allowed_hosts,
        origins=api.cors_origins if api.enable_cors else (),
    )


def _otlp_address(settings: Settings) -> tuple[str, int] | None:
    """Return where OpenTelemetry is listened to; None: nowhere but on the API's port.

    A port that is in use belongs to a collector, most likely, or to another service of ours.
    """
    key = "ingestion.otlp.bind_addr"
    if not settings.ingestion.otlp.enabled:
        return None
    host, port = address_of(settings, key)
    try:
        _claim(key, host, port)
    except SettingsError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
            raise
        log.warning("otlp.port_in_use", address=f"{host}:{port}", instead=settings.api.bind_addr)
        return None
    return host, port


def _on_hangup(
    service: Running, reload: Callable[[], Settings], siblings: Siblings | None = None
) -> None:
    """Read the configuration again on SIGHUP: all of it is checked, thresholds are taken over."""

    async def take_over() -> None:
        try:
            settings = reload()
            needs_restart = changed_elsewhere(service.settings, settings)
            await service.configure(settings)
        except SentinelError as error:
            # They cannot be used, or the log has no room for them.
            log.error("settings.refused", error=str(error), kept="the settings of before")
            return
        service.settings = msgspec.structs.replace(
            service.settings, detection=settings.detection, alerting=settings.alerting
        )
        log.info("settings.reloaded", needs_restart=needs_restart)

    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def start() -> None:
        if siblings is not None:
            siblings.signal(signal.SIGHUP)
        task = asyncio.create_task(take_over())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, start)


def changed_elsewhere(before: Settings, after: Settings) -> list[str]:
    """Return the keys whose change needs a restart."""
    whole = ("data_dir", "ingestion", "storage", "api", "journal", "checkpoint", "prices")
    part = ("baseline", "allowed_lateness_secs", "time_zone")
    then, now = before.detection, after.detection
    return [name for name in whole if getattr(before, name) != getattr(after, name)] + [
        f"detection.{name}" for name in part if getattr(then, name) != getattr(now, name)
    ]


def _claim(key: str, host: str, port: int) -> None:
    """Find out before anything else whether the address is free.

    Raises
    ------
    SettingsError
        It is in use, or cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(f"{key}: {host}:{port}: {error.strerror}") from error


def _on_signals(stopping: asyncio.Event) -> None:
    """The first signal stops the service in order, a second at once: all is in the log."""

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
