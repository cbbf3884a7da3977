"""Redis: one server, a primary under Sentinel, or a cluster; asked from any thread.

The library runs on a loop and a thread of its own, so that whoever asks may block and need know of
no loop.  A connection on which anything failed is given up with all that belongs to it, and the
next attempt begins anew: what a fail-over moved is found again, and nothing of a request that was
given up is read as the answer to another.
"""

import asyncio
import importlib.util
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from sentinel.errors import SettingsError, StateError

if TYPE_CHECKING:
    pass

T = TypeVar("T")

CONNECT_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.1
"""Between two attempts; a server that restarts is there again in a few of these."""
GRACE_SECONDS: Final = 1.0
"""How much longer than an attempt may take its thread is waited for."""

_PORTS: Final = {"redis": 6379, "sentinel": 26379, "cluster": 6379}


class RedisAddress(Struct, frozen=True, kw_only=True):
    """Where Redis is: what a URL says.

    >>> RedisAddress.parse("sentinel://a:1,b/state/2").places
    (('a', 1), ('b', 26379))
    """

    kind: str
    """`redis`, `sentinel` or `cluster`."""
    tls: bool
    places: tuple[tuple[str, int], ...]
    username: str | None = None
    primary: str = ""
    """The name that Sentinel knows the primary by."""
    db: int = 0

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Read `redis://host:port/db`, `sentinel://host:port,host:port/name/db`, `cluster://...`.

        `rediss`, `sentinels` and `clusters` are the same over TLS.

        Raises
        ------
        SettingsError
            It is none of these, or holds a password.
        """
        try:
            parts = urlsplit(url)
            kind, tls = parts.scheme, False
            if kind not in _PORTS and kind.removesuffix("s") in _PORTS:
                kind, tls = kind.removesuffix("s"), True
            port = _PORTS[kind]
            who, _, where = parts.netloc.rpartition("@")
            places = tuple(_place(text, port) for text in where.split(","))
            path = [part for part in parts.path.split("/") if part]
            primary = path.pop(0) if kind == "sentinel" else ""
            db = int(path.pop(0)) if path and kind != "cluster" else 0
            if path or parts.query or (kind == "redis" and len(places) != 1):
                raise ValueError
        except (KeyError, ValueError, IndexError):
            # The text may hold a password.
            raise SettingsError(
                "must be redis://host:port/db, "
                "sentinel://host:port,host:port/name or cluster://host:port,host:port; "
                "rediss, sentinels and clusters are the same over TLS"
            ) from None
        if ":" in who:
            raise SettingsError(
                "holds a password, which belongs into password, password_file or REDIS_PASSWORD"
            )
        return cls(
            kind=kind, tls=tls, places=places, username=unquote(who) or None, primary=primary, db=db
        )

    def __str__(self) -> str:
        hosts = ((f"[{host}]" if ":" in host else host, port) for host, port in self.places)
        places = ",".join(f"{host}:{port}" for host, port in hosts)
        primary = f"/{self.primary}" if self.primary else ""
        return f"{self.kind}{'s' * self.tls}://{places}{primary}"


def _place(text: str, port: int) -> tuple[str, int]:
    found = urlsplit(f"//{text}")
    if not found.hostname:
        raise ValueError
    return found.hostname, found.port or port


class RedisConnection:
    """A way to Redis that is opened when it is first used, and again after it broke.

    Parameters
    ----------
    ca_file
        Certificates that a server over TLS is held against; None: those of the system.
    """

    def __init__(
        self, address: RedisAddress, *, password: str | None = None, ca_file: str | None = None
    ) -> None:
        self.address = address
        self._password, self._ca_file = password, ca_file
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._held: _Session | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    def ask(self, work: Callable[[Any], Awaitable[T]], *, seconds: float) -> T:
        """Return what `work` brings back from a client of the library.

        It is called again after the connection broke, until the time is over: so it must be the
        same to do it once and to do it twice.

        Raises
        ------
        StateError
            There was no answer in time, or the server refused: it may have done the work all the
            same.
        """
        loop = self._running()
        future = asyncio.run_coroutine_threadsafe(self._ask(work, seconds), loop)
        try:
            return future.result(seconds + CONNECT_SECONDS + GRACE_SECONDS)
        except TimeoutError:
            future.cancel()
            raise StateError(f"{self.address}: no answer in {seconds:g} s") from None
        except CancelledError:
            raise StateError(f"{self.address}: the connection was closed") from None

    def close(self) -> None:
        """Let the connection go; nothing can be asked any more."""
        with self._starting:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._let_go(), loop).result(GRACE_SECONDS * 5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._closed:
                raise StateError(f"{self.address}: the connection was closed")
            if self._loop is None:
                if importlib.util.find_spec("coredis") is None:
                    raise StateError("Redis needs coredis", "pip install 'llm-sentinel[redis]'")
                # It writes a traceback for every attempt that fails; we say it once, in our words.
                logging.getLogger("coredis").setLevel(logging.CRITICAL)
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="redis", daemon=True
                )
                self._thread.start()
            return self._loop

    # On the loop

    async def _ask(self, work: Callable[[Any], Awaitable[T]], seconds: float) -> T:
        from coredis import exceptions

        passing = (
            exceptions.ConnectionError,
            exceptions.ReadOnlyError,
            exceptions.RedisClusterError,
            exceptions.SentinelError,
            OSError,
        )
        loop = asyncio.get_running_loop()
        end, said = loop.time() + seconds, "no answer in time"
        while True:
            session: _Session | None = None
            try:
                # One that hangs must leave time for another.
                async with asyncio.timeout_at(min(end, loop.time() + seconds / 2)):
                    session = await self._session()
                    return await work(session.client)
            except passing as error:  # a TimeoutError is an OSError
                if session is not None:
                    session.end()
                if not isinstance(error, TimeoutError):
                    said = _reason_of(error)
                if loop.time() + PAUSE_SECONDS >= end:
                    raise StateError(f"{self.address}: {said}") from error
                await asyncio.sleep(PAUSE_SECONDS)
            except exceptions.RedisError as error:
                raise StateError(f"{self.address}: {type(error).__name__}: {error}") from error

    async def _session(self) -> "_Session":
        async with self._opening:
            if self._held is None or self._held.ended:
                self._held = await _Session.begin(self._enter)
            return self._held

    async def _let_go(self) -> None:
        if self._held is not None:
            self._held.end()
            await asyncio.wait([self._held.task], timeout=GRACE_SECONDS)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=GRACE_SECONDS)

    async def _enter(self, stack: AsyncExitStack) -> Any:
        import coredis
        from coredis.connection import TCPLocation
        from coredis.retry import NoRetryPolicy

        address = self.address
        options: dict[str, Any] = {
            "username": address.username,
            "password": self._password,
            "connect_timeout": CONNECT_SECONDS,
            "retry_policy": NoRetryPolicy(),
        }
        tls: dict[str, Any] = {}
        if address.tls:
            tls["ssl_context"] = ssl.create_default_context(cafile=self._ca_file)
        places = [TCPLocation(host, port) for host, port in address.places]
        client: coredis.Redis[bytes] | coredis.RedisCluster[bytes]
        if address.kind == "cluster":
            client = coredis.RedisCluster(
                startup_nodes=places, skip_full_coverage_check=True, **options, **tls
            )
        elif address.kind == "sentinel":
            watchers = {"connect_timeout": CONNECT_SECONDS, **tls}
            sentinel = coredis.Sentinel(
                places, sentinel_kwargs=watchers, db=address.db, **options, **tls
            )
            await stack.enter_async_context(sentinel)
            client = sentinel.primary_for(address.primary)
        else:
            host, port = address.places[0]
            client = coredis.Redis(host, port, db=address.db, **options, **tls)
        return await stack.enter_async_context(client)


def _reason_of(error: BaseException) -> str:
    """Return what an error says, and what brought it about: the library hides why it cannot."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    return str(error) if root is error else f"{error}: {root}"


