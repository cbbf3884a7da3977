"""Where Redis is, as a URL says it, and over TLS."""

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.connections.redis import RedisAddress, RedisConnection, Script
from sentinel.errors import SettingsError, StateError
from servers.process import require_command
from servers.redis import RedisServer, redis_server

HELLO = Script("return redis.call('INCR', KEYS[1])")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://cache", "redis://cache:6379"),
        ("redis://ann@cache:1/3", "redis://cache:1"),
        ("rediss://[::1]:7", "rediss://[::1]:7"),
        ("sentinel://a,b:7/state", "sentinel://a:26379,b:7/state"),
        ("sentinels://a/state/4", "sentinels://a:26379/state"),
        ("cluster://a:1,b:2", "cluster://a:1,b:2"),
    ],
)
def test_an_address_is_read(url: str, said: str) -> None:
    address = RedisAddress.parse(url)
    assert str(address) == said
    assert address.username == ("ann" if "ann" in url else None)
    assert address.db == int(url[-1] if url[-2:] in ("/3", "/4") else 0)
    assert address.tls is said.partition(":")[0].endswith(("rediss", "sentinels"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache:6379",
        "http://cache",
        "redis://",
        "redis://a,b",
        "redis://a/x",
        "redis://a/1/2",
        "redis://a:port",
        "redis://a?db=1",
        "sentinel://a",
        "cluster://a/1",
        "ss://a",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="must be redis://"):
        RedisAddress.parse(url)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    for url in ("redis://:hunter2@cache", "redis://ann:hunter2@cache"):
        with pytest.raises(SettingsError, match="holds a password") as refused:
            RedisAddress.parse(url)
        assert "hunter2" not in str(refused.value)
    with pytest.raises(SettingsError) as refused:
        RedisAddress.parse("redis://:hunter2@cache:port")
    assert "hunter2" not in str(refused.value)


# Over TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for this machine, signed by itself; its key lies beside it."""
    folder = tmp_path_factory.mktemp("tls")
    command = [require_command("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-keyout", "server.key", "-out", "server.crt", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "server.crt"


@pytest.fixture(scope="module")
def secured(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return a Redis that also listens for TLS, one port further."""
    server = RedisServer(tmp_path_factory.mktemp("redis-tls"))
    server.command += ["--tls-port", str(server.port + 1), "--tls-cert-file", str(certificate)]
    server.command += ["--tls-key-file", str(certificate.with_suffix(".key"))]
    server.command += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    try:
        server.start()
        server.ask("ACL", "SETUSER", "ann", "on", ">word", "~*", "+@all")
        yield server
    finally:
        server.kill()


def test_a_server_over_tls_is_held_against_the_certificates_that_are_given(
    secured: RedisServer, certificate: Path
) -> None:
    address = RedisAddress.parse(f"rediss://ann@127.0.0.1:{secured.port + 1}")
    trusting = RedisConnection(address, password="word", ca_file=str(certificate))
    assert trusting.ask(HELLO.call(["k"], []), seconds=5) == 1
    trusting.close()
    doubting = RedisConnection(address, password="word")
    with pytest.raises(StateError, match="certificate verify failed"):
        doubting.ask(HELLO.call(["k"], []), seconds=4)
    doubting.close()
    assert secured.ask("GET", "k") == "1"


def test_who_waits_when_a_connection_is_closed_is_told(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        connection = RedisConnection(RedisAddress.parse(server.url))
        connection.ask(HELLO.call(["k"], []), seconds=1)
        server.freeze()
        closer = threading.Timer(0.2, connection.close)
        closer.start()
        began = time.monotonic()
        with pytest.raises(StateError, match="closed"):
            connection.ask(HELLO.call(["k"], []), seconds=20)
        assert time.monotonic() - began < 5
        closer.join()


def test_a_connection_that_was_closed_is_not_opened_again(redis_server: RedisServer) -> None:
    connection = RedisConnection(RedisAddress.parse(redis_server.url))
    connection.close()
    with pytest.raises(StateError, match="closed"):
        connection.ask(HELLO.call(["k"], []), seconds=1)
