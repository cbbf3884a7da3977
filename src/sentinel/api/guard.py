"""The first thing that a request meets: may this caller do this, and is it meant for us?

Decided from the head of the request alone: of one that is refused no byte of the body is read.
Who needs no key, because only this machine can reach the port, could still be a page in somebody's
browser that was sent here: so its Host must be a name of this machine, and what it changes must not
come from another origin.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from msgspec import Struct

from sentinel.api.headers import CALLER, HEADERS
from sentinel.api.keys import Caller, Keyring
from sentinel.api.problems import MEDIA_TYPE, Problem, problem
from sentinel.api.routes.ingest import PATH as EVENTS
from sentinel.settings.keys import Scope as KeyScope
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

_HEALTH: Final = ("/health/live", "/health/ready", "/health/startup")
_INGEST: Final = frozenset((EVENTS, "/v1/traces", "/v1/logs", "/v1/metrics"))
_READS: Final = frozenset(("GET", "HEAD"))
_CHALLENGE: Final = 'Bearer realm="llm-sentinel"'


class Door(Struct, frozen=True, kw_only=True):
    """One port, and what it asks of a request."""

    keys: Keyring
    needs_key: bool
    """False: whoever reaches it may do everything."""
    checks_names: bool
    """Whether a request without a key must name this machine, and come from no other origin."""
    metrics_path: str = "/metrics"
    hosts: Sequence[str] = ()
    """Names of this machine beside those that every machine has; `*` is any."""
    origins: Sequence[str] = ()
    """Whose pages may read answers, as `api.cors_origins` says."""


class _Head(Struct):
    """What the head of a request says."""

    host: str = ""
    origin: str = ""
    keys: list[bytes] = msgspec.field(default_factory=list)


def with_guard(app: ASGIApp, door: Door, vitals: Vitals) -> ASGIApp:
    """Wrap an application so that only what is allowed reaches it."""
    judge = _Judge(door)

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        outcome = judge.outcome(scope)
        if not isinstance(outcome, Problem):
            if outcome is not None:
                scope[CALLER] = outcome.name  # type: ignore[typeddict-unknown-key]
            await app(scope, receive, send)
            return
        reason = outcome.type.rpartition(":")[2]
        vitals.refused_requests.labels(reason).inc()
        log.debug("request.refused", reason=reason)
        await _refuse(send, outcome)

    return guard


class _Judge:
    """Decides by the head of a request."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._open = frozenset((*_HEALTH, door.metrics_path))
        self._hosts = frozenset(host.lower().strip("[]") for host in door.hosts)

    def outcome(self, scope: HTTPScope) -> Caller | Problem | None:
        """Return who asks, None where nobody has to say, or why the request is refused."""
        door = self._door
        if not door.needs_key and not door.checks_names:
            return None
        head = _head_of(scope["headers"])
        path, method = scope["path"], scope["method"]
        caller = next(filter(None, map(door.keys.caller, head.keys)), None)
        if caller is None:
            refusal = self._stranger(method, head)
            if refusal is not None or path in self._open or not door.needs_key:
                return refusal
            # The browser's question before a question carries no key and tells nothing.
            if method == "OPTIONS" and door.origins and head.origin:
                return None
            code = "unknown_key" if head.keys else "no_key"
            return problem(401, code, "send an API key: Authorization: Bearer KEY, or X-API-Key")
        scope_needed = _scope_of(path, method)
        if path not in self._open and not caller.may(scope_needed):
            return problem(403, "scope", f"the key has not the scope {scope_needed}")
        return caller

    def _stranger(self, method: str, head: _Head) -> Problem | None:
        """Return why a request without a key is not meant for this machine, if so."""
        door = self._door
        if not door.checks_names:
            return None
        if head.host and "*" not in self._hosts and not self._is_ours(head.host):
            return problem(
                403, "host", "the Host header names another machine; api.allowed_hosts may name it"
            )
        if not head.origin or method in _READS or method == "OPTIONS":
            return None
        is_foreign = head.origin.partition("://")[2].lower() != head.host.lower()
        if is_foreign and head.origin not in door.origins and "*" not in door.origins:
            return problem(403, "origin", "the page that sent this is of another origin")
        return None

    def _is_ours(self, host: str) -> bool:
        return _without_port(host.lower()) in self._hosts or _is_this_machine(host)


@lru_cache(256)
def _is_this_machine(host: str) -> bool:
    """Say whether a Host header names what every machine calls itself."""
    name = _without_port(host.lower())
    try:
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    """Return the name or address in a Host header.

    >>> _without_port("localhost:8080"), _without_port("[::1]:8080"), _without_port("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _head_of(headers: Iterable[tuple[bytes, bytes]]) -> _Head:
    head = _Head()
    for name, value in headers:
        if name == b"host":
            head.host = value.decode("latin-1").strip()
        elif name == b"origin":
            head.origin = value.decode("latin-1").strip()
        elif name == b"x-api-key":
            head.keys.append(value.strip())
        elif name == b"authorization":
            kind, _, word = value.strip().partition(b" ")
            if kind.lower() == b"bearer":
                head.keys.append(word.strip())
    return head


def _scope_of(path: str, method: str) -> KeyScope:
    if method == "POST" and path in _INGEST:
        return "ingest"
    return "read" if method in _READS else "admin"


async def _refuse(send: Send, refusal: Problem) -> None:
    """Answer a request whose body nobody has read."""
    payload = msgspec.json.encode(refusal)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(payload)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
    ]
    challenge = _CHALLENGES.get(refusal.type.rpartition(":")[2])
    if challenge is not None:
        headers.append((b"www-authenticate", challenge.encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": payload, "more_body": False})


_CHALLENGES: Final = {
    "no_key": _CHALLENGE,
    "unknown_key": f'{_CHALLENGE}, error="invalid_token"',
    "scope": f'{_CHALLENGE}, error="insufficient_scope"',
}
"""RFC 6750."""