class _Session:
    """A client that was entered, and the task that will leave it: the library wants it the same."""

    def __init__(self, enter: Callable[[AsyncExitStack], Awaitable[Any]]) -> None:
        self.client: Any = None
        self._end = asyncio.Event()
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._hold(enter))

    @classmethod
    async def begin(cls, enter: Callable[[AsyncExitStack], Awaitable[Any]]) -> "_Session":
        session = cls(enter)
        try:
            await session._begun
        except BaseException:
            session.task.cancel()
            raise
        return session

    @property
    def ended(self) -> bool:
        return self._end.is_set() or self.task.done()

    def end(self) -> None:
        self._end.set()

    async def _hold(self, enter: Callable[[AsyncExitStack], Awaitable[Any]]) -> None:
        try:
            async with AsyncExitStack() as stack:
                self.client = await enter(stack)
                self._begun.set_result(None)
                await self._end.wait()
        except Exception as error:
            # Once it has begun, whoever asks hears of what goes wrong.
            if not self._begun.done():
                self._begun.set_exception(error)


class Script:
    """A script of Redis, sent once to each server and called by its hash from then on.

    Parameters
    ----------
    text
        Lua.  Its keys must share a hash tag, as a cluster runs it at one node.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._script: Any = None

    def call(
        self, keys: Sequence[str], args: Sequence[bytes | str | int]
    ) -> Callable[[Any], Awaitable[Any]]:
        """Return the call, for `RedisConnection.ask`."""

        async def work(client: Any) -> Any:
            if self._script is None:
                from coredis.commands.script import Script as LibraryScript

                self._script = LibraryScript(None, self._text)
            return await self._script(list(keys), list(args), client=client)

        return work
