"""The JSON Schema of the configuration, for editors and for the reference page."""

from typing import Any

import msgspec

from sentinel.settings.schema import Settings
from sentinel.settings.secret import Secret


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a configuration file, as plain dicts and lists.

    Secrets are marked `x-secret`.  A value written as `${VAR}` is text to a schema, whatever
    the variable holds.
    """
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(Settings, schema_hook=_describe_secret),
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return plain


def _describe_secret(kind: type) -> dict[str, Any]:
    """Describe the one type that msgspec does not know."""
    if kind is Secret:
        return {"type": "string", "format": "password", "writeOnly": True, "x-secret": True}
    raise TypeError(f"no schema for {kind.__name__}")
