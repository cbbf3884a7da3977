"""Where state lies, the Redis that replicas share, and answers that are kept for a while."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from sentinel.connections.redis import RedisAddress
from sentinel.errors import SettingsError
from sentinel.settings.fields import Address, Name, SecretFile, SecretWord

if TYPE_CHECKING:
    from sentinel.settings.schema import Settings


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where state and position are kept."""

    type: Annotated[
        Literal["disk", "redis"],
        Meta(description="disk: under data_dir. redis: at storage.redis, for other replicas too."),
    ] = "disk"


class Cache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers to queries, kept in memory for a while."""

    max_capacity: Annotated[int, Meta(ge=1, le=10_000_000, description="Entries.")] = 10_000
    ttl_secs: Annotated[int, Meta(ge=1, le=604_800, description="Life of an entry.")] = 300
    tti_secs: Annotated[int, Meta(ge=1, le=604_800, description="Life of an unread entry.")] = 60
    enable_metrics: bool = True


class Redis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State and answers shared between replicas."""

    enabled: bool = True
    url: Annotated[
        Address | None,
        Meta(
            description="redis://host:port/db, sentinel://host:port,host:port/name or "
            "cluster://host:port,host:port; rediss, sentinels, clusters over TLS."
        ),
    ] = None
    password: SecretWord = None
    password_file: SecretFile = None
    ca_file: Annotated[
        Name | None, Meta(description="Certificates to hold a server over TLS against.")
    ] = None
    key_prefix: Annotated[
        str, Meta(max_length=256, pattern="^[^{}]*$", description="Of every key; no braces.")
    ] = "sentinel:"
    ttl_secs: Annotated[int, Meta(ge=1, le=31_536_000, description="Life of a cached key.")] = 300


def contradictions_of_redis(settings: "Settings") -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with where state lies, and with the way to Redis."""
    redis = settings.storage.redis
    at_hand = redis is not None and redis.enabled and redis.url is not None
    if settings.checkpoint.type == "redis" and not at_hand:
        yield (
            ("checkpoint.type", "storage.redis.url"),
            "got redis, must be disk where storage.redis has no url or is not enabled",
        )
    if redis is not None and redis.enabled and redis.url is not None:
        try:
            RedisAddress.parse(redis.url)
        except SettingsError as error:
            yield ("storage.redis.url",), str(error)
