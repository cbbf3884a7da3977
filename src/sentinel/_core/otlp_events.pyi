"""The event that a call is told by, made straight in the slots of its Structs."""

from collections.abc import Mapping
from typing import Any

class EventMaker:
    """Makes events of one class; holds nothing of them, and is called by the core only."""

    def __init__(
        self,
        event: type[Any],
        prompt: type[Any],
        response: type[Any],
        providers: Mapping[str, str],
    ) -> None: ...
