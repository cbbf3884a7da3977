"""The keys of a service: those that are configured, or one that it makes for itself."""

import hashlib
import secrets
from ipaddress import ip_address
from pathlib import Path

from sentinel.api.keys import Keyring
from sentinel.errors import StateError
from sentinel.service.private_file import write_private
from sentinel.settings import Secret, Settings
from sentinel.settings.keys import ApiKey
from sentinel.vitals.logs import log

ADMIN_KEY_FILE = "admin.key"


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def keyring_of(settings: Settings, folder: Path) -> Keyring:
    """Return the keys that are configured; where there are none, one for everything.

    It is made once, lies where only its owner can read it, and is never logged.

    Raises
    ------
    SettingsError
        A key lies in a file that is not there.
    StateError
        The file of the key that was made holds none.
    """
    if settings.api.keys:
        return Keyring(settings.api.keys)
    path = folder / ADMIN_KEY_FILE
    if not path.exists():
        write_private(path, f"sentinel-{secrets.token_urlsafe(32)}\n".encode())
        log.warning("key.made", file=str(path), scope="admin", reason="no api.keys are configured")
    key = path.read_bytes().strip()
    if not key:
        raise StateError(f"{path}: empty", "remove it, and a new key is made")
    hashed = Secret(hashlib.sha256(key).hexdigest())
    return Keyring([ApiKey(name="admin", scopes=("admin",), key_sha256=hashed)])
