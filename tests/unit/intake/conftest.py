"""What the tests of intake share: one Intake with embedded defaults, and a plain event."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sentinel.intake import Intake, IntakeSettings

Make = Callable[..., bytes]


@pytest.fixture
def intake() -> Intake:
    return Intake(IntakeSettings(), key=b"k" * 32, log_id="replay")


@pytest.fixture
def make() -> Make:
    """Return a function that writes a good event with some fields changed; None drops one."""

    def write(**changes: Any) -> bytes:
        event = {
            "event_id": "00000001-0000-4000-8000-00000000000a",
            "timestamp": "2025-03-03T09:00:00.021928Z",
            "service_name": "chat-api",
            "model": "gpt-4",
            "prompt": {"text": "hello", "tokens": 100},
            "response": {"text": "", "tokens": 50, "finish_reason": "stop"},
            "latency_ms": 2000.0,
            "cost_usd": 0.5,
            "metadata": {"user_id": "u0006"},
            "errors": [],
        } | changes
        return msgspec.json.encode(
            {key: value for key, value in event.items() if value is not None}
        )

    return write
