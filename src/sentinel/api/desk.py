"""What the routes may ask: the service fills this in, and a test can fill it with less."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from msgspec import Struct

from sentinel.intake import Signal
from sentinel.model.anomaly import Anomaly
from sentinel.model.baseline import BaselineSummary
from sentinel.model.control import Control
from sentinel.model.incident import Incident
from sentinel.stores.queries import Page
from sentinel.stores.tables import StoredEvent


class Receipt(Protocol):
    """What became of one body."""

    accepted: int
    rejected: list[Any]
    outcomes: dict[str, int]


class Component(Struct, frozen=True):
    """One part of the service, for the readiness probe."""

    ready: bool
    detail: str = ""


class Desk(Struct, frozen=True, kw_only=True):
    """The service, as the routes see it.

    Readers of the store run on threads of their own: they may block for as long as a query takes.
    """

    take: Callable[[bytes, str | None, str], Awaitable[Any]]
    """Body, content encoding and the name of a key; returns a receipt when it is durable, or raises
    JournalFull or OverQuota."""
    take_otlp: Callable[[tuple[Signal, bool], bytes, str | None, str], Awaitable[Any]]
    """The same of traces, logs or metrics, and whether the body is JSON."""
    act: Callable[[Control], Awaitable[list[Any] | None]]
    """What it did; None: it is in the log, and another process does it."""
    has_others: bool
    """Whether other processes may know incidents that this one has not heard of yet."""
    telemetry: Callable[..., Page[StoredEvent]]
    anomalies: Callable[..., Page[Anomaly]]
    incidents: Callable[..., Page[Incident]]
    incident: Callable[[str], Incident | None]
    baselines: Callable[[], list[BaselineSummary]]
    unpriced: Callable[[], dict[str, int]]
    """Events without a cost by model, where nobody knows a price."""
    follow: Callable[[str | None], AsyncIterator[tuple[str, bytes]]]
    components: Callable[[], dict[str, Component]]
    exposition: Callable[[], bytes]
    body_bytes_max: int
