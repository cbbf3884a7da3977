"""The configuration: what can be set, where it is read from, what is wrong with it.

Lives here: the root Struct, YAML and environment, problems with file, line, key and nearest name.
Never here: what a setting does; nothing is opened or started, and nothing is logged.
May import: the settings Structs of the rooms below (detectors), model and errors.
"""

from sentinel.settings.document import schema
from sentinel.settings.load import load
from sentinel.settings.schema import Settings
from sentinel.settings.secret import Secret

__all__ = ["Secret", "Settings", "load", "schema"]
